#!/usr/bin/env bash
# datasets 5.2.0: a state that was loaded into a stream is applied at every later pass too.
#
# Guessed: load_state_dict puts a stream where it was, once; the next pass over it begins at the first row.
# Seen: every later pass begins at the same place, so an epoch after a resume has 6 of 10 rows, and so have all that follow, in
# silence. set_epoch with another number ends it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - <<'PY'
import datasets
from datasets import Dataset


def stream():
    return Dataset.from_dict({"row": list(range(10))}).to_iterable_dataset()


first = stream()
rows = iter(first)
for _ in range(4):
    next(rows)
resumed = stream()
resumed.load_state_dict(first.state_dict())
passes = [[row["row"] for row in resumed] for _ in range(3)]
resumed.set_epoch(1)
after = [row["row"] for row in resumed]
print("datasets", datasets.__version__, "passes after a resume:", passes, "after set_epoch(1):", after)
assert passes[0] == list(range(4, 10))
assert passes[1] == passes[2] == passes[0], "later passes are whole now"
assert after == list(range(10))
PY
