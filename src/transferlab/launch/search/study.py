"""The study: who gets which trial, when it is pruned, and what is known of it; kept in SQLite, to be continued.

Several processes may work on one study at a time.
"""

import json
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.trial import FrozenTrial, TrialState

from transferlab.ground import signals
from transferlab.launch.search.points import DONE, Values, planned, proposed, suggest, values_of
from transferlab.launch.search.spec import Search
from transferlab.launch.sweeps import run, worker
from transferlab.launch.sweeps.cells import Cell, note
from transferlab.record import folder as run_folder
from transferlab.record import history
from transferlab.tasks.spec import direction
from transferlab.training import lock

METRIC = "val/primary"
TICK = 0.5
"""Seconds between two looks at signals and epochs."""
Train = Callable[[optuna.Trial, Cell], float]
"""Trains the run of a trial and returns the best value of its validation."""


class Stopped(Exception):
    """A trial was asked to stop; it resumes at the next start."""


class Trials:
    """The trials of a search by number, each handed out once to however many processes.

    One that was cut off is a new trial to Optuna and the same one here: number, values and run directory stay.

    Args:
        search: The search.
        path: File of the database; made where there is none.

    Attributes:
        study: What Optuna keeps.
    """

    def __init__(self, search: Search, path: Path) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.search = search
        self.guard = path.with_name(f"{path.name}.guard")
        with FileLock(self.guard):
            self.study = optuna.create_study(
                storage=f"sqlite:///{path}",
                study_name=search.name,
                direction="maximize",
                load_if_exists=True,
                pruner=pruner(search),
            )

    def number(self, trial: FrozenTrial | optuna.Trial) -> int:
        """The number that the run directory of a trial has; a study of before may hold a trial without one."""
        known = str(trial.user_attrs.get("folder", "")).removeprefix(f"{self.search.name}-t")
        return int(known) if known.isdigit() else trial.number

    def known(self) -> dict[int, FrozenTrial]:
        """By number, what has become of each trial that was begun or is queued."""
        return {self.number(trial): trial for trial in self.study.get_trials(deepcopy=False)}

    def ended(self, limit: int | None = None) -> tuple[int, int]:
        """How many of the first `limit` trials, or of all, are complete or pruned, and how many failed."""
        states = [trial.state for number, trial in self.known().items() if limit is None or number < limit]
        return sum(state in DONE for state in states), states.count(TrialState.FAIL)

    def best(self) -> tuple[int, FrozenTrial] | None:
        """The first of the trials with the highest value, with its number; None as long as none is complete."""
        complete = {n: trial for n, trial in self.known().items() if trial.state == TrialState.COMPLETE}
        if not complete:
            return None
        number = min(complete, key=lambda n: (-float(complete[n].value or 0.0), n))
        return number, complete[number]

    def take(self, limit: int) -> optuna.Trial | None:
        """Hands out a trial: one that was cut off, or the first that is new; None where there is none below `limit`."""
        with FileLock(self.guard):
            self._recover()
            known = self.known()
            if not any(trial.state == TrialState.WAITING and n < limit for n, trial in known.items()):
                number = next(n for n in range(len(known) + 1) if n not in known)
                values = self._values(number, known) if number < limit else None
                if values is None:
                    return None
                self._queue(number, values)
            trial = self.study.ask()
            trial.set_user_attr("folder", f"{self.search.name}-t{self.number(trial)}")
            trial.set_user_attr("owner", lock.identity())
            suggest(trial, self.search)
            return trial

    def put_back(self, trial: optuna.Trial) -> None:
        """Queues a trial that was stopped, to resume in its directory."""
        with FileLock(self.guard):
            self._queue(self.number(trial), trial.params)
            self.study.tell(trial, state=TrialState.FAIL)

    def recover(self) -> int:
        """Queues what a killed process left unfinished, to resume in its directory; returns how many."""
        with FileLock(self.guard):
            return self._recover()

    def retry(self) -> None:
        """Queues what failed."""
        with FileLock(self.guard):
            for number, trial in self.known().items():
                if trial.state == TrialState.FAIL:
                    self._queue(number, values_of(trial))

    def _recover(self) -> int:
        mine, count = lock.identity(), 0
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            owner, number = trial.user_attrs.get("owner"), self.number(trial)
            # where there is no owner yet the process died that had this very guard
            if owner is None or not lock.lives(owner, mine):
                if self.known()[number].number == trial.number:
                    self._queue(number, values_of(trial))
                self.study.tell(trial.number, state=TrialState.FAIL)
                count += 1
        return count

    def _queue(self, number: int, values: Values) -> None:
        self.study.enqueue_trial(values, user_attrs={"folder": f"{self.search.name}-t{number}"})

    def _values(self, number: int, known: dict[int, FrozenTrial]) -> Values | None:
        if self.search.sampler == "tpe":
            return proposed(self.search, number, list(known.values()))
        points = planned(self.search, number + 1)
        return points[number] if number < len(points) else None


def pruner(search: Search) -> optuna.pruners.BasePruner:
    """What ends trials early."""
    if search.pruner == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=search.startup)
    if search.pruner == "halving":
        return optuna.pruners.SuccessiveHalvingPruner()
    return optuna.pruners.NopPruner()


def cell(search: Search, values: Values, runs: Path, name: str, number: int = 0) -> Cell:
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


def train(trial: optuna.Trial, one: Cell) -> float:
    """Trains the run of a trial in a process of its own.

    Returns:
        The best ``val/primary``.

    Raises:
        optuna.TrialPruned: The pruner ends it. It looks at one epoch after the other, and at all of them even where the
            training was faster, so that what is pruned does not depend on how busy the machine is.
        Stopped: It was asked to stop.
        RuntimeError: It failed; says why.
    """
    _await(one.folder)
    note(one)
    process = multiprocessing.get_context("forkserver").Process(target=worker.work, args=(one.arguments, one.folder))
    process.start()
    current = run.Running(one, process, 0.0)
    pruned = False
    try:
        while process.is_alive():
            wait([process.sentinel], TICK)
            if signals.request.received or (not pruned and (pruned := _is_pruned(trial, one.folder))):
                run.send(current, signal.SIGTERM)
                process.join()
        process.join()
    finally:
        if process.is_alive():
            run.send(current, signal.SIGKILL)
    if pruned or (process.exitcode == 0 and _is_pruned(trial, one.folder)):
        run_folder.drop_last(one.folder)
        raise optuna.TrialPruned
    if process.exitcode == 0:
        summary = run_folder.read_summary(one.folder)
        primary = str(summary["primary"])
        return direction(primary) * float(summary["metrics"][f"val/{primary}"])
    if signals.request.received or process.exitcode == signals.STOPPED:
        raise Stopped
    raise RuntimeError(run.reason(one))


def _await(folder: Path) -> None:
    """Waits for the training of a search that was killed: it saves, and ends soon.

    Raises:
        Stopped: This search was asked to stop meanwhile.
    """
    while lock.taken(folder):
        if signals.request.received:
            raise Stopped
        time.sleep(TICK)


def _is_pruned(trial: optuna.Trial, folder: Path) -> bool:
    """Reports the epochs that are new one by one, until the pruner says to end."""
    known = trial.storage.get_trial(trial._trial_id).intermediate_values
    for epoch, value in enumerate(validations(folder)):
        if epoch not in known:
            trial.report(value, epoch)
            if trial.should_prune():
                return True
    return False


def validations(folder: Path) -> list[float]:
    """``val/primary`` of each validation while training; that before training is left out."""
    rows = history.rows(folder)
    return [float(row[METRIC]) for row in rows if METRIC in row and row.get("step", 0) > 0]
