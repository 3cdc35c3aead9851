#!/usr/bin/env bash
# scikit-learn 1.9.1: the Brier score of the same predictions doubles when a class is added that nobody predicts.
#
# Guessed: two columns of probabilities are scored as three are: the mean over rows of the sum over classes of (p - y)^2.
# Seen: two classes are halved and three are not (`scale_by_half="auto"`), so 0.11 becomes 0.22 by an empty third class, and a table
# over data sets of two and more classes has two units in one column. scale_by_half=False gives one.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1
"$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import sklearn
from sklearn.metrics import brier_score_loss

labels, positive = np.array([0, 1, 1, 0]), np.array([0.2, 0.7, 0.6, 0.4])
two = np.stack([1 - positive, positive], 1)
three = np.concatenate([two, np.zeros((4, 1))], 1)
usual = [brier_score_loss(labels, p, labels=range(p.shape[1])) for p in (two, three)]
whole = [brier_score_loss(labels, p, labels=range(p.shape[1]), scale_by_half=False) for p in (two, three)]
print("scikit-learn", sklearn.__version__, "two and three classes", usual, "scale_by_half=False", whole)
assert np.isclose(2 * usual[0], usual[1]), "two and three classes are of one scale now"
assert np.isclose(*whole), "the whole sum differs too"
PY
