#!/usr/bin/env bash
# sacrebleu 2.6.0: outputs that have no reference are left out of the corpus score, and references without an output too.
#
# Guessed: corpus_score of three outputs and one reference is refused, since they cannot belong together.
# Seen: BLEU and chrF of 100 and TER of 0, from the first pair alone; the two wrong outputs do not count. The other way about, a system
# that stopped after its first text is perfect. Where one of several sets of references is shorter, all sets end with it. Nothing is
# said; only the lengths in BLEU's result (hyp_len and ref_len, in words) tell. A list of references that is one row short, or one
# reference of a batch in place of all, gives such a score.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check sacrebleu==2.6.0
"$place/venv/bin/python" - 2> "$place/said" <<'PY' || { cat "$place/said"; exit 1; }
import sacrebleu
from sacrebleu.metrics import BLEU, CHRF, TER

first, second, third = "the cat sat on the mat", "dogs run in the park now", "rain falls on every roof here"
wrong = "nothing of this is what was said"
cases = {
    "complete": ([first, wrong, wrong], [[first, second, third]]),
    "references lack": ([first, wrong, wrong], [[first]]),
    "outputs lack": ([first], [[first, second, third]]),
    "second set is short": ([first, wrong, wrong], [[first, second, third], [first]]),
}
scores = {}
for name, (outputs, references) in cases.items():
    scores[name] = [round(metric().corpus_score(outputs, references).score, 1) for metric in (BLEU, CHRF, TER)]
print("sacrebleu", sacrebleu.__version__, "BLEU, chrF and TER:", scores)
bleu, chrf, ter = scores.pop("complete")
assert bleu < 60 and chrf < 60 and ter > 40
assert all(found == [100, 100, 0] for found in scores.values()), "texts without a partner are told or counted now"
PY
[ ! -s "$place/said" ] || { echo "it is told now"; exit 1; }
