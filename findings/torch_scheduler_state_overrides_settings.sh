#!/usr/bin/env bash
# torch 2.13.0: a scheduler that is given its old state forgets the settings that it was made with.
#
# Guessed: load_state_dict restores where the schedule is; its length is what the constructor was given, so a run is made longer
# by making the scheduler with a larger T_max and loading the state.
# Seen: T_max (total_iters, step_size, the patience of ReduceLROnPlateau) comes from the state as well: the rate reaches zero
# where the old run would have ended and climbs back up to the full rate afterwards, with no message. LambdaLR, whose
# functions are not stored, follows the new setting, so whether a change counts depends on the class.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import math

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, ReduceLROnPlateau


def rates(make, old, new, steps):
    """The rates of 4 steps of the old schedule, then of the new one with the old one's state."""
    seen, states = [], None
    for length, count in ((old, 4), (new, steps)):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        scheduler = make(optimizer, length)
        if states:
            optimizer.load_state_dict(states[0])
            scheduler.load_state_dict(states[1])
        for _ in range(count):
            optimizer.step()
            scheduler.step()
            seen.append(round(optimizer.param_groups[0]["lr"], 2))
        states = optimizer.state_dict(), scheduler.state_dict()
    return seen


def by_hand(optimizer, length):
    return LambdaLR(optimizer, lambda step: (1 + math.cos(math.pi * step / length)) / 2)


cosine, function = rates(CosineAnnealingLR, 5, 10, 6), rates(by_hand, 5, 10, 6)
patient = ReduceLROnPlateau(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))]), patience=9)
patient.load_state_dict(ReduceLROnPlateau(patient.optimizer, patience=2).state_dict())
print(f"torch {torch.__version__}: T_max 5, after 4 steps 10: cosine {cosine}, LambdaLR {function}; patience {patient.patience}")
assert function[4:] == [0.5, 0.35, 0.21, 0.1, 0.02, 0.0]
assert cosine[4:] == [0.0, 0.1, 0.35, 0.65, 0.9, 1.0] and patient.patience == 2, "the new settings count now"
PY
