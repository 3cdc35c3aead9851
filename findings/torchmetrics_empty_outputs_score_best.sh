#!/usr/bin/env bash
# torchmetrics 1.9.0: outputs that are empty are the best ones for TER, and do not exist for chrF.
#
# Guessed: an empty translation is all deletions, a TER of 1 (100 in sacrebleu), and its reference counts in chrF's recall.
# Seen: TER is 0.0, the best there is, for a model that says nothing; one empty output beside one perfect gives a chrF of
# 1.0, where sacrebleu 2.6.0 on the same lines says 77. A checkpoint chosen by either is the one that stops at once.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 sacrebleu==2.6.0 regex
"$place/venv/bin/python" -W ignore - <<'PY'
import sacrebleu
import torchmetrics
from torchmetrics.text import CHRFScore, TranslationEditRate

outputs, references = ["", ""], ["the cat sat", "a dog runs"]
half = ["", "the cat sat on the mat"], ["a dog runs", "the cat sat on the mat"]
ours = float(TranslationEditRate()(outputs, [[one] for one in references]))
theirs = sacrebleu.corpus_ter(outputs, [references]).score
chrf = float(CHRFScore(n_word_order=0)(half[0], [[one] for one in half[1]]))
peer = round(sacrebleu.corpus_chrf(half[0], [half[1]]).score)
print("torchmetrics", torchmetrics.__version__, "TER", ours, "chrF", chrf, "sacrebleu", theirs, peer)
assert (ours, theirs) == (0.0, 100.0), "TER of empty outputs changed"
assert chrf == 1.0 and peer < 90, "chrF of empty outputs changed"
PY
