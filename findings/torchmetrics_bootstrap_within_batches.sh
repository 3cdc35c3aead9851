#!/usr/bin/env bash
# torchmetrics 1.9.0: the spread of BootStrapper depends on the batch size, and is 0 with batches of one.
#
# Guessed: BootStrapper(sampling_strategy="multinomial") draws test examples with replacement, so that its standard
# deviation is that of the score over test sets: sqrt(p (1 - p) / n), about 0.027 for 256 answers of which 74 % are
# right.
# Seen: it draws within each update. In one batch the deviation is 0.025; in batches of one (or with a loader that
# gives one example) every draw is the batch itself and the deviation is 0.0. An interval made of it says that the
# score is certain. Batches sorted by length, or by class, are strata as well. "poisson", the default, does not depend
# on them.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/venv/bin/python" - <<'PY'
import torch
import torchmetrics
from torchmetrics.classification import BinaryAccuracy
from torchmetrics.wrappers import BootStrapper

torch.manual_seed(0)
answers, labels = (torch.rand(256) < 0.7).int(), torch.ones(256).int()


def spread(way, size):
    torch.manual_seed(1)
    metric = BootStrapper(BinaryAccuracy(), num_bootstraps=200, sampling_strategy=way)
    for start in range(0, 256, size):
        metric.update(answers[start : start + size], labels[start : start + size])
    return round(float(metric.compute()["std"]), 4)


share = answers.float().mean()
formula = float((share * (1 - share) / 256).sqrt())
found = {way: [spread(way, size) for size in (256, 1)] for way in ("multinomial", "poisson")}
print("torchmetrics", torchmetrics.__version__, "formula", round(formula, 4), "whole and one by one", found)
assert abs(found["multinomial"][0] - formula) < 0.006
assert found["multinomial"][1] == 0.0, "it draws over all batches now"
assert all(abs(one - formula) < 0.006 for one in found["poisson"])
PY
