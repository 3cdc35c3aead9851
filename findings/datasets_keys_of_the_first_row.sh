#!/usr/bin/env bash
# datasets 5.2.0: a key that the first row does not have is lost in map and from_generator.
#
# Guessed: a field that only some rows have (an explanation, a second answer) becomes a column with None elsewhere, as in a JSON
# Lines file, or is refused.
# Seen: the first row decides what columns there are. What later rows have beside it is dropped in silence by map, from_generator
# and from_list (whose documentation says so); the same map on a stream keeps it, and the other way round, a key that
# the first row alone has, is a KeyError in map. A shuffle before the map decides whether the column exists.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
cd "$place" && HF_HOME="$place/hub" HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - <<'PY'
import json
from pathlib import Path

import datasets
from datasets import Dataset

datasets.disable_progress_bars()
made = [{"text": "a"}, {"text": "b", "why": "because"}]
Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made), "utf-8")


def generate():
    yield from made


numbers = Dataset.from_dict({"row": [0, 1]})
seen = {
    "JSON": datasets.load_dataset("json", data_files="rows.jsonl", split="train")[1],
    "stream": list(numbers.to_iterable_dataset().map(lambda row: made[row["row"]], remove_columns="row"))[1],
    "map": numbers.map(lambda row: made[row["row"]], remove_columns="row")[1],
    "generator": Dataset.from_generator(generate)[1],
    "list": Dataset.from_list(made)[1],
}
print("datasets", datasets.__version__, "the second row:", seen)
assert seen["JSON"] == seen["stream"] == made[1]
assert seen["map"] == seen["generator"] == seen["list"] == {"text": "b"}, "keys of later rows are kept now"
PY
