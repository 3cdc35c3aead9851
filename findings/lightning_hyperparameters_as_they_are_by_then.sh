#!/usr/bin/env bash
# lightning 2.6.6: save_hyperparameters keeps what the argument's name holds by then, not what was given.
#
# Guessed: the arguments of __init__ are recorded as the caller gave them, so that load_from_checkpoint builds the same model.
# Seen: the local variables are read at the moment of the call. A line before it that scales an argument (a rate by the batch
# size, a warm-up from a share to steps) is recorded as scaled, and done once more at each load: a rate of 0.1 is 1.0 in
# training, 10.0 after one load and 100.0 after the next, and the logged value is not what the config said. Call it first.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 lightning==2.6.6
cd "$place" && "$place/venv/bin/python" -W ignore - 2>/dev/null <<'PY'
import lightning as L
import torch


class Model(L.LightningModule):
    def __init__(self, rate):
        super().__init__()
        rate = rate * 10
        self.save_hyperparameters()
        self.rate, self.weight = rate, torch.nn.Parameter(torch.zeros(1))


class First(L.LightningModule):
    def __init__(self, rate):
        super().__init__()
        self.save_hyperparameters()
        self.rate, self.weight = rate * 10, torch.nn.Parameter(torch.zeros(1))


def rates(model):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    seen = [model.rate]
    for _ in range(2):
        trainer = L.Trainer(**quiet)
        trainer.strategy.connect(model)
        trainer.save_checkpoint("model.ckpt")
        model = type(model).load_from_checkpoint("model.ckpt")
        seen.append(model.rate)
    return seen


late, first = rates(Model(rate=0.1)), rates(First(rate=0.1))
print(f"lightning {L.__version__}: rate of a model and after each load {late}; recorded before the change {first}")
assert first == [1.0, 1.0, 1.0]
assert late == [1.0, 10.0, 100.0], "arguments are recorded as given now"
PY
