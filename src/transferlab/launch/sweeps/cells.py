"""The cells of a sweep: what is run, where, and behind what."""

import functools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.config import experiments, trees
from transferlab.config.grids import ALL, Overrides, Sweep
from transferlab.config.taught import is_taught
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder

RECORD = "sweep.json"
"""File in the run directory of a cell: the arguments that it was started with."""


Draw = tuple[int, int | None]
"""A seed, and the fold that is tested on; None without folds."""


class Cell(NamedTuple):
    """One run of a sweep, as plain data.

    Attributes:
        number: Place in the sweep.
        label: ``<experiment>/<id>``, for people.
        arguments: Command line behind ``transferlab``; the run directory is given by `folder.VARIABLE`.
        folder: The run directory.
        after: Numbers of the cells that must be finished before: the teacher of a distillation.
    """

    number: int
    label: str
    arguments: tuple[str, ...]
    folder: Path
    after: tuple[int, ...] = ()


def build(sweep: Sweep, runs: Path, root: Path | None = None) -> list[Cell]:
    """The cells of a sweep, teachers before their students: all of one seed before those of the next.

    Args:
        sweep: The grid.
        runs: Folder that holds all runs.
        root: Folder that holds ``configs/`` and ``experiments/``; the working directory where None.

    Raises:
        TransferlabError: An experiment that cannot be composed, or teachers that wait for one another.
    """
    plans = list(_plans(sweep, root or Path.cwd()))
    by_key = {plan.key: plan for plan in plans}
    # a teacher outside of the sweep is a run like any other, or none
    teachers = {plan.key: by_key.get(plan.teacher) if plan.teacher else None for plan in plans}
    ordered: list[_Plan] = []
    for plan in plans:
        _put(plan, teachers, ordered, ())
    numbers = {plan.key: number for number, plan in enumerate(ordered)}
    return [_cell(plan, teachers[plan.key], numbers, runs, sweep.name) for plan in ordered]


class _Plan(NamedTuple):
    experiment: str
    encoder: str
    size: tuple[str, int | float | str]
    draw: Draw
    command: tuple[str, ...]
    overrides: Overrides
    teacher: tuple[Any, ...] | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        return self.experiment, self.encoder, self.size, self.draw

    @property
    def seed(self) -> int:
        return self.draw[0]

    @property
    def id(self) -> str:
        kind, size = self.size
        rows = f"{'n' if kind == 'train_examples' else 'f'}{size}" if kind else ""
        fold = "" if self.draw[1] is None else f"k{self.draw[1]}"
        return "-".join(part for part in (self.encoder, rows, f"s{self.seed}", fold) if part)


def _plans(sweep: Sweep, root: Path) -> Iterator[_Plan]:
    composed = functools.cache(
        lambda name, encoder="": experiments.compose(name, root, {"encoder": encoder} if encoder else None)
    )
    subjects = [(task, strategy) for task in sweep.tasks for strategy in sweep.strategies]
    # a draw of the examples: a seed, with folds each of them
    parts: tuple[int | None, ...] = (None,) if sweep.folds is None else tuple(range(sweep.folds))
    for draw in ((seed, fold) for seed in sweep.seeds for fold in parts):
        for size in sweep.sizes:
            for task in sweep.tasks:
                for method in sweep.baselines:
                    yield _baseline(sweep, task, method, size, draw)
            for task, strategy in subjects:
                name = f"{strategy}_{task}"
                tree = composed(name)
                for encoder in sweep.encoders:
                    # its own encoder need not be laid over an experiment; its recipe may have changed the pooling
                    laid = composed(name, encoder) != tree
                    yield _run(sweep, name, tree, (task, strategy), encoder, size, draw, laid)
            for name in sweep.experiments:
                yield _run(sweep, name, composed(name), (), "", size, draw, laid=False)


def _overrides(sweep: Sweep, names: tuple[str, ...], size: tuple[str, Any], draw: Draw) -> Overrides:
    found = dict(sweep.set)
    if sweep.folds is not None:
        found |= {"data.folds": sweep.folds, "data.fold": draw[1]}
    for name in (*names, str(size[1])):
        found |= sweep.set_for.get(name, {})
    if size[0] and size[1] != ALL:
        found[f"data.{size[0]}"] = size[1]
    return found


def _baseline(sweep: Sweep, task: str, method: str, size: tuple[str, Any], draw: Draw) -> _Plan:
    found = _overrides(sweep, (task, method), size, draw)
    command = ("baseline", "--config", f"configs/task/{task}.yaml", "--method", method)
    data = {key: value for key, value in found.items() if key.startswith("data.")}
    return _Plan(f"baseline_{method}_{task}", "", size, draw, command, data)


