#!/usr/bin/env bash
# torch 2.13.0: ReduceLROnPlateau takes a constant negative value for an improvement, for ever.
#
# Guessed: a monitored value that does not move, or gets worse, is a plateau: the learning rate falls after `patience` epochs.
# Seen: the relative threshold multiplies the best value, so below zero it moves the bar the wrong way: with a best of -1 a
# value must be below -0.9999 to be better, and -1 is. A loss that stays at -1 (a log-density, a similarity that is to be
# high), or rises by less than a ten-thousandth an epoch, never lowers the rate; with mode="max" a negative score does the
# same. The same values plus 10 lower it. threshold_mode="abs" does what was guessed.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau


def last_rate(values, **options):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = ReduceLROnPlateau(optimizer, patience=2, min_lr=0.1, **options)
    for value in values:
        scheduler.step(value)
    return optimizer.param_groups[0]["lr"]


flat, rising = [-1.0] * 20, [-10 + 0.0009 * epoch for epoch in range(20)]
seen = {
    "constant -1": last_rate(flat),
    "constant -1, to be high": last_rate(flat, mode="max"),
    "rising from -10": last_rate(rising),
    "constant 9": last_rate([value + 10 for value in flat]),
    "constant -1, absolute": last_rate(flat, threshold_mode="abs"),
}
print("torch", torch.__version__, "learning rate after 20 epochs, from 1.0:", seen)
assert seen["constant 9"] == seen["constant -1, absolute"] == 0.1
assert [seen[name] for name in list(seen)[:3]] == [1.0, 1.0, 1.0], "negative plateaus are seen now"
PY
