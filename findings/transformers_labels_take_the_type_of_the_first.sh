#!/usr/bin/env bash
# transformers 5.23.0: the default collator makes all labels of a batch what the first one is: whole numbers, or none.
#
# Guessed: labels of 4, 3.5 and 2.8 (similarities, read from JSON) become a tensor of floats in any order; a row without a label
# among others is an error.
# Seen: a batch that begins with 4 has the labels 4, 3, 2: cut to whole numbers, with no message, and the model trains on
# them with a loss for classes or for numbers, by the order of the batch. A batch that begins with a label of None has no
# labels at all. Turning every label into a float beforehand keeps them.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 transformers==5.23.0
TRANSFORMERS_VERBOSITY=error "$place/venv/bin/python" -W ignore - <<'PY'
import transformers
from transformers import default_data_collator


def labels(*given):
    batch = default_data_collator([{"input_ids": [1, 2], "label": label} for label in given])
    return [round(label, 2) for label in batch["labels"].tolist()] if "labels" in batch else sorted(batch)


seen = {"3.5 first": labels(3.5, 4, 2.8), "4 first": labels(4, 3.5, 2.8), "None first": labels(None, 3.5, 2.8)}
print("transformers", transformers.__version__, "labels 4, 3.5 and 2.8:", seen)
assert seen["3.5 first"] == [3.5, 4.0, 2.8]
assert seen["4 first"] == [4, 3, 2], "labels keep their values now"
assert seen["None first"] == ["input_ids"]
PY
