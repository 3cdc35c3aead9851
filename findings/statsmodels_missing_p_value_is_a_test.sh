#!/usr/bin/env bash
# statsmodels 0.15.0: a p-value that is missing makes the other ones larger, or all of them missing.
#
# Guessed: multipletests over a table of comparisons in which one p-value is nan (two runs with equal predictions, a test that could not
# be computed) leaves it out, as pandas does everywhere, or raises, as scipy.stats.false_discovery_control does.
# Seen: Holm and Bonferroni count it as one more test, the more of them, the less is significant: 0.04 beside 0.001 and 0.002 is
# rejected at 5 % without the nan and no more with it. Benjamini-Hochberg returns nan for every p-value, and beside them rejections that
# count the nan too. Nothing is said.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
    statsmodels==0.15.0 scipy==1.17.1 numpy==2.4.6 pandas==3.1.1
"$place/venv/bin/python" -W error::RuntimeWarning - <<'PY'
import numpy as np
import statsmodels
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests

known = [0.001, 0.002, 0.04]
seen = {}
for method in ("bonferroni", "holm", "fdr_bh"):
    for values in (known, [*known, np.nan]):
        rejected, corrected, *_ = multipletests(values, alpha=0.05, method=method)
        seen[method, len(values)] = rejected[:3].tolist(), corrected[:3].round(3).tolist()
print("statsmodels", statsmodels.__version__, seen)
assert seen["holm", 3] == ([True] * 3, [0.003, 0.004, 0.04])
assert seen["holm", 4] == ([True, True, False], [0.004, 0.006, 0.08]), "Holm does otherwise with nan now"
assert seen["bonferroni", 4][1] == [0.004, 0.008, 0.16]
assert seen["fdr_bh", 3] == ([True] * 3, [0.003, 0.003, 0.04])
assert seen["fdr_bh", 4][0] == [True, True, False] and np.isnan(seen["fdr_bh", 4][1]).all(), "Benjamini-Hochberg does otherwise now"
try:
    false_discovery_control([*known, np.nan])
    raise AssertionError("scipy takes it")
except ValueError:
    pass
PY
