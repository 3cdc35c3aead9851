#!/usr/bin/env bash
# scipy 1.17.1: the bootstrap interval of a score that is the same in every resample is nan.
#
# Guessed: bootstrap() of a hundred answers that are all right gives (1, 1), and of the differences of two systems
# that answer alike (0, 0), as the percentile method does.
# Seen: the default method (BCa) divides by the skewness of the jackknife and gives (nan, nan) with a warning. Every
# comparison with nan is False, so "the interval holds 0" and "it lies above 0" are both denied: a rule written as
# "not (low <= 0 <= high)" calls two equal systems different. method="percentile" gives (1, 1) and (0, 0).
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check numpy==2.4.6 scipy==1.17.1
"$place/venv/bin/python" - <<'PY'
import warnings

import numpy as np
import scipy
from scipy.stats import bootstrap

warnings.filterwarnings("ignore")
right, same = np.ones(100), np.zeros(100)


def interval(rows, method):
    found = bootstrap((rows,), np.mean, method=method, rng=0).confidence_interval
    return float(found.low), float(found.high)


default = [interval(rows, "BCa") for rows in (right, same)]
percentile = [interval(rows, "percentile") for rows in (right, same)]
low, high = default[1]
print("scipy", scipy.__version__, "BCa", default, "percentile", percentile, "called different", not low <= 0 <= high)
assert percentile == [(1, 1), (0, 0)]
assert np.isnan(default).all() and not low <= 0 <= high, "the default gives an interval now"
PY
