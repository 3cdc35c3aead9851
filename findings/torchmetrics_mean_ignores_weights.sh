#!/usr/bin/env bash
# torchmetrics 1.9.0: MeanMetric(nan_strategy="disable") ignores its weights.
#
# Guessed: the option only leaves out the search for NaN, so that a NaN shows in the mean and no step waits for the
# device; values 1 and 3 with weights 1 and 3 have the mean 2.5 under every strategy.
# Seen: 2.5 with "warn", "ignore", "error" and a float; 2.0 with "disable", silently: every weight is replaced by 1. A
# validation loss averaged over batches of unequal size, or over words, is then another number.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/venv/bin/python" - <<'PY'
import torch
import torchmetrics

found = {}
for strategy in ("warn", "ignore", "error", 0.0, "disable"):
    metric = torchmetrics.MeanMetric(nan_strategy=strategy)
    metric.update(torch.tensor([1.0, 3.0]), weight=torch.tensor([1.0, 3.0]))
    found[strategy] = float(metric.compute())
print("torchmetrics", torchmetrics.__version__, found)
assert found.pop("disable") == 2.0, "the weights count now"
assert set(found.values()) == {2.5}, "another strategy changed"
PY
