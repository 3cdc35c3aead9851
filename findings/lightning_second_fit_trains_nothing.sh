#!/usr/bin/env bash
# lightning 2.6.6: a second fit with the same Trainer trains nothing, not even another model.
#
# Guessed: trainer.fit(model) trains for max_epochs, each time it is called; a head first and all weights then, or one
# model after another, can be done with one Trainer.
# Seen: the Trainer counts its epochs over all calls. The second call makes no step, for a new model as well, and returns
# as if it were done: validation afterwards is that of an untrained model. A log line of level INFO says that max_epochs is
# reached, as it does after every fit; no warning. A Trainer for each call trains.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$place" && "$place/venv/bin/python" - 2>log.txt <<'PY'
import warnings

import lightning as L
import torch


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.weight, self.steps = torch.nn.Parameter(torch.zeros(1)), 0

    def training_step(self, batch, index):
        self.steps += 1
        return self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def new():
    names = "logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"
    return L.Trainer(max_epochs=2, accelerator="cpu", **dict.fromkeys(names, False))


def steps(*trainers):
    models, said = [Model() for _ in trainers], []
    for trainer, model in zip(trainers, models, strict=True):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            trainer.fit(model, torch.utils.data.DataLoader(torch.ones(4)))
    return [model.steps for model in models], [str(one.message) for one in said if "epoch" in str(one.message)]


trainer = new()
(one, told), (two, _) = steps(trainer, trainer), steps(new(), new())
print(f"lightning {L.__version__}: steps of two models, one Trainer {one}, warned: {told}; a Trainer for each {two}")
assert two == [8, 8]
assert one == [8, 0] and not told, "a second fit trains, or warns, now"
PY
