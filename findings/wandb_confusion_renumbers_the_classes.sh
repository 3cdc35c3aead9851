#!/usr/bin/env bash
# wandb 0.31.0: a confusion matrix without class names gives classes other numbers where one of them does not occur.
#
# Guessed: wandb.plot.confusion_matrix of class ids and without class_names names the classes by their ids, or Class_1, Class_2, ... in
# their order, so a class that occurs neither among the labels nor among the predictions leaves a gap.
# Seen: the ids that occur are numbered anew from 1. Of ten classes without the second, all from the third on stand under the name of
# the one before; two charts of one run, or of two runs, mean other classes by the same name as soon as a small validation set or a
# model that gave up a class lacks one. Nothing is said. With class_names all classes keep their places.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check wandb==0.31.0 numpy==2.4.6
cd "$place"
WANDB_MODE=offline WANDB_SILENT=true "$place/venv/bin/python" - <<'PY'
import warnings

import wandb
from wandb.plot import confusion_matrix

warnings.simplefilter("error")


def counted(labels, predictions, **names):
    rows = confusion_matrix(y_true=labels, preds=predictions, **names).table.data
    return {(truth, found): int(count) for truth, found, count in rows if count}


all_occur = counted([0, 1, 2, 2], [0, 1, 2, 0])
one_lacks = counted([0, 0, 2, 2], [0, 0, 2, 0])
named = counted([0, 0, 2, 2], [0, 0, 2, 0], class_names=["no", "maybe", "yes"])
print("wandb", wandb.__version__, "all classes occur", all_occur, "the second does not", one_lacks, "with names", named)
assert all_occur["Class_3", "Class_1"] == 1 and named["yes", "no"] == 1
assert one_lacks == {("Class_1", "Class_1"): 2, ("Class_2", "Class_1"): 1, ("Class_2", "Class_2"): 1}, "class 2 keeps its number now"
PY
