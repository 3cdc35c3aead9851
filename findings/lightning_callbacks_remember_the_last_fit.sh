#!/usr/bin/env bash
# lightning 2.6.6: callbacks that are used in a second Trainer judge it by the first one's best score.
#
# Guessed: a new Trainer is a new run, so a ModelCheckpoint or EarlyStopping made once and passed to the Trainer of each fold
# starts anew in each.
# Seen: both keep their best score. The second fold, a bit worse, saves nothing as best: best_model_path, and with it
# test(ckpt_path="best"), is the model of the first fold, which was trained on the rows that the second one tests on; and
# early stopping ends it after its first epoch. No word of either. Make new callbacks for each fit.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$place" && "$place/venv/bin/python" -W ignore - 2>/dev/null <<'PY'
import logging

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Fold(L.LightningModule):
    def __init__(self, start):
        super().__init__()
        self.weight, self.start, self.epochs = torch.nn.Parameter(torch.tensor(start)), start, 0

    def training_step(self, batch, index):
        self.epochs += 1
        return 0 * self.weight

    def validation_step(self, batch, index):
        self.log("score", self.start + 0.01 * self.current_epoch)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def folds(one_for_all):
    shared, seen = None, []
    for start in (0.9, 0.5):
        quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
        fold, row = Fold(start), torch.utils.data.DataLoader(torch.ones(1))
        if shared is None or not one_for_all:
            shared = [ModelCheckpoint("kept", monitor="score", mode="max"), EarlyStopping("score", mode="max", patience=1)]
        trainer = L.Trainer(max_epochs=5, callbacks=shared, **quiet)
        trainer.fit(fold, row, row)
        best = torch.load(trainer.checkpoint_callback.best_model_path, weights_only=False)
        seen.append((fold.epochs, round(float(best["state_dict"]["weight"]), 1)))
    return seen


shared, new = folds(True), folds(False)
print(f"lightning {L.__version__}: epochs and which fold (0.9, 0.5) is the best: the same callbacks {shared}, new ones {new}")
assert new == [(5, 0.9), (5, 0.5)]
assert shared == [(5, 0.9), (1, 0.9)], "callbacks start anew in a new Trainer now"
PY
