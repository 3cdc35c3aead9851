#!/usr/bin/env bash
# torchmetrics 1.9.0: whether a number is a logit or a probability is decided anew for each batch, by its largest value.
#
# Guessed: binary and multi-label metrics take logits and apply a sigmoid, so a logit of 0.3 (probability 0.57) counts as
# positive at the threshold 0.5, in whatever batch it stands.
# Seen: it counts as negative where no number of its batch lies outside [0, 1], and as positive once one does. The same
# predictions give a micro F1 of 0.0, or 1.0 with one further row; in two batches or in one they differ, silently. Small
# logits are what an untrained head gives. Calibration of several classes does the same with the softmax.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/venv/bin/python" - <<'PY'
import torch
import torchmetrics
from torchmetrics.classification import BinaryAccuracy, MulticlassCalibrationError, MultilabelF1Score

small, large = torch.tensor([[0.3, 0.2], [0.4, 0.1]]), torch.tensor([[3.0, 3.0]])


def score(*batches):
    metric = MultilabelF1Score(2, average="micro")
    for logits in batches:
        metric.update(logits, torch.ones_like(logits, dtype=torch.long))
    return round(float(metric.compute()), 4)


together, apart = score(torch.cat([small, large])), score(small, large)
binary = [float(BinaryAccuracy()(torch.tensor(x), torch.ones(len(x), dtype=torch.long))) for x in ([0.3], [0.3, 3.0])]
rows, labels = torch.tensor([[0.9, 0.2], [0.8, 0.1]]), torch.tensor([0, 1])
ece = [round(float(MulticlassCalibrationError(2, n_bins=15)(x, labels)), 3) for x in (rows, rows.softmax(-1))]
print("torchmetrics", torchmetrics.__version__, "F1", score(small), together, apart, "accuracy", binary, "ECE", ece)
assert (score(small), together, apart) == (0.0, 1.0, 0.5), "the same logits count alike in every batch now"
assert binary == [0.0, 1.0], "binary metrics changed"
assert ece[0] != ece[1], "calibration takes the softmax of small logits now"
PY
