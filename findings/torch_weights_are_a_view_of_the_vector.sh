#!/usr/bin/env bash
# torch 2.13.0: vector_to_parameters makes the weights a view of the vector, so training changes the vector that was kept.
#
# Guessed: it copies the numbers into the weights, as load_state_dict does: a vector (the start for a task vector, the best
# weights so far, a mean of runs) can be put into a model, trained on, and still be what it was.
# Seen: the weights share its memory from then on: a step of the optimizer changes the vector too. The difference of the
# trained weights and the start is zero, going back to the best weights goes nowhere, and two models that are filled from one
# vector train each other. vector.clone() at the call keeps them apart.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
from torch.nn.utils import parameters_to_vector, vector_to_parameters


def task_vector(put):
    """Length of the change that a step makes to a start, and of what another model with that start is changed by it."""
    torch.manual_seed(0)
    model, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    start = parameters_to_vector(model.parameters()).detach()
    first = start.clone()
    for part in (model, other):
        put(start, part)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    ends = [parameters_to_vector(part.parameters()).detach() for part in (model, other)]
    return round(float((ends[0] - start).norm()), 3), round(float((ends[1] - first).norm()), 3)


shared = task_vector(lambda vector, model: vector_to_parameters(vector, model.parameters()))
copied = task_vector(lambda vector, model: vector_to_parameters(vector.clone(), model.parameters()))
print(f"torch {torch.__version__}: change of the trained model, of the other one: as it is {shared}, of a copy {copied}")
assert copied == (2.828, 0.0)
assert shared == (0.0, 2.828), "the vector is copied now"
PY
