#!/usr/bin/env bash
# torch 2.13.0: cross_entropy with class weights and label smoothing is no weighted mean of smoothed losses.
#
# Guessed: each example has a smoothed loss, its weight is that of its class, and the mean divides by the sum of these weights.
# Seen: in the smoothing part every class counts with its own weight, whatever the example is, while the divisor is still the
# sum of the examples' weights: a rare class with a large weight pulls every example towards it. Here 1.05 instead of 0.89.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 numpy
"$place/venv/bin/python" -W ignore - <<'PY'
import torch
import torch.nn.functional as F

torch.manual_seed(0)
logits, labels = torch.randn(6, 3), torch.tensor([0, 0, 0, 1, 1, 2])
weights, smoothing = torch.tensor([0.1, 1.0, 5.0]), 0.2
found = F.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
losses = -logits.log_softmax(-1)
own = losses.gather(1, labels[:, None])[:, 0]
smoothed = (1 - smoothing) * own + smoothing * losses.mean(1)
guessed = (weights[labels] * smoothed).sum() / weights[labels].sum()
spread = smoothing / 3 * (weights * losses).sum()
seen = ((1 - smoothing) * (weights[labels] * own).sum() + spread) / weights[labels].sum()
print(f"torch {torch.__version__}: {found:.4f}, the weighted mean of smoothed losses is {guessed:.4f}")
assert torch.isclose(found, seen)
assert abs(found - guessed) > 0.1, "it is the weighted mean now"
PY
