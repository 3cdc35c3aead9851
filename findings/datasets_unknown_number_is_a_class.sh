#!/usr/bin/env bash
# datasets 5.2.0: a label that is none of the names becomes another class where it looks like a number.
#
# Guessed: turning texts into a ClassLabel raises for a text that is no name, as it does for words; so names that were taken from the
# training rows find out by themselves when a test file has a class that training lacks.
# Seen: what is no name is read as the number of a class. Of the ratings 1, 2, 4 and 5 (no 3 in training) the rating "3" becomes
# class 3, which is "5": the middle is learned, or scored, as the best. cast_column, encode_example and str2int all do so.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$place/venv/bin/python" -W error::UserWarning - <<'PY'
import datasets
from datasets import ClassLabel, Dataset

training = Dataset.from_dict({"label": ["5", "1", "4", "2", "1"]}).class_encode_column("label")
stars = training.features["label"]
test = Dataset.from_dict({"label": ["5", "3", "1"]}).cast_column("label", stars)
ways = [test["label"][1], stars.encode_example("3"), stars.str2int("3")]
words = ClassLabel(names=["bad", "good"])
refused = []
for given, features in (("fair", words), ("9", stars)):
    try:
        Dataset.from_dict({"label": [given]}).cast_column("label", features)
    except ValueError as error:
        refused.append(str(error)[:40])
print("datasets", datasets.__version__, stars.names, "3 becomes", stars.int2str(ways), "refused:", refused)
assert stars.names == ["1", "2", "4", "5"] and len(refused) == 2
assert stars.int2str(test["label"][:]) == ["5", "5", "1"] and ways == [3, 3, 3], "a number that is no name is refused now"
PY