def _run(
    sweep: Sweep,
    name: str,
    tree: trees.Tree,
    pair: tuple[str, ...],
    encoder: str,
    size: tuple[str, Any],
    draw: Draw,
    laid: bool,
) -> _Plan:
    task, strategy = pair or ("", "")
    found = _overrides(sweep, (task, encoder, strategy, name), size, draw)
    command: tuple[str, ...] = ("fit", "--experiment", name)
    if laid:
        command += ("--config", f"configs/encoder/{encoder}.yaml")
    arguments = _at(tree, "model", "init_args")
    teacher = str(found.get("model.teacher", arguments.get("teacher") or ""))
    task = task or str(_at(tree, "data", "init_args").get("task"))
    taught = is_taught(lambda key: _value(key, arguments, found))
    if teacher and not taught:
        # its name would depend on whether that run is there already, and a configuration must not change
        found["model.teacher"] = ""
    key = (teacher.replace("{task}", task), encoder, size, draw) if teacher and taught else None
    return _Plan(name, encoder, size, draw, command, found, key)


def _value(key: str, arguments: trees.Tree, overrides: Overrides) -> Any:
    """The value of a key below ``model``, from an override of it or of its group, else from the experiment."""
    if f"model.{key}" in overrides:
        return overrides[f"model.{key}"]
    group, _, name = key.rpartition(".")
    if not group:
        return arguments.get(name)
    return (overrides.get(f"model.{group}") or _at(arguments, group)).get(name)


def _at(tree: trees.Tree, *keys: str) -> Any:
    for key in keys:
        tree = tree.get(key) or {}
    return tree


def _put(
    plan: _Plan, teachers: "dict[tuple[Any, ...], _Plan | None]", ordered: list[_Plan], waiting: tuple[Any, ...]
) -> None:
    if plan in ordered:
        return
    if plan.key in waiting:
        raise TransferlabError(f"model.teacher: {plan.experiment} would have to teach itself; name another one.")
    if teacher := teachers[plan.key]:
        _put(teacher, teachers, ordered, (*waiting, plan.key))
    ordered.append(plan)


def _cell(plan: _Plan, teacher: _Plan | None, numbers: dict[Any, int], runs: Path, sweep: str) -> Cell:
    overrides = dict(plan.overrides)
    after: tuple[int, ...] = ()
    folder = runs / plan.experiment / f"{sweep}-{plan.id}"
    if teacher is not None:
        overrides["model.teacher"] = os.path.abspath(runs / teacher.experiment / f"{sweep}-{teacher.id}")
        after = (numbers[teacher.key],)
    arguments = [*plan.command, "--seed_everything", str(plan.seed), "--run.root", str(runs)]
    arguments += ["--run.tags", json.dumps([sweep])]
    if plan.command[0] == "fit":
        arguments += ["--run.experiment", plan.experiment, "--run.keep_last", "false"]
    for key, value in overrides.items():
        arguments += [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
    return Cell(numbers[plan.key], f"{plan.experiment}/{folder.name}", tuple(arguments), folder, after)


def state(cell: Cell) -> str:
    """``to do``, or what the run's summary says: ``finished``, ``interrupted``, ``failed``, ``running``.

    Raises:
        TransferlabError: The folder holds a run with other arguments.
    """
    try:
        known = json.loads((cell.folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if known is not None and (changed := _changes(known["arguments"], list(cell.arguments))):
        raise TransferlabError(
            f"{cell.folder} was run with other settings; different are {', '.join(changed)}. Give the sweep another "
            "name, or delete that folder."
        )
    status = run_folder.read_summary(cell.folder).get("status")
    return str(status) if status else "to do"


FREE = ("--run.root", "--run.tags", "--run.keep_last", "--model.teacher")


def _changes(known: list[str], now: list[str]) -> list[str]:
    one, other = _pairs(known), _pairs(now)
    return sorted(
        key.lstrip("-") for key in one.keys() | other.keys() if one.get(key) != other.get(key) and key not in FREE
    )


def _pairs(arguments: list[str]) -> dict[str, str]:
    return dict(zip(arguments[1::2], arguments[2::2], strict=True))


def note(cell: Cell) -> None:
    """Makes the run directory of a cell, and writes down with what it is started.

    Raises:
        TransferlabError: It cannot be written.
    """
    try:
        cell.folder.mkdir(parents=True, exist_ok=True)
        run_folder.write_json(cell.folder / RECORD, {"arguments": list(cell.arguments)})
    except OSError as error:
        raise TransferlabError(f"cannot write the run directory {cell.folder}: {error.strerror}") from error


def tracks(cells: list[Cell]) -> list[list[Cell]]:
    """Cells that must follow one another in one job: a teacher with its students; each other cell alone."""
    found: dict[int, list[Cell]] = {}
    home: dict[int, int] = {}
    for cell in cells:
        home[cell.number] = home[cell.after[0]] if cell.after else cell.number
        found.setdefault(home[cell.number], []).append(cell)
    return list(found.values())
