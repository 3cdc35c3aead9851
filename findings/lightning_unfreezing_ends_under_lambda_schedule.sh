#!/usr/bin/env bash
# lightning 2.6.6 with torch 2.13.0: BackboneFinetuning ends a run in the epoch in which it unfreezes, if the schedule
# is a LambdaLR, which the warm-up schedules of transformers are.
#
# Guessed: the callback works with any schedule that is set up in configure_optimizers; the group that it adds to the
# optimizer follows the schedule, or keeps its rate.
# Seen: with ExponentialLR, CosineAnnealingLR and no schedule the run goes through. With a LambdaLR it trains the head
# for two epochs and then raises a ValueError from zip() in torch, which names neither the callback nor the schedule:
# LambdaLR has a function for each group that was there when it was made.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
"$place/venv/bin/python" - <<'PY'
import logging
import warnings

import lightning as L
import torch
from lightning.pytorch.callbacks import BackboneFinetuning
from torch.optim.lr_scheduler import CosineAnnealingLR, ExponentialLR, LambdaLR

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Model(L.LightningModule):
    def __init__(self, schedule):
        super().__init__()
        self.backbone, self.head, self.schedule = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1), schedule

    def training_step(self, batch, index):
        return self.head(self.backbone(batch[0])).pow(2).mean()

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW([p for p in self.parameters() if p.requires_grad], lr=0.1)
        return [optimizer], [self.schedule(optimizer)]


def end(schedule):
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    unfreeze = BackboneFinetuning(unfreeze_backbone_at_epoch=2, verbose=False)
    trainer = L.Trainer(max_epochs=4, accelerator="cpu", callbacks=[unfreeze], **quiet)
    try:
        trainer.fit(Model(schedule), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(4, 2))))
    except ValueError as error:
        return f"epoch {trainer.current_epoch}: {error}"
    return "whole"


makers = (lambda o: LambdaLR(o, lambda n: 1.0), lambda o: ExponentialLR(o, 0.9), lambda o: CosineAnnealingLR(o, 4))
ends = [end(make) for make in makers]
print("lightning", L.__version__, ends)
assert ends[1:] == ["whole", "whole"] and ends[0].startswith("epoch 2: zip()"), "a LambdaLR is followed now"
PY
