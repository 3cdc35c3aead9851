#!/usr/bin/env bash
# scikit-learn 1.9.1: the quadratic kappa counts places among the ratings that occur, not the ratings.
#
# Guessed: cohen_kappa_score(weights="quadratic") weighs a disagreement by the square of the distance of the two ratings:
# 1 against 5 is sixteen times as bad as 1 against 2.
# Seen: ratings are sorted and numbered, and only those that occur count: without a 3 and a 4, the 5 lies next to the 2. The
# same answers, as 1, 2, 5 and as 1, 2, 3, have one kappa, and a test set on which a rating is absent, or one fold of
# several, is scored on another scale (0.73 for 0.76 here). labels=[1, 2, 3, 4, 5] gives the distances.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check scikit-learn==1.9.1
"$place/venv/bin/python" - <<'PY'
import numpy as np
import sklearn
from sklearn.metrics import cohen_kappa_score

true, given = np.array([1, 1, 5, 5, 2, 2, 1, 5]), np.array([1, 2, 5, 2, 2, 1, 1, 5])


def by_hand(true, given):
    """One less the mean squared distance of the pairs over that of all pairs."""
    return 1 - ((true - given) ** 2).mean() / ((true[:, None] - given[None]) ** 2).mean()


near = {5: 3}
closer = [[near.get(int(rating), int(rating)) for rating in ratings] for ratings in (true, given)]
seen = {
    "as it is": cohen_kappa_score(true, given, weights="quadratic"),
    "3 in place of 5": cohen_kappa_score(*closer, weights="quadratic"),
    "all labels": cohen_kappa_score(true, given, weights="quadratic", labels=[1, 2, 3, 4, 5]),
    "by hand": by_hand(true, given),
}
print("scikit-learn", sklearn.__version__, {name: round(float(kappa), 4) for name, kappa in seen.items()})
assert abs(seen["all labels"] - seen["by hand"]) < 1e-9
assert seen["as it is"] == seen["3 in place of 5"], "the distances of the ratings count now"
assert abs(seen["as it is"] - seen["by hand"]) > 0.03
PY
