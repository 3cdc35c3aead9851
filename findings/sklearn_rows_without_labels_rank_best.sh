#!/usr/bin/env bash
# scikit-learn 1.9.1: an example without any label ranks perfectly, whatever is predicted.
#
# Guessed: label_ranking_average_precision_score leaves out examples that have no label (or all of them), since there is
# nothing to rank; a score then depends on the others alone.
# Seen: each counts 1.0 (and 0.0, the best, in label_ranking_loss). A model whose one ranking is as bad as can be scores 0.33 on it,
# and 0.93 where nine examples without a label stand beside it: the score of a multilabel task rises with its empty examples.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1
"$place/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import sklearn
from sklearn.metrics import label_ranking_average_precision_score, label_ranking_loss

labels = np.concatenate([[[1, 0, 0]], np.zeros((9, 3), dtype=int)])
scores = np.tile([0.1, 0.2, 0.3], (10, 1))
precision = [round(label_ranking_average_precision_score(labels[:n], scores[:n]), 3) for n in (1, 10)]
loss = [round(label_ranking_loss(labels[:n], scores[:n]), 3) for n in (1, 10)]
print("scikit-learn", sklearn.__version__, "alone and beside nine empty examples: precision", precision, "loss", loss)
assert precision == [0.333, 0.933] and loss == [1.0, 0.1], "examples without labels are left out now"
PY
