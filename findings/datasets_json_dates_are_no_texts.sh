#!/usr/bin/env bash
# datasets 5.2.0: a JSON column of texts that look like dates is no column of texts.
#
# Guessed: what stands in quotation marks in a JSON Lines file is a string, as in every JSON parser.
# Seen: where all texts of a column look like ISO dates, it is read as timestamps and gives datetime objects: targets such as
# "2024-01-05" (dates to be normalised, answers that are dates) reach a tokenizer as another type. One row with another text
# and the whole column stays text, so that the type of a column depends on its rows, and may differ between splits.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HOME="$place/hub" "$place/venv/bin/python" -W ignore - "$place" <<'PY'
import json
import sys
from pathlib import Path

import datasets

datasets.disable_progress_bars()
place = Path(sys.argv[1])


def read(name, targets):
    path = place / f"{name}.jsonl"
    path.write_text("".join(json.dumps({"input": "a date", "target": text}) + "\n" for text in targets), "utf-8")
    return datasets.load_dataset("json", data_files=str(path), split="train")


dates, mixed = read("dates", ["2024-01-05", "2024-01-06"]), read("mixed", ["2024-01-05", "unknown"])
print(f"datasets {datasets.__version__}: {dates.features['target']}, first row {dates[0]['target']!r}")
print(f"with one other text: {mixed.features['target']}, first row {mixed[0]['target']!r}")
assert mixed[0]["target"] == "2024-01-05"
assert dates.features["target"].dtype.startswith("timestamp"), "texts stay texts now"
PY
