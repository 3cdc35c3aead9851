#!/usr/bin/env bash
# optuna 5.0.0: a study that goes on with a seeded sampler measures its first points again.
#
# Guessed: a study with a storage goes on where it stopped, so the sampler, seeded for reproducibility, draws new points after
# the ones that the storage holds.
# Seen: the sampler's generator is not stored: each process starts it anew from the seed and the new trials have the
# parameters of the old ones, digit for digit, for TPE as long as its random start lasts. Half of the budget measures what
# is known, and the two results of a point look like two trials that agree. Without a seed the points differ.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check optuna==5.0.0
"$place/venv/bin/python" -W ignore - "$place/study.db" <<'PY'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def points(name, kind, seed):
    for _ in range(2):  # two processes would do the same
        settings = {"storage": f"sqlite:///{sys.argv[1]}", "study_name": name, "load_if_exists": True}
        study = optuna.create_study(sampler=kind(seed=seed), **settings)
        study.optimize(lambda trial: trial.suggest_float("rate", 0, 1) ** 2, n_trials=4)
    return [round(trial.params["rate"], 3) for trial in study.trials]


drawn, tpe = (points(kind.__name__, kind, 0) for kind in (optuna.samplers.RandomSampler, optuna.samplers.TPESampler))
free = points("without a seed", optuna.samplers.TPESampler, None)
print(f"optuna {optuna.__version__}: four trials, then four more: random {drawn}, TPE {tpe}, TPE without a seed {free}")
assert len(set(free)) == 8
assert drawn[:4] == drawn[4:] and tpe[:4] == tpe[4:], "a study goes on with new points now"
PY
