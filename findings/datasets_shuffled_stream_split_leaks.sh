#!/usr/bin/env bash
# datasets 5.2.0: a stream that is shuffled and then split by take and skip leaks held-out rows from its second epoch on.
#
# Guessed: take(5) and skip(5) of one shuffled stream with a fixed seed are two parts that have no row in common, in any epoch.
# Seen: set_epoch on the training part, which a trainer calls before each epoch, shuffles anew beneath the skip: other rows
# are skipped, and rows of the validation set are trained on, while rows of the training set go missing. Epoch 0 is clean,
# so a check at the start finds nothing. Split first and shuffle the training part: then they stay apart.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - <<'PY'
import datasets
from datasets import Dataset


def common(held_out, training):
    """How many held-out rows each of three epochs trains on."""
    rows, counts = {row["row"] for row in held_out}, []
    for epoch in range(3):
        training.set_epoch(epoch)
        counts.append(len(rows & {row["row"] for row in training}))
    return counts


plain = Dataset.from_dict({"row": list(range(20))}).to_iterable_dataset()
shuffled = plain.shuffle(seed=0, buffer_size=20)
late = common(shuffled.take(5), shuffled.skip(5))
early = common(plain.take(5), plain.skip(5).shuffle(seed=0, buffer_size=20))
print(f"datasets {datasets.__version__}: held-out rows in the training of epochs 0 to 2: {late}; split before the shuffle: {early}")
assert early == [0, 0, 0] and late[0] == 0
assert late[1] > 0 and late[2] > 0, "the parts stay apart now"
PY
