#!/usr/bin/env bash
# lightning 2.6.6: EarlyStopping turns a fit that ends by max_steps within its first epoch into an error.
#
# Guessed: where training ends before validation was due, early stopping has nothing to judge and fit returns.
# Seen: RuntimeError "conditioned on metric ... which is not available" with an empty list of metrics, after all steps are
# done and before the last checkpoint or test: a smoke test with max_steps=10 fails on the configuration of the real run.
# One step more than an epoch passes; check_on_train_epoch_end=False does too.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
"$place/venv/bin/python" -W ignore - 2>/dev/null <<'PY'
import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader, TensorDataset


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def training_step(self, batch, index):
        return self.layer(batch[0]).mean()

    def validation_step(self, batch, index):
        self.log("val/loss", self.layer(batch[0]).mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def fit(steps, **more):
    rows = DataLoader(TensorDataset(torch.randn(32, 2)), batch_size=4)
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    stopping = EarlyStopping("val/loss", **more)
    trainer = L.Trainer(max_steps=steps, max_epochs=-1, accelerator="cpu", callbacks=[stopping], **off)
    try:
        trainer.fit(Model(), rows, rows)
    except RuntimeError as error:
        return trainer.global_step, str(error)[:40]
    return trainer.global_step, "ended"


short, long, other = fit(4), fit(8), fit(4, check_on_train_epoch_end=False)
print("lightning", L.__version__, "max_steps of half an epoch:", short, "of a whole one:", long, "without:", other)
assert short == (4, "Early stopping conditioned on metric `va"), "a fit within its first epoch ends well now"
assert long == (8, "ended")
assert other == (4, "ended"), "check_on_train_epoch_end=False changed"
PY
