"""``transferlab selftrain --run RUN POOL``."""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console
from transferlab.record import folder as run_folder
from transferlab.tasks import TaskDataModule
from transferlab.tasks.spec import TaskSpec
from transferlab.use.active.pool import Cells, known_texts, new_texts
from transferlab.use.drift import inputs
from transferlab.use.drift.observe import observe
from transferlab.use.prediction.inputs import Input, Wanted
from transferlab.use.predictor import Predictor, fitted_temperature
from transferlab.use.reread import data_of
from transferlab.use.selftraining.pseudo import Pseudo, scaled, sure_of
from transferlab.use.update import examples
from transferlab.use.update.command import settings


def run(asked: argparse.Namespace, keys: list[str]) -> None:
    """Labels and trains, round after round; a round that is finished is not run again, one that was cut off goes on.

    Raises:
        TransferlabError: No such run, file or split, or examples that are out of reach.
    """
    if (asked.pool is None) == (asked.split is None):
        raise TransferlabError("selftrain: give either POOL, a file of texts, or --split NAME.")
    at_least(1, **{"--rounds": asked.rounds, "--most": asked.most, "--rows": asked.rows})
    quiet()
    first = run_folder.find(asked.run, asked.root)
    teacher = Predictor.load(first)
    task = teacher.task
    if task.kind != "classification":
        raise TransferlabError(f"selftrain: it is for classification; {task.name} is {task.kind}.")
    limits = thresholds(asked.threshold, task.labels)
    data = data_of(first)
    pool = _pool(asked, data, teacher)
    own = {
        part: examples.written(data.rows(split), rows, data.source, data, task) for part, split, rows in _parts(data)
    }
    folder, rows = first, list[list[str]]()
    for number in range(1, asked.rounds + 1):
        teacher = Predictor.load(folder)
        pseudo, how = _labels(asked, folder, teacher, data.source.text, pool, limits)
        if not len(pseudo.rows):
            console().print(f"round {number}, {how}: no text reaches its threshold; lower --threshold", markup=False)
            break
        taught = [{**pool[row], data.source.label: task.labels[at]} for row, at in zip(*pseudo, strict=True)]
        splits = {**own, "train": own["train"] + taught}
        folder = _train(asked, keys, first, data, task, splits, number)
        metric = f"test/{task.primary}"
        counts = np.bincount(pseudo.labels, minlength=len(task.labels))
        told = ", ".join(f"{name} {count}" for name, count in zip(task.labels, counts, strict=True))
        rows.append(
            [str(number), told, how, f"{run_folder.read_summary(folder)['metrics'].get(metric, float('nan')):.4f}"]
        )
    _show(rows, run_folder.read_summary(first)["metrics"].get(f"test/{task.primary}"), task)


def thresholds(given: Sequence[str], labels: tuple[str, ...]) -> "np.ndarray[Any, Any]":
    """The least probability for each class ``[classes]``.

    Args:
        given: A number for all, or ``LABEL=P`` for some; classes that are not named have none.
        labels: Names of the classes.

    Raises:
        TransferlabError: No number in [0, 1], or no such label.
    """
    found = np.zeros(len(labels))
    # that of one class counts wherever it stands
    for word in sorted(given, key=lambda one: "=" in one):
        name, _, value = word.rpartition("=")
        if name and name not in labels:
            raise TransferlabError(f"--threshold: there is no label {name!r}; there are {', '.join(labels)}.")
        try:
            least = float(value)
        except ValueError:
            least = -1.0
        if not 0 <= least <= 1:
            raise TransferlabError(f"--threshold: {word} is no probability in 0 .. 1, nor LABEL=P.")
        found[labels.index(name) if name else slice(None)] = least
    return found


def _parts(data: TaskDataModule) -> list[tuple[str, str, Any]]:
    parts: list[tuple[str, str, Any]] = [
        ("train", *data.part_rows("train")),
        ("validation", *data.part_rows("validation")),
    ]
    named = zip(data.spec.tests, data.source.test, strict=True)
    return [*parts, *((name, split, data.test_rows(split)) for name, split in named)]


