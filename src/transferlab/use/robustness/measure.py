"""What a run answers to changed texts, compared with what it answers to the texts themselves."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from transferlab.analysis.comparison.groups import estimate
from transferlab.analysis.page.lengths import wilson
from transferlab.record.predictions import Record
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.marked import MARK
from transferlab.tasks.spec import Kind
from transferlab.use.labelled import Judged, Labelled, judge
from transferlab.use.predictor import Predictor
from transferlab.use.robustness.perturbations import Perturbation

MOVED = 0.1
"""A prediction of regression counts as changed from this part of the standard deviation of all predictions."""


def perturbed(examples: Labelled, change: Perturbation, seed: int, kind: Kind = "classification") -> Labelled:
    """The same examples with changed texts; each has its own random numbers, whatever the others are.

    Args:
        examples: The examples.
        change: The perturbation.
        seed: Of its random numbers.
        kind: Kind of the task: marks of entities stay where they are, and of a question and its context the context
            stays, since the answer is a piece of it.
    """
    names = list(examples.columns)
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for row, cells in zip(examples.ids, zip(*examples.columns.values(), strict=True), strict=True):
        random = Random(f"{seed} {change.name} {row}")
        if isinstance(cells[0], list):
            assert change.of_words is not None
            found: Sequence[Any] = [change.of_words(list(cells[0]), random)]
        elif KINDS[kind].marked:
            found = [change.around(MARK, cells[0], random)]
        elif kind == "qa":
            found = [*change(cells[:1], random), *cells[1:]]
        else:
            found = change(cells, random)
        for name, cell, old in zip(names, found, cells, strict=True):
            # nothing may become empty, which is no text
            columns[name].append(cell if cell and (isinstance(cell, list) or cell.strip()) else old)
    return examples._replace(columns=columns)


def measure(predictor: Predictor, examples: Labelled, plain: Judged, change: Perturbation, seed: int) -> dict[str, Any]:
    """What a perturbation does to a run.

    Args:
        predictor: The run.
        examples: Its test examples.
        plain: Its answers to them.
        change: The perturbation.
        seed: Of its random numbers.

    Returns:
        ``changed_texts`` of ``examples``; ``metrics``; ``difference`` (``mean``, ``low``, ``high``) of the share of
        right answers over all examples, paired, by Student's t, without an interval where no answer is gained or lost
        (for tagging of words, for slots of texts with all right, for regression of the negative absolute error, for
        questions of F1); ``changed_predictions`` (``value``, ``low``, ``high``, ``trials``) among the changed texts,
        by Wilson; and for up to three of them ``shown``.
    """
    new = perturbed(examples, change, seed, predictor.task.kind)
    cells, others = (list(zip(*one.columns.values(), strict=True)) for one in (examples, new))
    texts = np.array([one != other for one, other in zip(cells, others, strict=True)])
    found = judge(predictor, new, change.name) if texts.any() else plain
    moved = _moved(plain.records, found.records) & texts
    difference = estimate((found.right - plain.right).tolist())
    assert difference is not None
    # without any gain or loss Student's interval would be a point, as if the run were known to bear everything
    ends = (difference.low, difference.high) if difference.std else (None, None)
    share = wilson(int(moved.sum()), int(texts.sum()))
    places = np.flatnonzero(moved)[:3]
    return {
        "text": change.text,
        "bias": change.bias,
        "examples": len(texts),
        "changed_texts": int(texts.sum()),
        "metrics": found.metrics,
        "difference": {"mean": difference.mean, "low": ends[0], "high": ends[1]},
        "changed_predictions": share._asdict(),
        "shown": [
            {
                "id": int(examples.ids[at]),
                "text": [_text(cell) for cell in others[at]],
                "before": plain.records[at]["prediction"],
                "after": found.records[at]["prediction"],
            }
            for at in places
        ],
    }


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else " ".join(cell)


def _moved(plain: Sequence[Record], changed: Sequence[Record]) -> "np.ndarray[Any, Any]":
    """Whether each prediction is another one."""
    pairs = [(one["prediction"], other["prediction"]) for one, other in zip(plain, changed, strict=True)]
    if isinstance(pairs[0][0], float):
        values: np.ndarray[Any, Any] = np.array(pairs)
        return np.asarray(np.abs(values[:, 1] - values[:, 0]) > MOVED * values[:, 0].std())
    return np.array([one != other for one, other in pairs])
