"""The rows of a task as raw text, and predictions on them judged by the task's metrics."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from transferlab.ground.errors import TransferlabError
from transferlab.learning.metrics import build_metrics
from transferlab.tasks import TaskDataModule, TaskSpec
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.labels import encode_labels, is_labelled
from transferlab.tasks.tokenization import check_text, check_word_counts

Array = np.ndarray[Any, Any]


class Part(NamedTuple):
    """Training, validation or test examples.

    Attributes:
        ids: Row numbers in their split ``[rows]``.
        columns: One list per text column; the cells are texts, for tagging lists of words.
        labels: Class numbers or targets ``[rows]``; for tagging class numbers ``[rows, words]``, -100 for padding.
    """

    ids: Tensor
    columns: tuple[list[Any], ...]
    labels: Tensor


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


def read_parts(data: TaskDataModule) -> Parts:
    """The rows that a neural run with the same settings trains, selects and tests on.

    Raises:
        TransferlabError: Unusable rows.
    """
    data.train_labels()
    tests = [read_part(data, split, data.test_rows(split)) for split in data.source.test]
    return Parts(read_part(data, *data.part_rows("train")), read_part(data, *data.part_rows("validation")), tests)


def read_part(data: TaskDataModule, split: str, numbers: Array | None = None) -> Part:
    """Texts and labels of some rows of a split, by default of all.

    Raises:
        TransferlabError: Unlabelled or unusable rows.
    """
    read = data.rows(split)
    rows = read.rows
    check_text(read, data.source)
    if not is_labelled(rows, data.source, data.labels.names):
        raise TransferlabError(f"{read.origin}: the examples of split {split!r} carry no labels.")
    if data.spec.kind == "tagging":
        check_word_counts(read, data.source)
    labels = encode_labels(read, data.source, data.labels)
    numbers = np.arange(len(rows)) if numbers is None else numbers
    cells = [rows[column][:] for column in data.source.text]
    if data.spec.kind == "tagging":
        tags = np.split(labels, np.cumsum([len(words) for words in cells[0]])[:-1])
        wanted = padded([tags[number] for number in numbers], IGNORE)
    else:
        wanted = torch.as_tensor(labels[numbers])
    return Part(torch.as_tensor(numbers), tuple([cell[number] for number in numbers] for cell in cells), wanted)


def padded(rows: Iterable[Sequence[int] | Array], fill: int) -> Tensor:
    """Rows of class numbers as ``[rows, words]``, filled up on the right."""
    return pad_sequence([torch.as_tensor(row) for row in rows], batch_first=True, padding_value=fill)


def evaluate(task: TaskSpec, predicted: Tensor, labels: Tensor) -> dict[str, float]:
    """The metrics of the task, by the definitions of the neural runs.

    Args:
        task: Names the metrics.
        predicted: What `Baseline.predict` returns.
        labels: As in `Part`.
    """
    metrics = build_metrics(task)
    metrics.update(predicted, labels)
    return {name: value.item() for name, value in metrics.compute().items()}
