#!/usr/bin/env bash
# torchmetrics 1.9.0: a class that is left out by ignore_index counts as a zero in the macro mean once it is predicted.
#
# Guessed: MulticlassF1Score(num_classes=3, average="macro", ignore_index=0) is the mean of the F1 of the classes 1 and 2
# over the rows that are not of class 0.
# Seen: one prediction of class 0 on such a row makes it a third class with an F1 of 0: 0.3 instead of 0.45. While the model
# never predicts it the mean is over two. So a tagger whose "O" is ignored loses a share of its score that grows as classes
# get fewer, and with a single prediction; scikit-learn with labels=[1, 2] gives the mean of the two.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 scikit-learn==1.9.1
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torchmetrics
from sklearn.metrics import f1_score
from torchmetrics.classification import MulticlassF1Score

true, predicted = torch.tensor([0, 1, 2, 2, 1, 1]), torch.tensor([0, 1, 2, 1, 2, 0])


def both(true, predicted):
    kept = true != 0
    here = MulticlassF1Score(3, average="macro", ignore_index=0)(predicted, true)
    there = f1_score(true[kept], predicted[kept], labels=[1, 2], average="macro")
    return round(float(here), 3), round(float(there), 3)


seen = {"class 0 predicted once": both(true, predicted), "never": both(true[:-1], predicted[:-1])}
print("torchmetrics", torchmetrics.__version__, "macro F1 without class 0 (here, scikit-learn):", seen)
assert seen["never"] == (0.5, 0.5)
assert seen["class 0 predicted once"] == (0.3, 0.45), "the ignored class stays out of the mean now"
PY
