#!/usr/bin/env bash
# torchmetrics 1.9.0: the Matthews correlation of a model that always gives one class is not 0.
#
# Guessed: a constant prediction is related to nothing: 0, as scikit-learn gives it and as CoLA's results are reported.
# Seen: it depends on the share of the class and on the number of rows: 0.276 when 7 of 10 rows are of that class, -0.474 when
# 2 of 10 are, 0.028 with 1,000 rows, since a small number stands in for the zero of the denominator. A run that
# collapsed looks like one that learned something, most on the small validation sets of few labels; where every row is of
# the class that is predicted the result is 1.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torchmetrics
from sklearn.metrics import matthews_corrcoef
from torchmetrics.classification import BinaryMatthewsCorrCoef


def both(positive, negative):
    labels = torch.tensor([1] * positive + [0] * negative)
    always = torch.ones_like(labels)
    return round(float(BinaryMatthewsCorrCoef()(always, labels)), 3), float(matthews_corrcoef(labels, always))


seen = {f"{positive} of {positive + negative}": both(positive, negative) for positive, negative in [(7, 3), (2, 8), (700, 300)]}
print("torchmetrics", torchmetrics.__version__, "always the same class (here, scikit-learn):", seen)
assert all(reference == 0 for _, reference in seen.values())
assert [here for here, _ in seen.values()] == [0.276, -0.474, 0.028], "a constant prediction scores otherwise now"
PY
