#!/usr/bin/env bash
# torch 2.13.0: a class attribute hides the module that is set under its name.
#
# Guessed: `head: Module | None = None` in the class body is a default; self.head = Linear(...) in __init__ replaces it, as for
# every other Python class.
# Seen: the module is registered (it is printed, counted, saved, and handed to the optimizer) but self.head is still None,
# since modules are kept aside and found only where the ordinary look-up fails. `if self.head is not None` is never true: the
# layer is skipped, never trained, and no message tells it. A plain value set by the same line is read back as it should.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
from torch import nn


class Encoder(nn.Module):
    head: nn.Module | None = None
    name: str | None = None

    def __init__(self):
        super().__init__()
        self.body, self.head, self.name = nn.Linear(4, 4), nn.Linear(4, 2), "small"

    def forward(self, rows):
        hidden = self.body(rows)
        return hidden if self.head is None else self.head(hidden)


model = Encoder()
width = model(torch.ones(1, 4)).shape[-1]
print(f"torch {torch.__version__}: self.name {model.name!r}, self.head {model.head}, width of the output {width}")
print("in the state:", sorted(model.state_dict()), "among the children:", dict(model.named_children())["head"])
assert model.name == "small" and "head.weight" in model.state_dict()
assert model.head is None and width == 4, "the module is found under its name now"
PY
