"""The texts that are compared: some rows of a file, and the validation examples of a run; imports no torch itself."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import refuse_without_task
from transferlab.record import predictions
from transferlab.record.predictions import Record
from transferlab.tasks.labels import Labels
from transferlab.tasks.marked import parse
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.reading.questions import IMPOSSIBLE, START, answered
from transferlab.tasks.reading.relations import has_spans, of_cells
from transferlab.tasks.spec import Source, TaskSpec
from transferlab.use.gold import gold_of
from transferlab.use.prediction.inputs import Input, Row

if TYPE_CHECKING:
    from transferlab.use.predictor import Predictor

FEWEST = 20
"""Rows of either side, below which nothing can be said."""


class Drawn(NamedTuple):
    """Rows of a file.

    Attributes:
        cells: Column name to cell, of each row that was drawn.
        lines: The line of each in the file.
        read: Rows with text in the whole file.
    """

    cells: list[dict[str, Any]]
    lines: list[int]
    read: int


def draw(given: Input, text: Sequence[str], rows: int, seed: int, fewest: int = FEWEST) -> Drawn:
    """Draws rows of a file, each with the same chance, in one pass (algorithm R, Vitter 1985).

    Args:
        given: The file.
        text: Its text columns.
        rows: How many are drawn.
        seed: Of the draw.
        fewest: Rows that are needed.

    Raises:
        TransferlabError: A row that cannot be read or has no such column, or too few rows.
    """
    generator = np.random.default_rng(seed)
    drawn: list[Row] = []
    read = 0
    for row in given.rows:
        row = _marked(row, given, text)
        if missing := [name for name in text if name not in row.cells]:
            raise TransferlabError(f"{given.name}, line {row.line}: no {missing[0]!r}; choose with --text.")
        if not all(_is_text(row.cells[name]) for name in text):
            continue
        place = len(drawn) if len(drawn) < rows else int(generator.integers(read + 1))
        if place < rows:
            drawn[place : place + 1] = [row]
        read += 1
    if not drawn:
        raise TransferlabError(f"{given.name} has no row with text.")
    if len(drawn) < fewest:
        raise TransferlabError(f"{given.name}: {len(drawn)} row(s) with text; {fewest} are needed to say anything.")
    drawn.sort(key=lambda row: row.line)
    return Drawn([row.cells for row in drawn], [row.line for row in drawn], read)


def _marked(row: Row, given: Input, text: Sequence[str]) -> Row:
    """For relations the row with its marked text, whether the entities are marked there or stand beside it."""
    if not given.wanted.spans:
        return row
    try:
        if has_spans(row.cells):
            row = row._replace(cells={**row.cells, text[0]: of_cells(row.cells, text[0])})
        if _is_text(row.cells.get(text[0])):
            parse(row.cells[text[0]])
    except TransferlabError as error:
        raise TransferlabError(f"{given.name}, line {row.line}: {str(error).removesuffix('.')}.") from error
    return row


def _is_text(cell: Any) -> bool:
    words = isinstance(cell, list) and bool(cell) and all(isinstance(word, str) for word in cell)
    return words or (isinstance(cell, str) and bool(cell.strip()))


def validation_records(run: Path) -> list[Record]:
    """What the run answered to its validation examples.

    Raises:
        TransferlabError: It is not kept, or there are too few.
    """
    refuse_without_task(run)
    path = predictions.place(run, "validation")
    try:
        lines = predictions.read(path)
    except (OSError, ValueError) as error:
        raise TransferlabError(
            f"{path} is missing or damaged, which new texts are compared with; train the run again."
        ) from error
    if len(lines) < FEWEST:
        raise TransferlabError(f"{run} has {len(lines)} validation example(s); {FEWEST} are needed to say anything.")
    return lines


def validation_texts(run: Path, predictor: "Predictor", rows: int, seed: int) -> dict[str, list[Any]]:
    """Texts of some validation examples of a run, by column.

    Raises:
        TransferlabError: They are out of reach, or others than the run had.
    """
    # it imports torch, which counts need not
    from transferlab.use.reread import data_of

    data = data_of(run)
    split, numbers = data.part_rows("validation")
    chosen = np.sort(np.random.default_rng(seed).permutation(numbers)[:rows])
    read = data.rows(split).rows.select(chosen)
    return {name: list(read[own][:]) for name, own in zip(predictor.text, data.source.text, strict=True)}


def right_answers(drawn: Drawn, source: Source, task: TaskSpec, name: str) -> list[Any] | None:
    """The labels of rows in the form of predictions; None where the label column is empty or not there.

    Raises:
        TransferlabError: A label that the run does not know, or a row without one.
    """
    cells = [row.get(source.label) for row in drawn.cells]
    if not any(cell not in (None, "") for cell in cells):
        return None
    if task.kind == "tagging":
        return _tags(cells, task, name)
    if task.kind == "qa":
        return _golds(drawn, source, name)
    rows = Rows(Table.from_dict({source.label: cells}), name, drawn.lines)
    return gold_of(task, rows, source, Labels(task.labels, bool(source.labels)))


def _golds(drawn: Drawn, source: Source, name: str) -> list[Any]:
    """The texts of all answers to each question."""
    known = (*source.text, source.label, START, IMPOSSIBLE)
    columns = {
        column: [row.get(column) for row in drawn.cells]
        for column in known
        if any(column in row for row in drawn.cells)
    }
    answered(columns, source, lambda row: f"{name}, line {drawn.lines[row]}")
    return [[str(one["text"]) for one in cell or ()] for cell in columns[source.label]]


def _tags(cells: list[Any], task: TaskSpec, name: str) -> list[Any]:
    for tags in cells:
        if unknown := set(task.spelling.read(tags)) - set(task.labels) if isinstance(tags, list) else {str(tags)}:
            raise TransferlabError(f"{name}: {sorted(unknown)[0]!r} is no tag of the run: {', '.join(task.labels)}.")
    return cells
