#!/usr/bin/env bash
# torchmetrics 1.9.0: the calibration error of the same predictions is 0.18 as a binary task and 0.01 as two classes.
#
# Guessed: the expected calibration error of two classes is one number, whether the model has one output or two.
# Seen: with two classes it is about the confidence in the predicted class, with the binary task about the probability of class 1.
# A model that says too much of class 1 everywhere is too sure on one side of one half and not sure enough on the other, which
# cancel out in the first. So `task="multiclass"` in place of `task="binary"` looks like a model that is better calibrated by far.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torchmetrics

draws = torch.Generator().manual_seed(0)
positive = torch.rand(5000, generator=draws)
# class 1 is rarer than the model says, everywhere
labels = (torch.rand(5000, generator=draws) < positive**2).long()
both = torch.stack([1 - positive, positive], 1)
binary = float(torchmetrics.CalibrationError("binary", n_bins=10)(positive, labels))
classes = float(torchmetrics.CalibrationError("multiclass", num_classes=2, n_bins=10)(both, labels))
print("torchmetrics", torchmetrics.__version__, f"binary {binary:.3f} two classes {classes:.3f}")
assert torch.equal(both.argmax(1), (positive > 0.5).long()), "these are other predictions"
assert binary > 0.15 and classes < 0.03, "both tasks measure the same now"
PY
