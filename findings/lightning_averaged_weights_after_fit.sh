#!/usr/bin/env bash
# lightning 2.6.6: a checkpoint that is saved after fit with EMAWeightAveraging holds the average twice.
#
# Guessed: a checkpoint has the average under state_dict, and the live weights beside it, so that training can go on from it
# (that is what the callback's checkpoints of an epoch hold).
# Seen: at the end of fit the average is copied over the live weights. trainer.save_checkpoint afterwards writes it under
# state_dict and under current_model_state too: the live weights are lost, nothing is said, and a run that continues from
# that file starts from the average with optimizer states of other weights.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
"$place/venv/bin/python" -W ignore - <<'PY'
import logging
import tempfile
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class One(L.LightningModule):
    """A weight that every step raises by one."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, index):
        return -self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1.0)


quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
trainer = L.Trainer(max_epochs=1, callbacks=[EMAWeightAveraging(decay=0.5)], accelerator="cpu", **quiet)
trainer.fit(One(), torch.utils.data.DataLoader(torch.zeros(4, 1)))
path = Path(tempfile.mkdtemp()) / "after.ckpt"
trainer.save_checkpoint(path)
kept = torch.load(path, weights_only=False)
average, live = (float(kept[name]["weight"]) for name in ("state_dict", "current_model_state"))
print(f"lightning {L.__version__}: live weight 4.0; in the file: average {average}, current_model_state {live}")
assert average == 3.125
assert live == average, "the live weights are kept now"
PY
