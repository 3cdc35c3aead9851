"""The rows of a task as raw text, and predictions on them judged by the task's metrics."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.checks import check_text, check_word_counts
from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.kinds.tagging import entity_counts
from transferlab.tasks.labels import encode_labels, is_labelled
from transferlab.tasks.measured import check_metrics
from transferlab.tasks.scoring import statistics
from transferlab.tasks.spec import TaskSpec
from transferlab.tasks.task import Task

Array = np.ndarray[Any, Any]


class Part(NamedTuple):
    """Training, validation or test examples.

    Attributes:
        ids: Row numbers in their split ``[rows]``.
        columns: One list per text column; the cells are texts, for tagging lists of words.
        labels: Class numbers or targets ``[rows]``; for tagging class numbers ``[rows, words]``, -100 for padding; for
            slots the intent stands before them; for questions their gold answers, for texts the references.
    """

    ids: Array
    columns: tuple[list[Any], ...]
    labels: Array


class Parts(NamedTuple):
    """All rows that a baseline reads.

    Attributes:
        train: The rows to fit on.
        validation: The rows to select on.
        tests: The labelled test splits, the main one first.
    """

    train: Part
    validation: Part
    tests: list[Part]


def read_parts(data: Task) -> Parts:
    """The rows that a neural run with the same settings trains, selects and tests on.

    Raises:
        TransferlabError: Unusable rows.
    """
    data.train_labels()
    tests = [read_part(data, split, data.test_rows(split)) for split in data.source.test]
    return Parts(read_part(data, *data.training_rows()), read_part(data, *data.part_rows("validation")), tests)


def read_part(data: Task, split: str, numbers: Array | None = None) -> Part:
    """Texts and labels of some rows of a split, by default of all.

    Raises:
        TransferlabError: Unlabelled or unusable rows.
    """
    read = data.rows(split)
    rows = read.rows
    if data.spec.kind != "text":
        # these are checked where they are read, and may be chats
        check_text(read, data.source)
    if not is_labelled(rows, data.source, data.labels.names):
        raise TransferlabError(f"{read.origin}: the examples of split {split!r} carry no labels.")
    if data.spec.worded:
        check_word_counts(read, data.source)
    labels = encode_labels(read, data.source, data.labels)
    numbers = np.arange(len(rows)) if numbers is None else numbers
    cells = [rows[column][:] for column in data.source.text]
    if data.spec.worded:
        intents = data.spec.kind == "slots"
        tags = np.split(labels, np.cumsum([len(words) + intents for words in cells[0]])[:-1])
        wanted = padded([tags[number] for number in numbers], IGNORE)
    elif data.spec.kind == "qa":
        golds = rows[data.source.label][:]
        wanted = np.empty(len(numbers), dtype=object)
        wanted[:] = [[str(one["text"]) for one in golds[number]] for number in numbers]
    elif data.spec.kind == "text":
        targets = rows[data.source.label][:]
        wanted = np.empty(len(numbers), dtype=object)
        wanted[:] = [[cell] if isinstance(cell := targets[number], str) else list(cell) for number in numbers]
    else:
        wanted = np.asarray(labels[numbers])
    return Part(np.asarray(numbers), tuple([cell[number] for number in numbers] for cell in cells), wanted)


def padded(rows: Iterable[Sequence[int] | Array], fill: int) -> Array:
    """Rows of class numbers as ``[rows, words]``, filled up on the right."""
    listed = list(rows)
    table = np.full((len(listed), max((len(row) for row in listed), default=0)), fill, dtype=np.int64)
    for target, row in zip(table, listed, strict=True):
        target[: len(row)] = row
    return table


def evaluate(task: TaskSpec, predicted: Array, labels: Array) -> dict[str, float]:
    """The metrics of the task, by the definitions of the neural runs and as exact as theirs: in float32.

    Args:
        task: Names the metrics.
        predicted: What `Baseline.predict` returns, or decisions on several labels.
        labels: As in `Part`.

    Raises:
        TransferlabError: A metric that the task cannot have.
    """
    check_metrics(task)
    if not len(labels):
        return dict.fromkeys(task.metrics, 0.0)
    if task.kind == "tagging":
        values = _of_entities(task, predicted, labels) if task.entities else _of_tags(task, predicted, labels)
        return {name: float(np.float32(values[name])) for name in task.metrics}
    kind = KINDS[task.kind]
    if task.kind == "regression":
        predicted, labels = predicted.astype(np.float32), labels.astype(np.float32)
    if task.kind == "text":
        written = statistics(list(predicted), list(labels), task.metrics, task.language)
        return {name: float(np.float32(kind.sums[name](written[name].sum(0)))) for name in task.metrics}
    if task.kind == "qa":
        found, gold = [one["prediction"] for one in predicted], list(labels)
        return {
            name: float(np.float32(kind.sums[name](kind.counts(found, gold, name, ()).sum(0)))) for name in task.metrics
        }
    classes = (predicted >= 0).astype(np.int64) if predicted.dtype.kind == "f" else predicted
    outputs: dict[str, Any] = {"logits": predicted, "classes": classes, "word_mask": labels != IGNORE}
    sides = kind.predicted(task, outputs), kind.gold(task, labels, outputs)
    found, gold = ([kind.read(task.spelling, one) for one in side] for side in sides)
    labelled = kind.counted(task.labels, task.negative)
    return {
        name: float(np.float32(kind.sums[name](kind.counts(found, gold, name, labelled).sum(0))))
        for name in task.metrics
    }


def _of_entities(task: TaskSpec, predicted: Array, labels: Array) -> dict[str, float]:
    counts = entity_counts(task.labels, task.spelling, predicted.tolist(), labels.tolist())
    hits, wrong, missed = np.array(list(counts.values())).sum(0).tolist()
    return {
        "f1": 2 * hits / max(2 * hits + wrong + missed, 1),
        "precision": hits / max(hits + wrong, 1),
        "recall": hits / max(hits + missed, 1),
    }


def _of_tags(task: TaskSpec, predicted: Array, labels: Array) -> dict[str, float]:
    real = labels != IGNORE
    guess, truth = predicted[real], labels[real]
    counted = (truth[guess == truth], guess[guess >= 0], truth)
    hits, found, gold = (np.bincount(numbers, minlength=len(task.labels)) for numbers in counted)
    either = found + gold
    f1 = 2 * hits / np.maximum(either, 1)
    return {"accuracy": hits.sum() / max(gold.sum(), 1), "f1_macro": f1.sum() / max((either > 0).sum(), 1)}
