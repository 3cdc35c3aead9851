#!/usr/bin/env bash
# optuna 5.0.0: a trial that is enqueued under a name that the objective does not ask for is drawn at random.
#
# Guessed: enqueue_trial({"learning_rate": 2e-5}) for an objective that suggests "lr" is refused or warned of, as a value outside of the
# range is; and a trial whose every setting was given has those settings.
# Seen: the trial takes any value that the sampler draws, and nothing is said. It counts as the one that was asked for, so the usual
# settings that a search was to begin with, or to be compared with, were never measured. The same happens with one misspelt name of
# several: that setting alone is drawn. The enqueued values stand in the trial's system_attrs["fixed_params"], to be compared with params.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --disable-pip-version-check optuna==5.0.0
"$place/venv/bin/python" - "$place" 2> "$place/said" <<'PY' || { cat "$place/said"; exit 1; }
import sys
import warnings

import optuna

optuna.logging.set_verbosity(optuna.logging.WARNING)
warnings.simplefilter("always")


def objective(trial):
    return trial.suggest_float("lr", 1e-6, 1e-3, log=True) * trial.suggest_int("layers", 1, 100)


def ran(settings):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(settings)
    study.optimize(objective, n_trials=1)
    return study.trials[0].params


right = ran({"lr": 2e-5, "layers": 12})
one_wrong = ran({"learning_rate": 2e-5, "layers": 12})
print("optuna", optuna.__version__, "right names:", right, "one wrong name:", one_wrong)
assert right == {"lr": 2e-5, "layers": 12}
assert one_wrong["layers"] == 12 and one_wrong["lr"] != 2e-5, "the value is used now"
assert "learning_rate" not in one_wrong
print("outside of the range:", file=sys.stderr, flush=True)
ran({"lr": 2.0, "layers": 12})
PY
grep -B 99 "outside of the range:" "$place/said" | grep -q "learning_rate" && { echo "a name that is not used is told now"; exit 1; }
grep -A 99 "outside of the range:" "$place/said" | grep -qi "out of range" || { echo "a value outside of the range is not told any more"; exit 1; }
