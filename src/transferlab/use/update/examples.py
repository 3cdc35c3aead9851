"""The examples of an update: new ones, replayed old ones, and the test sets of both."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks import TaskDataModule
from transferlab.tasks.checks import check_text
from transferlab.tasks.datamodule import Part
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.labels import require_columns
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.sources import read_split
from transferlab.tasks.spec import Source, TaskSpec
from transferlab.tasks.tagged import in_iob2
from transferlab.use.gold import gold_of
from transferlab.use.update.kept import FOLDER

Array = np.ndarray[Any, Any]
Row = dict[str, Any]
FEWEST = 10
"""New examples, below which none can be held out."""
TESTED, SELECTING = 0.2, 0.1
"""Shares of the new examples that are tested on, where no file is, and that select checkpoints."""
NEW = "test_new"


class Parts(NamedTuple):
    """What an update trains, selects and tests on.

    Attributes:
        splits: Name of each split to its rows: ``train``, ``validation``, the test sets of the run, and `NEW`.
        notes: What was left out, in words.
        counts: How many training examples are ``new`` and ``old``.
    """

    splits: dict[str, list[Row]]
    notes: list[str]
    counts: dict[str, int]


def read_new(path: str, old: TaskDataModule, task: TaskSpec) -> list[Row]:
    """The rows of a file with labels of a task.

    Raises:
        TransferlabError: No such file or column, or a label that the task does not have.
    """
    source = replace(
        old.source,
        path="",
        config=None,
        revision=None,
        files={"new": path},
        train="new",
        validation="",
        test=(),
        predict=(),
        delimiter=None,
        quoted=None,
        encoding=None,
        header=None,
    )
    rows = read_split(source, "new")
    require_columns(rows, source)
    check_text(rows, source)
    if task.worded and old.labels.scheme is not None:
        rows = in_iob2(rows, source, old.labels.scheme)
    try:
        return written(rows, np.arange(len(rows.rows)), source, old, task)
    except TransferlabError as error:
        raise TransferlabError(
            f"{error} An update keeps the labels of its run; a new label needs a new run."
        ) from error


def written(rows: Rows, numbers: Array, source: Source, old: TaskDataModule, task: TaskSpec) -> list[Row]:
    """Some rows with their texts and their label by name, for tagging in the spelling of the user's files."""
    chosen = rows._replace(
        rows=rows.rows.select(numbers), lines=None if rows.lines is None else [rows.lines[n] for n in numbers]
    )
    # an answer is learned with its place in the text
    told = chosen.rows[source.label][:] if task.kind == "qa" else gold_of(task, chosen, source, old.labels)
    columns = [chosen.rows[name][:] for name in source.text]
    texts = zip(*columns, strict=True)
    rows_of = [dict(zip(source.text, row, strict=True)) for row in texts]
    if source.kind == "slots":
        intent = source.intent or "intent"
        named = [{source.label: answer["slots"], intent: answer["intent"]} for answer in told]
        return [{**row, **own} for row, own in zip(rows_of, named, strict=True)]
    return [{**row, source.label: label} for row, label in zip(rows_of, told, strict=True)]


def key(row: Row, source: Source) -> str:
    """What two rows with the same texts agree in."""
    return json.dumps([row[name] for name in source.text])


