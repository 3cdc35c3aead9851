#!/usr/bin/env bash
# torchmetrics 1.9.0: AUROC and average precision of logits lose the order of those that are sure.
#
# Guessed: both measures look at the order alone, which a sigmoid keeps, so logits and any rising function of them agree.
# Seen: logits go through a sigmoid in their own dtype first, and all that round to 1 are ties: under autocast (bfloat16) from
# about 6.3 on, in float32 from about 17. Logits that separate the classes perfectly score 0.5; divided by ten they score 1.
# Large positive logits alone are hit: the same numbers below zero keep their order.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torchmetrics
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

labels = torch.tensor([0, 1, 0, 1])


def score(logits):
    return float(BinaryAUROC()(logits, labels)), float(BinaryAveragePrecision()(logits, labels))


half, full = torch.tensor([6.5, 8.0, 7.0, 9.0]).bfloat16(), torch.tensor([18.0, 30.0, 20.0, 40.0])
seen = {"bfloat16": score(half), "as float32": score(half.float()), "float32": score(full), "a tenth": score(full / 10)}
seen["below zero"] = score((half - 16).bfloat16())
print("torchmetrics", torchmetrics.__version__, "AUROC and average precision of a perfect order:", seen)
assert seen["as float32"] == seen["a tenth"] == seen["below zero"] == (1.0, 1.0)
assert seen["bfloat16"] == seen["float32"] == (0.5, 0.5), "logits are ordered as they are now"
PY
