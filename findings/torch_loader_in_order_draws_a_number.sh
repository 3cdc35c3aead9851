#!/usr/bin/env bash
# torch 2.13.0: going through a loader that neither shuffles nor has workers draws from the global generator.
#
# Guessed: a validation loader in order, without workers, on a model in eval mode, uses no random number, so validating more or
# less often leaves the training as it is.
# Seen: each pass draws one number (a seed for workers that are not there). Dropout and the order of the following epochs
# differ: with the same seed, two runs that differ only in how often they validate end with other weights. A loader with a
# generator of its own leaves the global one alone.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
from torch.utils.data import DataLoader


def train(validations, **options):
    torch.manual_seed(0)
    layer, dropout, held_out = torch.nn.Linear(4, 1), torch.nn.Dropout(0.5), DataLoader(torch.ones(8, 4), **options)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    for step in range(4):
        optimizer.zero_grad()
        layer(dropout(torch.ones(2, 4))).sum().backward()
        optimizer.step()
        if step < validations:
            with torch.no_grad():
                [layer(rows) for rows in held_out]
    return [round(float(value), 3) for value in layer.weight[0]]


never, twice = train(0), train(2)
apart = train(2, generator=torch.Generator())
print(f"torch {torch.__version__}: weights without validation {never}, with two validations {twice}")
print("with two validations, and a generator for their loader:", apart)
assert apart == never
assert twice != never, "a loader in order draws nothing now"
PY
