"""The study: which values a trial gets, when it is pruned, and what is known of it; kept in SQLite, so that it goes on.

Several processes may work on one study at a time.
"""

import itertools
import json
import math
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from transferlab.ground import signals
from transferlab.launch.search.spec import Dimension, Range, Search, text
from transferlab.launch.sweeps import run, worker
from transferlab.launch.sweeps.cells import Cell, note
from transferlab.record import folder as run_folder
from transferlab.record import history
from transferlab.training import lock

METRIC = "val/primary"
TICK = 0.5
"""Seconds between two looks at signals and epochs."""
DONE = (TrialState.COMPLETE, TrialState.PRUNED)


class Stopped(Exception):
    """A trial was asked to stop; it goes on at the next start."""


def open_study(search: Search, path: Path) -> optuna.Study:
    """Opens the study of a search, or makes it.

    Args:
        search: The search.
        path: File of the database.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    path.parent.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        storage=f"sqlite:///{path}",
        study_name=search.name,
        direction="maximize",
        load_if_exists=True,
        sampler=sampler(search),
        pruner=pruner(search),
    )
    if search.sampler == "grid":
        for values in grid(search):
            study.enqueue_trial(values, skip_if_exists=True)
    return study


def sampler(search: Search) -> optuna.samplers.BaseSampler:
    """What picks the values; those of a grid are queued by `open_study` instead."""
    if search.sampler in {"random", "grid"}:
        return optuna.samplers.RandomSampler(search.seed)
    return optuna.samplers.TPESampler(n_startup_trials=search.startup, seed=search.seed)


def choices(dimension: Dimension) -> list[Any]:
    """All values of a list, or of a range with a step."""
    if isinstance(dimension, tuple):
        return list(dimension)
    assert dimension.step is not None
    count = math.floor((dimension.high - dimension.low) / dimension.step + 1e-9) + 1
    # 0.1 three times is more than 0.3
    return [min(round(dimension.low + number * dimension.step, 12), dimension.high) for number in range(count)]


def grid(search: Search) -> list[dict[str, Any]]:
    """Every combination of a grid."""
    values = itertools.product(*(choices(known) for known in search.space.values()))
    return [dict(zip(search.space, combination, strict=True)) for combination in values]


def pruner(search: Search) -> optuna.pruners.BasePruner:
    """What ends trials early."""
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=search.startup)
    if search.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner()
    return optuna.pruners.NopPruner()


def suggest(trial: optuna.Trial, search: Search) -> dict[str, Any]:
    """The values of a trial by dotted key."""
    return {key: _suggest(trial, key, known) for key, known in search.space.items()}


def _suggest(trial: optuna.Trial, key: str, known: Dimension) -> Any:
    if not isinstance(known, Range):
        return trial.suggest_categorical(key, known)
    if known.whole:
        step = 1 if known.step is None else int(known.step)
        return trial.suggest_int(key, int(known.low), int(known.high), log=known.log, step=step)
    return trial.suggest_float(key, known.low, known.high, log=known.log, step=known.step)


def recover(study: optuna.Study) -> int:
    """Queues once more what a killed or stopped process left unfinished, to go on in its folder; returns how many."""
    mine, count = lock.identity(), 0
    for trial in study.get_trials(deepcopy=False):
        owner = trial.user_attrs.get("owner")
        if trial.state == TrialState.RUNNING and (owner is None or not lock.lives(owner, mine)):
            study.tell(trial.number, state=TrialState.FAIL)
            again(study, trial)
            count += 1
    return count


def again(study: optuna.Study, trial: FrozenTrial | optuna.Trial) -> None:
    """Queues the values of a trial once more, with its folder."""
    kept = {"folder": trial.user_attrs["folder"]} if "folder" in trial.user_attrs else {}
    study.enqueue_trial(trial.params, user_attrs=kept)


def count(study: optuna.Study) -> int:
    """How many trials are complete or pruned."""
    return len(study.get_trials(deepcopy=False, states=DONE))


def objective(search: Search, runs: Path, say: Callable[[str], None]) -> Callable[[optuna.Trial], float]:
    """The function that Optuna maximises: trains one run and returns the best value of its validation."""

    def train(trial: optuna.Trial) -> float:
        trial.set_user_attr("owner", lock.identity())
        values = suggest(trial, search)
        name = trial.user_attrs.get("folder") or f"{search.name}-t{trial.number}"
        trial.set_user_attr("folder", name)
        one = cell(search, values, runs, name, trial.number)
        say(f"trial {trial.number}: {text(values)}")
        return _train(trial, one)

    return train


def cell(search: Search, values: dict[str, Any], runs: Path, name: str, number: int = 0) -> Cell:
    """The run of a trial; the test is left to the winner."""
    experiment, tags = search.experiment, json.dumps([search.name])
    arguments = [
        "fit",
        "--experiment",
        experiment,
        "--run.root",
        str(runs),
        "--run.experiment",
        experiment,
        "--run.tags",
        tags,
    ]
    arguments += ["--run.test", "false", "--run.log_checkpoint", "false", "--run.keep_last", "false"]
    for key, value in {**search.set, **values}.items():
        arguments += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    folder = runs / search.experiment / name
    return Cell(number, f"{search.experiment}/{name}", tuple(arguments), folder)


def _train(trial: optuna.Trial, one: Cell) -> float:
    note(one)
    process = multiprocessing.get_context("forkserver").Process(target=worker.work, args=(one.arguments, one.folder))
    process.start()
    current = run.Running(one, process, 0.0)
    try:
        pruned = False
        while process.is_alive():
            wait([process.sentinel], TICK)
            if signals.request.received or (not pruned and (pruned := _is_pruned(trial, one.folder))):
                run.send(current, signal.SIGTERM)
                process.join()
        process.join()
    finally:
        if process.is_alive():
            run.send(current, signal.SIGKILL)
    if process.exitcode == 0:
        summary = run_folder.read_summary(one.folder)
        return float(summary["metrics"][f"val/{summary['primary']}"])
    if pruned:
        run_folder.drop_last(one.folder)
        raise optuna.TrialPruned
    if signals.request.received or process.exitcode == signals.STOPPED:
        raise Stopped
    raise RuntimeError(run.reason(one))


def _is_pruned(trial: optuna.Trial, folder: Path) -> bool:
    """Reports the epochs that are new, and asks whether to go on."""
    known = trial.storage.get_trial(trial._trial_id).intermediate_values
    found = validations(folder)
    for epoch, value in enumerate(found):
        if epoch not in known:
            trial.report(value, epoch)
    return len(found) > len(known) and trial.should_prune()


def validations(folder: Path) -> list[float]:
    """``val/primary`` of each validation while training; that before training is left out."""
    rows = history.rows(folder)
    return [float(row[METRIC]) for row in rows if METRIC in row and row.get("step", 0) > 0]
