#!/usr/bin/env bash
# rouge_score 0.1.2: a perfect summary in Russian, Greek or Chinese has a ROUGE of 0.
#
# Guessed: a text that equals its reference scores 1 in any language; only stemming is made for English.
# Seen: everything but a to z and digits is deleted first: a language in another alphabet has no words left and scores 0, with
# no message. A German text keeps fragments ("Maß" and "Ma" are the same word), and its scores look plausible. A
# tokenizer of one's own gives 1.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check rouge_score==0.1.2
"$place/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

from rouge_score import rouge_scorer


class Words:
    def tokenize(self, text):
        return text.lower().split()


def score(text, other, **options):
    return rouge_scorer.RougeScorer(["rougeL"], **options).score(text, other)["rougeL"].fmeasure


texts = {"English": "the big red dog", "Russian": "большая красная собака", "Greek": "η μεγάλη γάτα"}
equal = {name: score(text, text) for name, text in texts.items()}
own = {name: score(text, text, tokenizer=Words()) for name, text in texts.items()}
apart = score("das Maß", "das Ma")
print("rouge_score", version("rouge_score"), "a text and itself:", equal, "split at blanks:", own, "Maß and Ma:", apart)
assert set(own.values()) == {1.0} and equal["English"] == 1
assert equal["Russian"] == equal["Greek"] == 0 and apart == 1, "other alphabets have words now"
PY
