#!/usr/bin/env bash
# torchmetrics 1.9.0: WordInfoPreserved, WordInfoLost and MatchErrorRate are not the measures of those names where words are both left
# out and put in.
#
# Guessed: they count the words that are right (hits), as the measures are defined and as jiwer does: preserved = hits / words of the
# reference x hits / words of the text; match error rate = errors / (hits + errors).
# Seen: hits are taken to be the longer length less the errors, which is so only where all errors are of one kind. A text that lacks the
# first word and has one more at the end has 3 of 4 right: 0.25 is preserved instead of 0.5625, and the rate is 0.5, not 0.4. So
# scores of rewriting or speech don't compare with those of others, and a text with more right words can rank below one with less.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 jiwer==4.0.0
"$place/venv/bin/python" -W ignore - <<'PY'
import jiwer
import torchmetrics
from torchmetrics.functional.text import match_error_rate, word_information_lost, word_information_preserved


def both(text, reference):
    """What torchmetrics and jiwer give: preserved, lost, rate."""
    found = [measure([text], [reference]) for measure in (word_information_preserved, word_information_lost, match_error_rate)]
    right = jiwer.process_words(reference, text)
    return [round(float(one), 4) for one in found], [round(one, 4) for one in (right.wip, right.wil, right.mer)]


reference = "a b c d"
seen = {text: both(text, reference) for text in ("a b x d", "a b d", "a b c d e", "b c d e", "x b x x")}
print("torchmetrics", torchmetrics.__version__, "for", repr(reference), "here and in jiwer:", seen)
assert all(here == right for here, right in (seen[text] for text in ("a b x d", "a b d", "a b c d e", "x b x x")))
assert seen["b c d e"] == ([0.25, 0.75, 0.5], [0.5625, 0.4375, 0.4]), "the hits are counted now"
# of six words four are right in the one, moved by two places, and three in the other
moved, exchanged = (both(text, "a b c d e f") for text in ("c d e f x x", "a b c x x x"))
print("preserved where words are moved", moved, "and where they are exchanged", exchanged)
assert moved[1][0] > exchanged[1][0] and moved[0][0] < exchanged[0][0], "ranks are kept now"
PY
