#!/usr/bin/env bash
# torch 2.13.0: inside one autocast context every forward reads the weights that the first one read.
#
# Guessed: autocast casts the weights at each forward, so it does not matter whether the context is entered once around a loop
# or once a step; only that backward should stand outside.
# Seen: the cast copies of trainable weights are kept until the context ends. Checkpoints that are loaded one after the other
# inside it all give the output of the first one, also without gradients, and a training loop inside it has the same loss in
# every step while the weights move. Nothing is said; cache_enabled=False or a context for each forward gives the right ones.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
from contextlib import nullcontext
from functools import partial

import torch
from torch.nn.functional import cross_entropy

torch.manual_seed(0)
rows, labels = torch.randn(16, 4), torch.randint(0, 2, (16,))
states = [torch.nn.Linear(4, 2).state_dict() for _ in range(3)]
cast = partial(torch.autocast, "cpu", dtype=torch.bfloat16)


def evaluate(outer, inner):
    layer, scores = torch.nn.Linear(4, 2), []
    with outer, torch.no_grad():
        for state in states:
            layer.load_state_dict(state)
            with inner():
                scores.append(round(float(cross_entropy(layer(rows).float(), labels)), 3))
    return scores


def train(outer, inner):
    layer, losses = torch.nn.Linear(4, 2), []
    layer.load_state_dict(states[0])
    optimizer = torch.optim.SGD(layer.parameters(), lr=1.0)
    with outer:
        for _ in range(3):
            with inner():
                loss = cross_entropy(layer(rows), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(round(float(loss), 3))
    return losses


once, each = evaluate(cast(), nullcontext), evaluate(nullcontext(), cast)
stuck, moving = train(cast(), nullcontext), train(nullcontext(), cast)
print(f"torch {torch.__version__}: losses of three checkpoints {once} in one context, {each} in three")
print(f"three steps of training {stuck} in one context, {moving} in three")
assert len(set(each)) == 3 and len(set(moving)) == 3
assert len(set(once)) == 1 and len(set(stuck)) == 1, "new weights are read inside one context now"
PY
