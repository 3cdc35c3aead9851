"""``transferlab drift --run RUN INPUT``."""

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.record.predictions import Record
from transferlab.tasks.kinds import KINDS
from transferlab.use.drift import inputs, measure, report
from transferlab.use.drift.inputs import Drawn
from transferlab.use.drift.observe import observe
from transferlab.use.prediction.inputs import Input, Wanted
from transferlab.use.predictor import Predictor
from transferlab.use.refused import refuse_texts

FEATURES = 1000
"""Texts of either side whose features are compared, at most: the work grows with the square."""
BINS = 20


def run(asked: argparse.Namespace) -> None:
    """Compares the rows of a file with the validation set of a run.

    Raises:
        TransferlabError: No such run or file, a row that cannot be read, or too few rows.
        SystemExit: Exit code 1 where something drifted and ``--fail`` is given.
    """
    if asked.rows < inputs.FEWEST:
        raise TransferlabError(f"--rows: {asked.rows} rows say nothing; use {inputs.FEWEST} or more.")
    quiet()
    folder = run_folder.find(asked.run, asked.root)
    lines = inputs.validation_records(folder)
    predictor = Predictor.load(folder, device=asked.device)
    refuse_texts(predictor.task, "drift")
    own = predictor.source
    if asked.text:
        predictor.read_from(asked.text)
    if predictor.task.intents:
        raise TransferlabError(
            f"--run: {folder.name} gives intents and slots, of which no shares are compared; `transferlab test --run "
            "RUN --files FILE` scores it on new texts with labels."
        )
    marked = KINDS[predictor.task.kind].marked
    wanted = Wanted(predictor.text, predictor.task.worded, asked.delimiter, asked.encoding, marked)
    given = Input(asked.input, wanted, asked.format)
    drawn = inputs.draw(given, predictor.text, asked.rows, asked.seed)
    gold, doubt = _labels(asked, drawn, predictor, given.name)
    columns = {name: [row[name] for row in drawn.cells] for name in predictor.text}
    new = observe(predictor, columns, "new texts")
    if gold:
        new = new._replace(records=[r | {"label": label} for r, label in zip(new.records, gold, strict=True)])
    result = {"run": str(folder), "input": given.name, "kind": predictor.task.kind, "seed": asked.seed}
    result["rows"] = {"validation": len(lines), "new": len(new.records), "read": drawn.read}
    checks, left_out = measure.compare(predictor.task, lines, new.records, asked.seed)
    try:
        predictor.text = own.text
        texts = inputs.validation_texts(folder, predictor, FEATURES, asked.seed)
        known = observe(predictor, texts, "validation texts").features
        chosen = np.random.default_rng(asked.seed).permutation(len(new.features))[:FEATURES]
        checks += measure.features(known, new.features[chosen], asked.seed)
    except TransferlabError as error:
        left_out["features"] = str(error)
    result |= _summed(predictor, lines, new.records, checks, left_out | doubt)
    report.conclude(result, asked)


def _labels(
    asked: argparse.Namespace, drawn: Drawn, predictor: Predictor, name: str
) -> tuple[list[Any] | None, dict[str, str]]:
    """The labels of the new texts, if there are any; a column that was not asked for may hold something else."""
    source = replace(predictor.source, text=predictor.text, label=asked.label or predictor.source.label)
    if asked.label and not any(asked.label in row for row in drawn.cells):
        raise TransferlabError(f"--label: {name} has no column {asked.label!r}; it has {', '.join(drawn.cells[0])}.")
    try:
        return inputs.right_answers(drawn, source, predictor.task, name), {}
    except TransferlabError as error:
        if asked.label:
            raise
        return None, {"right labels": str(error)}


def _summed(
    predictor: Predictor, lines: list[Record], new: list[Record], checks: list[dict[str, Any]], left_out: dict[str, str]
) -> dict[str, Any]:
    task = predictor.task
    shares, reason = measure.label_shares(task, lines, new)
    result: dict[str, Any] = {"checks": measure.correct(checks), "labels": shares}
    if "label" in new[0]:
        result["quality"] = {"validation": measure.quality(task, lines), "new texts": measure.quality(task, new)}
        if shares:
            found = measure.answers(task, [line["label"] for line in new]).sum(0)
            total = len(new) if task.kind == "multilabel" else found.sum()
            for row, count in zip(shares.values(), found, strict=False):
                row["right"] = float(count / total)
    result["left_out"] = left_out | ({"shares of right labels": reason} if reason else {})
    result["distributions"] = measure.distributions(task, lines, new, BINS)
    result["verdict"] = measure.verdict(result)
    return result
