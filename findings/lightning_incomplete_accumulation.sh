#!/usr/bin/env bash
# lightning 2.6.6: the last, incomplete group of accumulated batches is divided by the full number of batches.
#
# Guessed: with accumulate_grad_batches=4 the gradient of a step is the mean over the batches that are in it, so an epoch
# of 5 batches ends in a step of the one batch that is left, at its full gradient.
# Seen: that last step has a quarter of the gradient: each batch's loss is divided by 4, however many follow. With fewer
# batches than 4 in an epoch, common with few labels, every step of the run is that much too small. Batches of unequal
# size weigh alike, too: 8 and 2 examples give the mean of two means.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$place" && "$place/venv/bin/python" - <<'PY'
import logging
import warnings

import lightning as L
import torch

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Slope(L.LightningModule):
    """One weight; the gradient of a batch is the mean of its numbers."""

    def __init__(self):
        super().__init__()
        self.weight, self.steps = torch.nn.Parameter(torch.zeros(())), []

    def training_step(self, batch, batch_idx):
        return (self.weight * batch).mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def on_before_optimizer_step(self, optimizer):
        self.steps.append(float(self.weight.grad))


def gradients(batches, accumulate):
    model = Slope()
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = L.Trainer(max_epochs=1, accelerator="cpu", accumulate_grad_batches=accumulate, **quiet)
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    return [round(step, 6) for step in model.steps]


five, unequal = gradients([torch.ones(2)] * 5, 4), gradients([torch.ones(8), torch.full((2,), 6.0)], 2)
print("lightning", L.__version__, five, unequal)
assert five == [1.0, 0.25], "the last step is divided by what is in it now"
assert unequal == [3.5], "batches weigh by their examples now (mean of all ten: 2.0)"
PY
