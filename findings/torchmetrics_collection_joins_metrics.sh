#!/usr/bin/env bash
# torchmetrics 1.9.0: metrics of a collection that differ in ignore_index become one if the first batch does not tell them apart.
#
# Guessed: a collection saves work between metrics that are computed from the same counts; MulticlassAccuracy with ignore_index=0
# and without count other rows, so they stay apart.
# Seen: whether two metrics share is found by comparing their counts after the first batch, and holds for good. A first batch
# without a row of class 0 makes both the same: here 0.571 for both, where the second is 0.5 on its own. Which numbers a
# run reports depends on the order of its rows. compute_groups=False gives the right ones.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torchmetrics
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

batches = [([1, 2, 1], [1, 2, 2]), ([0, 0, 1, 2], [0, 0, 0, 1])]  # predicted and true classes


def score(batches, **options):
    made = {"all": MulticlassAccuracy(3, average="micro"), "no 0": MulticlassAccuracy(3, average="micro", ignore_index=0)}
    collection = MetricCollection(made, **options)
    for predicted, true in batches:
        collection.update(torch.tensor(predicted), torch.tensor(true))
    return {name: round(float(value), 3) for name, value in collection.compute().items()}


shared, turned, apart = score(batches), score(batches[::-1]), score(batches, compute_groups=False)
print(f"torchmetrics {torchmetrics.__version__}: {shared}, the batches the other way round: {turned}, without groups: {apart}")
assert turned == apart == {"all": 0.571, "no 0": 0.5}
assert shared == {"all": 0.571, "no 0": 0.571}, "metrics that differ in a setting stay apart now"
PY
