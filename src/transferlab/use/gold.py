"""The right answers to rows with labels, in the form of predictions."""

from typing import Any

import numpy as np

from transferlab.tasks.kinds import KINDS
from transferlab.tasks.kinds.slots import answer_of
from transferlab.tasks.labels import Labels, encode_labels
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import Source, TaskSpec, written_tags


def gold_of(task: TaskSpec, rows: Rows, source: Source, labels: Labels) -> list[Any]:
    """The labels of rows, as a file of predictions has them."""
    if task.kind == "qa":
        return [[str(one["text"]) for one in cell] for cell in rows.rows[source.label][:]]
    numbers = encode_labels(rows, source, labels)
    if task.kind == "regression":
        return [float(number) for number in numbers]
    if task.kind == "multilabel":
        return [[name for name, flag in zip(task.labels, row, strict=True) if flag] for row in numbers]
    if not KINDS[task.kind].listed:
        return [task.labels[number] for number in numbers]
    ends = np.cumsum([len(words) + (task.kind == "slots") for words in rows.rows[source.text[0]][:]])[:-1]
    if task.kind == "slots":
        return [answer_of(task, row[0], row[1:].tolist()) for row in np.split(numbers, ends)]
    return [written_tags(task, row.tolist()) for row in np.split(numbers, ends)]
