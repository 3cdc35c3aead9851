#!/usr/bin/env bash
# baycomp 1.0.3: of two systems with equal scores on every data set, the one that is named first is probably the better.
#
# Guessed: two_on_multiple of ten equal pairs of scores, without a rope, gives either system 0.5, as two_on_single does.
# Seen: about 0.68 for the first and 0.32 for the second, whichever comes first. Where two of ten data sets differ, by 0.01, it is sure
# (above 0.99). With a rope of 0.001 equal systems are equal with a probability of 1. So with data sets that tie, as rounded scores do,
# the order of the arguments is part of the answer.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check baycomp==1.0.3 numpy==2.4.6
"$place/venv/bin/python" - <<'PY'
from importlib.metadata import version

import baycomp
import numpy as np

np.random.seed(0)
scores = np.linspace(0.7, 0.9, 10)
better = scores + np.array([0.01, 0.01] + [0.0] * 8)


def shares(how, first, second, **rope):
    """What the first and the second system get, and what being equal gets."""
    found = [round(float(share), 3) for share in how(first, second, **rope)]
    return found[0], found[-1], sum(found[1:-1])


single = shares(baycomp.two_on_single, scores, scores.copy())
several = shares(baycomp.two_on_multiple, scores, scores.copy())
rope = shares(baycomp.two_on_multiple, scores, scores.copy(), rope=0.001)
two = shares(baycomp.two_on_multiple, better, scores)
print("baycomp", version("baycomp"), "one set:", single, "ten sets:", several, "with a rope:", rope, "two differ:", two)
assert single == (0.5, 0.5, 0) and rope == (0, 0, 1)
assert several[0] > 0.6 and several[1] < 0.4 and two[0] > 0.99, "equal systems are equal now"
PY
