"""Predictions on test examples as JSON lines, one file per split, with example ids."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab.tasks.kinds import KINDS
from transferlab.tasks.scoring import signatures
from transferlab.tasks.spec import Kind, TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

    from transferlab.tasks.kinds.base import Array

Record = dict[str, Any]


def records(task: TaskSpec, outputs: Mapping[str, Any], labels: "Tensor | Array | None") -> list[Record]:
    """One record per example of a batch.

    Args:
        task: Names the labels.
        outputs: What a strategy's test step returns: ``index``, ``logits``, for tagging and multilabel ``classes``, for
            tagging ``word_mask``; where known ``tokens`` and ``loss``. A method that computes without torch gives
            arrays of numpy, and its own ``scores``.
        labels: Gold labels as in `transferlab.tasks.Batch`, or None.

    Returns:
        ``id`` (row number in the split), ``prediction``, with gold labels ``label``, for classification and
        multilabel ``scores`` (probabilities in label order), ``tokens`` (that the encoder read, special ones
        included), ``loss``; for questions what `transferlab.tasks.kinds.qa.answer_of` gives.
    """
    kind = KINDS[task.kind]
    found = kind.predicted(task, outputs)
    gold = None if labels is None else kind.gold(task, labels, outputs)
    result = [
        {"id": example, "prediction": prediction}
        for example, prediction in zip(outputs["index"].tolist(), found, strict=True)
    ]
    if gold is not None:
        result = [record | {"label": label} for record, label in zip(result, gold, strict=True)]
    if (scores := outputs["scores"].tolist() if "scores" in outputs else kind.scores(outputs)) is not None:
        # digits that count, not decimals: a temperature works on the logarithm
        result = [r | {"scores": [_digits(s) for s in row]} for r, row in zip(result, scores, strict=True)]
    if (more := kind.told(task, outputs)) is not None:
        result = [record | told for record, told in zip(result, more, strict=True)]
    for name in ("tokens", "loss"):
        if name in outputs:
            result = [r | {name: _digits(v)} for r, v in zip(result, outputs[name].tolist(), strict=True)]
    return result


def _digits(value: float) -> float | None:
    """Six significant digits; None for what JSON has no number for, such as the loss of a class never seen."""
    if isinstance(value, int):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None


def facts(kind: Kind, lines: list[Record]) -> dict[str, Any]:
    """What may be wrong with the predictions of a test split.

    Args:
        kind: Kind of the task.
        lines: What `records` returns, with gold labels.

    Returns:
        ``examples``; ``not_finite``, examples with a prediction or score that is no number; ``collapsed``, whether all
        predictions are the same (for tagging: no entity at all) though the labels are not.
    """
    found = [line["prediction"] for line in lines]
    gold: list[Any] = [line.get("label") for line in lines]
    collapsed = bool(lines) and KINDS[kind].collapsed(gold, found)
    numbers = [line.get("scores") or [line["prediction"]] for line in lines]
    broken = sum(any(n is None or (isinstance(n, float) and not math.isfinite(n)) for n in row) for row in numbers)
    return {"examples": len(lines), "not_finite": broken, "collapsed": collapsed}


def of_texts(task: TaskSpec, lines: list[Record], seconds: float | None = None) -> dict[str, Any]:
    """What a summary says of written texts beside their scores; empty for other kinds.

    Args:
        task: Names the scores.
        lines: What `records` returns, with references.
        seconds: How long generating took; None: not known.

    Returns:
        ``signatures`` of the scores; where known ``seconds_per_1000`` outputs and ``generated_tokens_s``.
    """
    if task.kind != "text" or not lines:
        return {}
    found: dict[str, Any] = {"signatures": signatures(task.metrics, task.language, [line["label"] for line in lines])}
    if seconds:
        found["seconds_per_1000"] = _digits(1000 * seconds / len(lines))
        if tokens := sum(line.get("new_tokens", 0) for line in lines):
            found["generated_tokens_s"] = _digits(tokens / seconds)
    return found


def place(folder: Path, name: str) -> Path:
    """The file of the predictions of a split, in a run directory or that of a re-test."""
    return folder / "predictions" / f"{name}.jsonl"


def write(path: Path, lines: list[Record], ordered: bool = False) -> None:
    """Writes records sorted by example id, or in the order that they have."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for line in lines if ordered else sorted(lines, key=lambda record: int(record["id"])):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def read(path: Path) -> list[Record]:
    """Reads a file written by `write`."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]
