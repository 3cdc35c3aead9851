#!/usr/bin/env bash
# lightning 2.6.6: the patience of EarlyStopping comes from the checkpoint, whatever the resumed run asks for.
#
# Guessed: a run that stopped too early is resumed with patience=10 in place of 2, and waits for 10 validations.
# Seen: the state of the callback holds its patience and overwrites the new one: the resumed run does one more epoch and stops
# again, in silence, while its config and its log say 10. max_epochs, given to the Trainer in the same call, does count.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$place" && "$place/venv/bin/python" - 2>/dev/null <<'PY'
import logging
import warnings

import lightning as L
import torch
from lightning.pytorch.callbacks import EarlyStopping

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Flat(L.LightningModule):
    """A model whose score never moves."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, index):
        return self.weight.sum()

    def validation_step(self, batch, index):
        self.log("score", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(patience, path=None):
    off = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    stopping, row = EarlyStopping("score", mode="max", patience=patience), torch.utils.data.DataLoader(torch.ones(1))
    trainer = L.Trainer(max_epochs=30, callbacks=[stopping], accelerator="cpu", **off)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        trainer.fit(Flat(), row, row, ckpt_path=path)
    return trainer, (trainer.current_epoch, stopping.patience, any("patience" in str(one.message) for one in said))


first, short = fit(2)
first.save_checkpoint("stopped.ckpt")
new, resumed = fit(10)[1], fit(10, "stopped.ckpt")[1]
print(f"lightning {L.__version__}: epochs, patience, told: first run {short}, resumed with 10 {resumed}, from the start {new}")
assert short[:2] == (3, 2) and new[:2] == (11, 10)
assert resumed == (4, 2, False), "the patience that is asked for counts now"
PY
