#!/usr/bin/env bash
# datasets 5.2.0: casting a ClassLabel to another order of its names gives every row another label.
#
# Guessed: a cast from ClassLabel(neg, pos) to ClassLabel(pos, neg), as one does to give two data sets the same features before
# joining them, keeps what the rows say and changes their numbers, or is refused.
# Seen: the numbers stay, so that each "neg" becomes "pos", without a word. A cast from text of the same names is by name.
# `align_labels_with_mapping` does what was meant; a cast does it nowhere, so joining two sentiment sets trains on noise.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$place/venv/bin/python" -W ignore - <<'PY'
import datasets
from datasets import ClassLabel, Dataset


def named(rows):
    return [rows.features["label"].int2str(number) for number in rows["label"]]


other = ClassLabel(names=["pos", "neg"])
text = Dataset.from_dict({"label": ["neg", "pos", "pos"]})
first = text.cast_column("label", ClassLabel(names=["neg", "pos"]))
of_text, of_classes = named(text.cast_column("label", other)), named(first.cast_column("label", other))
print("datasets", datasets.__version__, "from text", of_text, "from classes", of_classes)
assert named(first) == of_text == ["neg", "pos", "pos"], "a cast from text is no longer by name"
assert of_classes == ["pos", "neg", "neg"], "a cast keeps the names of the rows now"
PY
