"""One relation for each text with two marked entities."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.kinds.base import Array, OfSums, Report, f1, mean_of, ratio, row
from transferlab.tasks.kinds.classification import Classification
from transferlab.tasks.spec import TaskSpec

DIRECTION = re.compile(r"\((e1,e2|e2,e1)\)$")
NEGATIVES = ("Other", "no_relation")
"""What the class is called that is no relation, in SemEval-2010 task 8 and in TACRED."""


def relation_of(label: str) -> str:
    """The relation of a label without its direction: ``Cause-Effect`` of ``Cause-Effect(e2,e1)``."""
    return DIRECTION.sub("", label)


def negative_of(labels: Sequence[str], given: str | None) -> str:
    """The label that is no relation; empty where there is none.

    Args:
        labels: Those of the task.
        given: What `data.source.negative` names; None: one of `NEGATIVES`.

    Raises:
        TransferlabError: No label of the name that was given.
    """
    if given is None:
        return next((name for name in NEGATIVES if name in labels), "")
    if given and given not in labels:
        raise TransferlabError(
            f"data.source.negative: there is no label {given!r}{near(given, list(labels))}; there are "
            f"{', '.join(labels)}."
        )
    return given


def macro(sums: Array) -> Array:
    """Counts: hits, predicted, gold of every relation; one that is not there is left out, however often predicted.

    This is the official score of SemEval-2010 task 8 (Hendrickx et al. 2010, https://aclanthology.org/S10-1006/): a hit
    has the right direction, predicted and gold are of both directions together.
    """
    hits, found, gold = np.split(sums, 3, axis=-1)
    return ratio((ratio(2 * hits, found + gold) * (gold > 0)).sum(-1), (gold > 0).sum(-1))


class Relation(Classification):
    """The name of a relation, with its direction where it has one.

    ``f1_macro`` is the official score of SemEval-2010 task 8, see `macro`; ``f1_micro`` that of TACRED (Zhang et al.
    2017, https://aclanthology.org/D17-1004/): hits, predictions and labels of all relations together. The negative
    class is counted in neither.
    """

    metrics = ("f1_macro", "f1_micro", "accuracy")
    sums: ClassVar[Mapping[str, OfSums]] = {"f1_macro": macro, "f1_micro": f1, "accuracy": mean_of}
    texts = 1
    marked = True

    def counted(self, labels: Sequence[str], negative: str) -> list[str]:
        """All but the negative class."""
        return [label for label in labels if label != negative]

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a relation, both directions together; ``direction``: examples of which it alone is wrong."""
        names = list(dict.fromkeys(map(relation_of, labels)))
        hits, guesses, truths = np.split(self._counts(found, gold, names).sum(0), 3)
        turned = dict.fromkeys(names, 0)
        for guess, truth in zip(found, gold, strict=True):
            turned[relation_of(truth)] += guess != truth and relation_of(guess) == relation_of(truth)
        columns = (ratio(hits, guesses), ratio(hits, truths), ratio(2 * hits, guesses + truths), truths)
        rows = {name: row(*(column[i] for column in columns)) for i, name in enumerate(names)}
        if any(DIRECTION.search(label) for label in labels):
            rows = {name: one | {"direction": turned[name]} for name, one in rows.items()}
        return rows

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """See the functions of sums; a prediction of None is a skipped example, which is missed.

        Args:
            found: Predicted labels.
            gold: Right labels.
            metric: Its name.
            labels: Those that count, see `counted`.
        """
        if metric == "accuracy":
            return np.array([[1, guess == truth] for guess, truth in zip(found, gold, strict=True)], dtype=float)
        columns = self._counts(found, gold, list(dict.fromkeys(map(relation_of, labels))))
        return columns if metric == "f1_macro" else np.stack([part.sum(1) for part in np.split(columns, 3, 1)], 1)

    def _counts(self, found: Sequence[Any], gold: Sequence[Any], names: Sequence[str]) -> Array:
        """Hits, predicted and gold examples of each relation, ``[examples, 3 relations]``."""
        places = {name: number for number, name in enumerate(names)}
        counts = np.zeros((len(gold), 3, len(names)))
        for one, guess, truth in zip(counts, found, gold, strict=True):
            there = places.get(relation_of(truth))
            given = None if guess is None else places.get(relation_of(guess))
            if there is not None:
                one[2, there] = 1
                one[0, there] = guess == truth
            if given is not None:
                one[1, given] = 1
        return counts.reshape(len(gold), -1)


def counted(task: TaskSpec) -> list[str]:
    """The labels of a task that its F1 counts."""
    return [label for label in task.labels if label != task.negative]
