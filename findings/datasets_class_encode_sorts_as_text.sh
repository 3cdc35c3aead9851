#!/usr/bin/env bash
# datasets 5.2.0: class_encode_column gives integer labels other integers as soon as there are more than ten of them.
#
# Guessed: a column of the integers 0 to 11 becomes classes whose ids are these integers.
# Seen: the values are turned into text and sorted as text, so the classes are 0, 1, 10, 11, 2, ...: label 2 gets id 4 and
# label 10 gets id 2. With ten classes or fewer nothing changes, so a test on a small task does not show it; predictions that
# are written as ids, or a model that was trained on the integers, disagree without a message.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HOME="$place/hub" "$place/venv/bin/python" -W ignore - <<'PY'
import datasets
from datasets import Dataset

datasets.disable_progress_bars()
few, many = (Dataset.from_dict({"label": list(range(count))}).class_encode_column("label") for count in (10, 12))
print(f"datasets {datasets.__version__}: 0 to 9 become {few['label'][:]}, 0 to 11 become {many['label'][:]}")
assert few["label"][:] == list(range(10))
assert many.features["label"].names[:4] == ["0", "1", "10", "11"]
assert many["label"][:] == [0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 2, 3], "the ids are the integers now"
PY