def _pool(asked: argparse.Namespace, data: TaskDataModule, predictor: Predictor) -> Cells:
    """The new texts, under the names of the run's columns."""
    names = data.source.text
    if asked.split:
        read = data.rows(asked.split).rows
        some = np.sort(np.random.default_rng(0).permutation(len(read))[: asked.rows])
        cells: Cells = list(read.select(some).select_columns(list(names)))
        where = f"split {asked.split}"
    else:
        if asked.text:
            predictor.read_from(asked.text)
        texts = predictor.text
        given = Input(asked.pool, Wanted(texts, False, asked.delimiter, asked.encoding), asked.format)
        drawn = inputs.draw(given, texts, asked.rows, 0, fewest=1)
        cells = [dict(zip(names, (row[text] for text in texts), strict=True)) for row in drawn.cells]
        where = given.name
    pool, notes = new_texts(cells, names, known_texts(data, all_labelled=bool(asked.split)))
    for note in notes:
        console().print(f"{where}: {note}", markup=False)
    if not pool:
        raise TransferlabError(f"{where}: no text is new; give texts without a label.")
    return pool


def _labels(
    asked: argparse.Namespace, folder: Path, teacher: Predictor, text: tuple[str, ...], pool: Cells, limits: Any
) -> tuple[Pseudo, str]:
    """What a teacher is sure of, and how its probabilities were scaled, in words."""
    temperature, how = 1.0, "probabilities as they are"
    if not asked.plain:
        try:
            temperature = fitted_temperature(folder, teacher.task)
            how = f"temperature {temperature:.2f}"
        except TransferlabError as error:
            console().print(f"{how}: {str(error).removeprefix('--calibrated: ')}", markup=False)
    records = observe(teacher, {name: [row[name] for row in pool] for name in text}, "texts of the pool").records
    scores = np.array([record["scores"] for record in records])
    return sure_of(scaled(scores, temperature), limits, asked.most), how


def _train(
    asked: argparse.Namespace,
    keys: list[str],
    first: Path,
    data: TaskDataModule,
    task: TaskSpec,
    splits: dict[str, list[dict[str, Any]]],
    number: int,
) -> Path:
    """Trains a round as a run of its own, or finds it finished; returns its directory."""
    place, files = examples.keep(examples.Parts(splits, [], {}), asked.root)
    tree = settings(first, asked, files, data, task)
    known = run_folder.read_summary(first)
    name = asked.experiment or f"{known.get('experiment', first.parent.name)}_selftrained"
    tree["run"] |= {"experiment": name, "strategy": f"{known.get('strategy', 'run')} selftrained"}
    # each student begins as the first run did, not where its teacher ended
    tree["run"].pop("start", None)
    if started := known.get("start"):
        tree["run"]["start"] = started.get("run") if isinstance(started, dict) else started
    config = place / f"{name}.yaml"
    run_folder.write_text(config, yaml.safe_dump(tree, sort_keys=False))
    folder: Path = asked.root / name / f"round{number}-s{tree['seed_everything']}-{place.name}"
    if run_folder.read_summary(folder).get("status") != "finished":
        command = [sys.executable, "-m", "transferlab", "fit", "--config", str(config), "--resume", str(folder), *keys]
        done = subprocess.run(command, env={**os.environ, "PYTHONSAFEPATH": "1"}, check=False)
        if done.returncode:
            raise TransferlabError(f"selftrain: round {number} ended with code {done.returncode}; see above.")
    return folder


def _show(rows: list[list[str]], before: float | None, task: TaskSpec) -> None:
    from rich.table import Table

    table = Table(title="self-training")
    for column in ("round", "labels given", "scale", f"test/{task.primary}"):
        table.add_column(column)
    table.add_row("0", "", "", "" if before is None else f"{before:.4f}")
    for row in rows:
        table.add_row(*row)
    console().print(table)
