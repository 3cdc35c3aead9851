#!/usr/bin/env bash
# pytrec_eval-terrier 0.5.11: documents of equal score are ranked by their names, and scores are equal sooner than in Python.
#
# Guessed: a run is ranked by its scores as they are; equal ones stay in the order in which they were given, as sorted() has it, or don't
# matter; a question that the run lacks counts as 0.
# Seen: of equal scores the greatest name comes first, so the same answers under other document ids score 1 or 0.33. Scores are cut to
# 32 bits first: the probabilities of a sure cross-encoder, 0.999999999 and 0.99999999, are one number, and the order in which it put its
# best documents is lost. A question that the run lacks is left out of the result, so the mean over the result goes up.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check pytrec-eval-terrier==0.5.11
"$place/venv/bin/python" -W error::UserWarning - <<'PY'
from importlib.metadata import version

from pytrec_eval import RelevanceEvaluator


def found(relevant, run):
    return {question: round(of["recip_rank"], 2) for question, of in RelevanceEvaluator(relevant, {"recip_rank"}).evaluate(run).items()}


def rank(name, scores):
    """The reciprocal rank of the one right document, which is given first and best, beside documents b and c."""
    return found({"q": {name: 1}}, {"q": dict(zip((name, "b", "c"), scores, strict=True))})["q"]


seen = {
    "equal": (rank("a", (1.0, 1.0, 1.0)), rank("d", (1.0, 1.0, 1.0))),
    "far": (rank("a", (0.9, 0.8, 0.7)), rank("d", (0.9, 0.8, 0.7))),
    "sure": (rank("a", (0.999999999, 0.99999999, 0.9999)), rank("d", (0.999999999, 0.99999999, 0.9999))),
}
two = {"q1": {"a": 1}, "q2": {"b": 1}}
lacking, empty = found(two, {"q1": {"a": 1.0}}), found(two, {"q1": {"a": 1.0}, "q2": {}})
print("pytrec_eval", version("pytrec-eval-terrier"), "rank of the document named a or d:", seen, "lacking", lacking, "empty", empty)
assert seen["far"] == (1, 1)
assert seen["equal"] == (0.33, 1), "names don't matter now"
assert seen["sure"] == (0.5, 1), "scores keep their digits now"
assert lacking == {"q1": 1} and empty == {"q1": 1, "q2": 0}, "a question that the run lacks counts now"
PY
