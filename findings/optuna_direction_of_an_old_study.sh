#!/usr/bin/env bash
# optuna 5.0.0: the direction that is asked for is dropped where the study exists.
#
# Guessed: create_study(direction="maximize", load_if_exists=True) refuses a study of that name that minimises, or maximises
# from now on.
# Seen: the stored direction stays, and the one given is not looked at. Somebody who made the study with the default and
# then corrects the line to "maximize" gets the worst accuracy as best_value, and a sampler and a pruner that look for it.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check optuna==5.0.0
"$place/venv/bin/python" -W error - "$place/study.db" <<'PY'
import sys

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)  # a line of level INFO says that the study exists, nothing of its direction
settings = {"storage": f"sqlite:///{sys.argv[1]}", "study_name": "accuracy", "load_if_exists": True}
first = optuna.create_study(**settings)
for accuracy in (0.6, 0.9):
    first.add_trial(optuna.trial.create_trial(params={}, value=accuracy))
asked = optuna.create_study(direction="maximize", **settings)
print(f"optuna {optuna.__version__}: asked to maximise, has {asked.direction.name}; best of 0.6 and 0.9: {asked.best_value}")
assert asked.direction is optuna.study.StudyDirection.MINIMIZE, "the direction is refused or taken now"
assert asked.best_value == 0.6
PY
