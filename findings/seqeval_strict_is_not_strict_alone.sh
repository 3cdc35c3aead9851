#!/usr/bin/env bash
# seqeval 1.2.2: f1_score(mode="strict") is not strict unless a scheme is named, and a scheme alone has no effect either.
#
# Guessed: mode="strict" counts an entity only if its tags are well formed, with the scheme found or asked for; scheme=IOB2 makes
# the tags be read as IOB2.
# Seen: each of the two is dropped in silence without the other, and the lenient score comes out: a prediction that begins its
# entity with I- instead of B- is a perfect 1.0, where both together give 0.67. classification_report obeys mode="strict"
# alone (it finds the scheme by itself), so that the report and the score of the same call disagree.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check seqeval==1.2.2
"$place/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

from seqeval.metrics import classification_report, f1_score
from seqeval.scheme import IOB2

true, predicted = [["B-PER", "I-PER", "O", "B-LOC"]], [["I-PER", "I-PER", "O", "B-LOC"]]
seen = {
    "lenient": f1_score(true, predicted),
    "mode": f1_score(true, predicted, mode="strict"),
    "scheme": f1_score(true, predicted, scheme=IOB2),
    "both": f1_score(true, predicted, mode="strict", scheme=IOB2),
    "report, mode": classification_report(true, predicted, mode="strict", output_dict=True)["micro avg"]["f1-score"],
}
print("seqeval", version("seqeval"), {name: round(float(score), 3) for name, score in seen.items()})
assert seen["lenient"] == 1 and abs(seen["both"] - 2 / 3) < 1e-9 and seen["report, mode"] == seen["both"]
assert seen["mode"] == 1, "mode alone is strict now"
assert seen["scheme"] == 1, "a scheme alone is obeyed now"
PY
