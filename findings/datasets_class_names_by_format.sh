#!/usr/bin/env bash
# datasets 5.2.0: the same labels under the same features get other classes from CSV than from JSON.
#
# Guessed: with ClassLabel(names=["1", "2", "3"]) the label 1 of a file is the class named "1", whatever the format of the file.
# Seen: CSV gives texts, which are looked up among the names: 1 becomes class 0. JSON gives integers, which are taken for
# class ids: 1 becomes class 1, named "2". Ratings from 1 to 5 that are trained from one format and tested from the other are
# off by one; an error comes only where the highest one occurs. And cast_column after reading CSV does as JSON does.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
HF_HOME="$place/hub" HF_HUB_OFFLINE=1 "$place/venv/bin/python" -W ignore - "$place" <<'PY'
import sys
from pathlib import Path

import datasets
from datasets import ClassLabel, Features, Value, load_dataset

datasets.disable_progress_bars()
features = Features({"text": Value("string"), "label": ClassLabel(names=["1", "2", "3"])})
table, lines = Path(sys.argv[1]) / "rows.csv", Path(sys.argv[1]) / "rows.jsonl"
table.write_text("text,label\na,1\nb,2\n", "utf-8")
lines.write_text('{"text": "a", "label": 1}\n{"text": "b", "label": 2}\n', "utf-8")


def names(kind, path):
    read = load_dataset(kind, data_files=str(path), split="train", features=features)
    return features["label"].int2str(read["label"][:])


cast = load_dataset("csv", data_files=str(table), split="train").cast_column("label", features["label"])
seen = {"CSV": names("csv", table), "JSON": names("json", lines), "CSV, cast": features["label"].int2str(cast["label"][:])}
print("datasets", datasets.__version__, "names of the classes of the labels 1 and 2:", seen)
assert seen["CSV"] == ["1", "2"]
assert seen["JSON"] == seen["CSV, cast"] == ["2", "3"], "integers are looked up among the names now"
PY
