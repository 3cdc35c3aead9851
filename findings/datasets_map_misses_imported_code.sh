#!/usr/bin/env bash
# datasets 5.2.0: map gives the old rows after the code of an imported function was changed.
#
# Guessed: the cache of map is keyed by the function, its code included (as it is for one that is written in the script), so
# a corrected preprocessing is run again.
# Seen: a function that is imported counts by its name alone, given itself or called by a lambda. The file was changed and the
# next process gets the rows of the old code, with no message: a mended fault stays in the data, and a comparison of two
# versions of the preprocessing finds them equal. load_from_cache_file=False runs it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check datasets==5.2.0
cd "$place"
printf 'text\nA b\n' > rows.csv
cat > run.py <<'PY'
import datasets
import preprocessing

datasets.disable_progress_bars()
rows = datasets.load_dataset("csv", data_files="rows.csv", split="train", cache_dir="cache")
seen = [rows.map(preprocessing.clean)["text"][0], rows.map(lambda row: preprocessing.clean(row))["text"][0]]
seen.append(rows.map(preprocessing.clean, load_from_cache_file=False)["text"][0])
print(datasets.__version__, preprocessing.clean(rows[0])["text"], *seen, sep="|")
PY
for change in lower upper; do
    printf 'def clean(row):\n    return {"text": row["text"].%s().strip()}\n' "$change" > preprocessing.py
    rm -rf __pycache__
    HF_HUB_OFFLINE=1 HF_HOME="$place/hub" "$place/venv/bin/python" -W ignore run.py > "$change.txt"
    echo "datasets|called|mapped|by a lambda|without cache: $(cat "$change.txt")"
done
grep -qF '|a b|a b|a b|a b' lower.txt
grep -qF '|A B|a b|a b|A B' upper.txt || { echo "changed code is run again now"; exit 1; }
