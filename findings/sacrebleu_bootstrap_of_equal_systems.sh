#!/usr/bin/env bash
# sacrebleu 2.6.0: the paired bootstrap calls a system significantly different from itself.
#
# Guessed: two systems with the same outputs are never told apart, so the p-value of the paired bootstrap is 1.
# Seen: it is 1 / 1001, the least that 1,000 draws can give, since hits are the draws whose |d| - mean(|d|) is strictly
# above the observed difference, and with equal outputs all of these are 0. Approximate randomisation does the same:
# swaps that are exactly as far apart as the real outputs are no hits. A table of models in which one stands twice, or of
# two checkpoints with the same outputs, shows p = 0.001 beside a difference of 0.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check sacrebleu==2.6.0
"$place/venv/bin/python" -W ignore - <<'PY'
import sacrebleu
from sacrebleu.significance import PairedTest

references = [f"the cat number {n} sat on the mat" for n in range(20)]
outputs = [f"a cat number {n} sat on a mat" for n in range(20)]
found = {}
for kind, samples in (("bs", 1000), ("ar", 1000)):
    test = PairedTest([("one", outputs), ("same", outputs)], {"BLEU": sacrebleu.BLEU()}, [references], kind, samples)
    _, scores = test()
    base, same = scores["BLEU"]
    assert base.score == same.score, "the two are not equal"
    found[kind] = round(same.p_value, 6)
print("sacrebleu", sacrebleu.__version__, "p of equal outputs:", found)
assert found == {"bs": 0.000999, "ar": 0.000999}, "p of equal outputs changed"
PY
