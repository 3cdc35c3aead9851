#!/usr/bin/env bash
# lightning 2.6.6, torch 2.13.0: a metric that `self.log` gets in some steps only, such as the loss of one of several tasks, is written
# in every later step too, with its last value. One would guess that a step without the call has no such value.
# After a run resumes it is missing until it is logged again, so the log of a resumed run differs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet lightning==2.6.6 torch==2.13.0 numpy
cd "$folder"
cat > seen.py <<'PY'
import logging
import warnings

import lightning as L
import torch
from lightning.pytorch.loggers import CSVLogger

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
written = []


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def training_step(self, batch, number):
        if number == 1:
            self.log("second", float(number))
        self.log("each", float(number))
        return self.linear(batch).sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Seen(CSVLogger):
    def log_metrics(self, metrics, step=None):
        written.append((step, {name: value for name, value in metrics.items() if name != "epoch"}))


options = {"enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}
trainer = L.Trainer(accelerator="cpu", max_epochs=1, log_every_n_steps=1, logger=Seen("."), **options)
trainer.fit(Model(), torch.utils.data.DataLoader(torch.ones(4, 1)))
print("lightning", L.__version__, *written, sep="\n  ")
assert [step for step, values in written if "second" in values] == [1, 2, 3], "the behaviour changed"
PY
"$folder/venv/bin/python" seen.py
