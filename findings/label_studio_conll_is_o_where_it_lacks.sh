#!/usr/bin/env bash
# label-studio-sdk 2.1.2: the CoNLL export says O for spans of a second set of labels and for texts that nobody annotated.
#
# Guessed: an interface with two <Labels> over one text (names in one, places in the other) gives both in the export, or is refused
# since a word has one tag; a task without any annotation is left out, as a skipped one is.
# Seen: of each annotation the set is taken whose span was drawn first: one text has its names and no places, the next its places and
# no names, and all else is O. A task that waits for its annotator is a sentence of nothing but O. Training takes all of them for
# words that are no entities, and nothing is said. The JSON export has both sets, and shows which tasks have no annotation.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check label-studio-sdk==2.1.2
"$place/venv/bin/python" -W ignore - "$place" <<'PY' 2> "$place/said" || { cat "$place/said"; exit 1; }
import json
import sys
from importlib.metadata import version
from pathlib import Path

from label_studio_sdk.converter import Converter

folder = Path(sys.argv[1])
LAYOUT = """<View><Labels name="names" toName="text"><Label value="PER"/></Labels>
<Labels name="places" toName="text"><Label value="LOC"/></Labels><Text name="text" value="$text"/></View>"""


def task(number, text, *spans, **state):
    drawn = []
    for words, label in spans:
        where = {"start": text.index(words), "end": text.index(words) + len(words), "text": words, "labels": [label]}
        drawn.append({"from_name": {"PER": "names", "LOC": "places"}[label], "to_name": "text", "type": "labels", "value": where})
    done = [{"id": number, "completed_by": 1, "result": drawn, **state}] if spans or state else []
    return {"id": number, "data": {"text": text}, "annotations": done}


name, town = ("Ann", "PER"), ("Bonn", "LOC")
tasks = [
    task(1, "Ann saw Bonn", name, town),
    task(2, "Ann left Bonn", town, name),
    task(3, "Ann likes Bonn"),
    task(4, "skipped Bonn", was_cancelled=True),
]
(folder / "tasks.json").write_text(json.dumps(tasks))
for form in ("conll2003", "json_min"):
    getattr(Converter(LAYOUT, str(folder)), f"convert_to_{form}")(str(folder / "tasks.json"), str(folder), is_dir=False)
words = [line.split() for line in (folder / "result.conll").read_text().splitlines()[1:] if line]
tags = [[tag for _, _, _, tag in words[at : at + 3]] for at in range(0, len(words), 3)]
kept = [sorted({"names", "places"} & set(row)) for row in json.loads((folder / "result.json").read_text())]
print("label-studio-sdk", version("label-studio-sdk"), "tags:", tags, "in JSON:", kept)
assert kept == [["names", "places"], ["names", "places"], []]
assert tags[:2] == [["B-PER", "O", "O"], ["O", "O", "B-LOC"]], "both sets of labels are exported now"
assert tags[2:] == [["O", "O", "O"]], "a task without an annotation is left out now"
PY
grep -qiE "labels|annotat|skip|drop" "$place/said" && { echo "it is told now"; exit 1; } || true