def gather(old: TaskDataModule, task: TaskSpec, new: list[Row], tested: list[Row] | None, replay: float) -> Parts:
    """Puts the parts together, so that no text of a test set was trained or selected on, by either run.

    What is drawn depends on no seed of a run, so runs of several seeds have the same examples.

    Args:
        old: The examples of the run.
        task: Its task.
        new: New examples.
        tested: A test set of new ones; None: a fifth of `new`.
        replay: Share of the old training examples that is trained on again.

    Raises:
        TransferlabError: Too few new examples, or none left for a part.
    """
    source, notes = old.source, list[str]()
    parts: tuple[Part, ...] = ("train", "validation")
    known = {part: _rows(old, task, *old.part_rows(part)) for part in parts}
    tests = {
        name: _rows(old, task, split, old.test_rows(split))
        for name, split in zip(old.spec.tests, source.test, strict=True)
    }
    asked = {key(row, source) for rows in tests.values() for row in rows}
    learned, selecting = ({key(row, source) for row in known[part]} for part in parts)
    generator = np.random.default_rng(0)
    if tested is None:
        new, tested = _held_out(new, source, TESTED, generator)
    tested = _without(
        tested, source, learned | selecting, "new test examples stand in the old training examples", notes
    )
    fresh = {key(row, source) for row in tested}
    new = _without(new, source, asked | selecting | fresh, "new examples stand in a test or validation set", notes)
    train, chosen = _held_out(new, source, SELECTING, generator)
    for what, rows in (("training", train), ("validation", chosen), ("test", tested)):
        if not rows:
            raise TransferlabError(f"--data: no new example is left for the new {what} set; give more, or --test FILE.")
    taken = fresh | {key(row, source) for row in new}
    again = _without(known["train"], source, taken, "old training examples stand among the new ones", notes)
    picked = np.sort(generator.permutation(len(again))[: round(replay * len(again))])
    replayed = [again[number] for number in picked]
    # that of an earlier update keeps its name
    name = next(name for name in (NEW, *(f"{NEW}{number}" for number in range(2, 1000))) if name not in tests)
    splits = {"train": train + replayed, "validation": known["validation"] + chosen, **tests, name: tested}
    return Parts(splits, notes, {"new": len(train), "old": len(replayed)})


def _rows(old: TaskDataModule, task: TaskSpec, split: str, numbers: Array) -> list[Row]:
    return written(old.rows(split), numbers, old.source, old, task)


def _held_out(
    rows: list[Row], source: Source, share: float, generator: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """Rows, and a share of them that is held out; those with the same texts stay together."""
    names = sorted({key(row, source) for row in rows})
    out = {names[number] for number in generator.permutation(len(names))[: max(1, round(share * len(names)))]}
    parts: tuple[list[Row], list[Row]] = ([], [])
    for row in rows:
        parts[key(row, source) in out].append(row)
    return parts


def _without(rows: Sequence[Row], source: Source, others: set[str], what: str, notes: list[str]) -> list[Row]:
    left = [row for row in rows if key(row, source) not in others]
    if len(left) < len(rows):
        notes.append(f"{len(rows) - len(left):,} {what} and are left out")
    return left


def keep(parts: Parts, root: Path) -> tuple[Path, dict[str, str]]:
    """Writes the parts as JSON lines into a folder that is named by their content.

    Returns:
        The folder, and the file of each split.

    Raises:
        TransferlabError: The folder cannot be written.
    """
    texts = {name: "".join(_lines(rows)) for name, rows in parts.splits.items()}
    digest = hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]
    folder = root / FOLDER / digest
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TransferlabError(f"--root: cannot write {folder}: {error.strerror}.") from error
    files = {}
    for name, text in texts.items():
        path = folder / f"{name}.jsonl"
        # tokens are kept by the time of the file too
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            run_folder.write_text(path, text)
        files[name] = str(path)
    return folder, files


def _lines(rows: Iterable[Row]) -> Iterable[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def source_of(files: dict[str, str], old: Source, task: TaskSpec) -> dict[str, Any]:
    """The keys of `data.source` for the files."""
    return {
        "files": files,
        "text": list(old.text),
        "label": old.label,
        "kind": task.kind,
        "labels": list(task.labels) if KINDS[task.kind].named else [],
        "metrics": list(task.metrics),
        "train": "train",
        "validation": "validation",
        "test": [name for name in files if name not in ("train", "validation")],
        **({"scheme": task.scheme.name} if task.worded and task.scheme else {}),
        **({"intent": old.intent or "intent"} if task.intents else {}),
    }
