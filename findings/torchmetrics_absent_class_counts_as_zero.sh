#!/usr/bin/env bash
# torchmetrics 1.9.0: a class without an example counts as an AUROC and an average precision of 0 in the macro mean.
#
# Guessed: where a class has no positive row its AUROC is not defined, so it is left out of the mean or the result is nan
# (scikit-learn gives nan or refuses).
# Seen: a warning once, then 0 for that class within the mean: perfect predictions have a macro AUROC of 0.667 when one of
# three classes is absent. On a small validation set, or per batch, models look worse the rarer their labels are.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torchmetrics
from torchmetrics.classification import MulticlassAUROC, MultilabelAUROC, MultilabelAveragePrecision

rows = torch.tensor([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.9, 0.05, 0.05]])
several = float(MulticlassAUROC(3)(rows, torch.tensor([0, 1, 0])))
scores, labels = torch.tensor([[0.9, 0.2], [0.1, 0.3], [0.8, 0.1]]), torch.tensor([[1, 0], [0, 0], [1, 0]])
area, precision = float(MultilabelAUROC(2)(scores, labels)), float(MultilabelAveragePrecision(2)(scores, labels))
each = MultilabelAveragePrecision(2, average=None)(scores, labels).abs().tolist()
print("torchmetrics", torchmetrics.__version__, "AUROC", round(several, 3), area, "AP", precision, each)
assert round(several, 3) == 0.667, "absent classes are left out of the macro AUROC now"
assert (area, precision, each) == (0.5, 0.5, [1.0, 0.0]), "labels without positives count otherwise now"
PY
