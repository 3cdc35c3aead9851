"""Predictions on test examples as JSON lines, one file per split, with example ids."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

Record = dict[str, Any]


def records(task: TaskSpec, outputs: dict[str, "Tensor"], labels: "Tensor | None") -> list[Record]:
    """One record per example of a batch.

    Args:
        task: Names the labels.
        outputs: What a strategy's test step returns: ``index``, ``logits``, for tagging ``classes`` and ``word_mask``.
        labels: Gold labels as in `transferlab.tasks.Batch`, or None.

    Returns:
        ``id`` (row number in the split), ``prediction``, with gold labels ``label``, for classification ``scores``
        (probabilities in label order).
    """
    ids = outputs["index"].tolist()
    if task.kind == "tagging":
        found = [_names(task, row, mask) for row, mask in _rows(outputs["classes"], outputs["word_mask"])]
        gold = None if labels is None else [_names(task, r, m) for r, m in _rows(labels, outputs["word_mask"])]
        return [_record(i, p, None if gold is None else gold[n]) for n, (i, p) in enumerate(zip(ids, found, strict=True))]
    gold = None if labels is None else labels.tolist()
    if task.kind == "regression":
        values = outputs["logits"].tolist()
        return [_record(i, v, None if gold is None else gold[n]) for n, (i, v) in enumerate(zip(ids, values, strict=True))]
    scores = outputs["logits"].softmax(-1).tolist()
    result = []
    for number, (example, row) in enumerate(zip(ids, scores, strict=True)):
        name = task.labels[max(range(len(row)), key=row.__getitem__)]
        label = None if gold is None else task.labels[gold[number]]
        result.append({**_record(example, name, label), "scores": [round(score, 6) for score in row]})
    return result


def _record(example: int, prediction: Any, label: Any) -> Record:  # noqa: ANN401
    return {"id": example, "prediction": prediction} | ({} if label is None else {"label": label})


def _rows(values: "Tensor", mask: "Tensor") -> list[tuple[list[int], list[bool]]]:
    return list(zip(values.tolist(), mask.tolist(), strict=True))


def _names(task: TaskSpec, classes: list[int], mask: list[bool]) -> list[str]:
    return [task.labels[number] for number, real in zip(classes, mask, strict=True) if real]


def write(path: Path, lines: list[Record]) -> None:
    """Writes records sorted by example id."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in sorted(lines, key=lambda record: int(record["id"])):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Record]:
    """Reads a file written by `write`."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
