"""``transferlab select --run RUN POOL``."""

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console
from transferlab.record import folder as run_folder
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import OF_ONE_CLASS
from transferlab.use.active import simulate
from transferlab.use.active.choose import Array, choose
from transferlab.use.active.pool import Cells, known_texts, new_texts
from transferlab.use.drift import inputs
from transferlab.use.drift.observe import observe
from transferlab.use.prediction.inputs import Input, Wanted
from transferlab.use.prediction.outputs import plain
from transferlab.use.predictor import Predictor
from transferlab.use.refused import refuse_texts
from transferlab.use.reread import data_of


def run(asked: argparse.Namespace) -> None:
    """Writes the next texts to label, or simulates.

    Raises:
        TransferlabError: No such run or file, a row that cannot be read, or too few new texts.
    """
    _check(asked)
    quiet()
    folder = run_folder.find(asked.run, asked.root)
    predictor = Predictor.load(folder, device=asked.device)
    refuse_texts(predictor.task, "select")
    own = predictor.source
    if asked.text:
        predictor.read_from(asked.text)
    kind = predictor.task.kind
    wanted = Wanted(predictor.text, predictor.task.worded, asked.delimiter, asked.encoding, KINDS[kind].marked)
    given = Input(asked.pool, wanted, asked.format)
    drawn = inputs.draw(given, predictor.text, asked.rows, asked.seed, fewest=1)
    if asked.simulate:
        _simulate(asked, predictor, drawn, given.name)
        return
    data = data_of(folder)
    cells, left_out = new_texts(drawn.cells, predictor.text, known_texts(data))
    for note in left_out:
        console().print(note, markup=False)
    if not cells:
        raise TransferlabError(f"{given.name}: no text is new; give texts without a label.")
    seen = observe(predictor, {name: [row[name] for row in cells] for name in predictor.text}, "texts of the pool")
    known = np.zeros((0, seen.features.shape[1]))
    if asked.strategy == "core_set":
        split, rows = data.part_rows("train")
        read = data.rows(split).rows.select(rows)
        texts = {name: list(read[theirs][:]) for name, theirs in zip(predictor.text, own.text, strict=True)}
        known = observe(predictor, texts, "training texts").features
    scores = np.array([r["scores"] for r in seen.records]) if kind in OF_ONE_CLASS else None
    chosen = choose(asked.strategy, scores, seen.features, known, asked.count, asked.seed)
    _write(asked, [cells[number] for number in chosen], [seen.records[number] for number in chosen], own.label)
    console().print(
        f"{len(chosen):,} of {len(cells):,} new texts by {asked.strategy} (seed {asked.seed}), the most wanted first: "
        f"{asked.output}",
        markup=False,
    )


def _check(asked: argparse.Namespace) -> None:
    """Refuses numbers that ask for nothing, before anything is loaded."""
    at_least(1, **{"--count": asked.count, "--rows": asked.rows, "--sizes": min(asked.sizes)})
    # a difference over a single seed has no interval
    at_least(2, **{"--simulate": asked.simulate})
    if asked.simulate and asked.output and asked.output.suffix != ".json":
        raise TransferlabError(f"--output: a simulation is written as JSON, so end {asked.output} in .json.")
    asked.output = asked.output or (None if asked.simulate else Path("to_label.csv"))


def _write(asked: argparse.Namespace, rows: Cells, records: list[dict[str, Any]], label: str) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row if name != (asked.label or label)))
    try:
        with asked.output.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow([*names, asked.label or label, "predicted", "probability"])
            for row, record in zip(rows, records, strict=True):
                best = max(record["scores"]) if record.get("scores") else ""
                cells = [*(row.get(name, "") for name in names), "", record["prediction"], best]
                writer.writerow(map(plain, cells))
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {asked.output}: {error.strerror}.") from error


def _simulate(asked: argparse.Namespace, predictor: Predictor, drawn: inputs.Drawn, name: str) -> None:
    if predictor.task.kind not in OF_ONE_CLASS:
        raise TransferlabError(f"--simulate: it wants one class for each text; this task is {predictor.task.kind}.")
    source = replace(predictor.source, label=asked.label or predictor.source.label)
    gold = inputs.right_answers(drawn, source, predictor.task, name)
    if gold is None:
        raise TransferlabError(f"--simulate: {name} has no labels in column {source.label!r}; choose with --label.")
    if len(set(gold)) < 2:
        raise TransferlabError(f"--simulate: all labels of {name} are {gold[0]!r}; a simulation needs two classes.")
    sizes = sorted(set(asked.sizes))
    if sizes[-1] > (1 - simulate.TESTED) * len(gold):
        raise TransferlabError(
            f"--sizes: {sizes[-1]} labels are wanted, but {name} has {len(gold)} texts, of which "
            f"{simulate.TESTED:.0%} are tested on."
        )
    columns = {text: [row[text] for row in drawn.cells] for text in predictor.text}
    vectors = observe(predictor, columns, "texts of the pool").features
    labels: Array = np.array([predictor.task.labels.index(label) for label in gold])
    curves = simulate.simulate(vectors, labels, sizes, asked.simulate)
    show(curves, sizes)
    if asked.output:
        run_folder.write_text(asked.output, json.dumps(simulate.as_plain(curves, sizes), indent=1))


def show(curves: "dict[Any, simulate.Curve]", sizes: list[int]) -> None:
    """Prints a table: accuracy at each size, for the others the mean difference to random with its 95 % interval."""
    from rich.table import Table

    table = Table(title="accuracy; others: difference to random (95 %)")
    table.add_column("strategy")
    for size in sizes:
        table.add_column(f"{size} labels", justify="right")
    for name, curve in curves.items():
        if curve.gains is None:
            cells = [f"{score:.1f}" for score in curve.scores.mean(0)]
        else:
            cells = [f"{mean:+.1f} ({low:+.1f} to {high:+.1f})" for mean, low, high in curve.gains]
        table.add_row(name, *cells)
    console().print(table)
