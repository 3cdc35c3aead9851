#!/usr/bin/env bash
# torchmetrics 1.9.0: SacreBLEUScore gives 0 where sacrebleu gives 35.
#
# Guessed: named after sacrebleu, with its tokenisers, it gives sacrebleu's scores.
# Seen: sacrebleu's corpus_bleu smooths exponentially by default, SacreBLEUScore does not smooth at all, and its `smooth=True` is
# another smoothing (add one). Outputs without a shared run of four words, as in the first validations of a run or on short
# texts, score 0.0 however good they become: nothing tells those checkpoints apart, and numbers are not comparable.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.13.0 torchmetrics==1.9.0 sacrebleu==2.6.0 regex
"$place/venv/bin/python" -W ignore - <<'PY'
import sacrebleu
import torchmetrics
from torchmetrics.text import SacreBLEUScore

reference = "a cat sat on the mat"
scores = {}
for output in ("on", "the cat sat on mats", "a cat sat on a mat"):
    lines = [output], [[reference]]
    ours = [round(100 * float(SacreBLEUScore(smooth=smooth)(*lines)), 1) for smooth in (False, True)]
    scores[output] = (*ours, round(sacrebleu.corpus_bleu([output], [[reference]]).score, 1))
print("torchmetrics", torchmetrics.__version__, "sacrebleu", sacrebleu.__version__, scores)
plain, smoothed, theirs = scores["the cat sat on mats"]
assert plain == 0.0 and 34 < theirs < 36 and abs(smoothed - theirs) > 5, "both smooth alike now"
assert scores["a cat sat on a mat"][0] == scores["a cat sat on a mat"][2] > 50, "the two differ by more than smoothing"
PY
