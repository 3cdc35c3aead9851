"""Any number of labels for each text or pair of texts, none included."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.kinds.base import Answers, Array, OfSums, Report, f1, mean_of, ratio, row
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 10
"""Validation examples with a label from which a threshold for it is fitted."""


def f1_macro(sums: Array) -> Array:
    """Counts: hits, predicted, gold of every label; a label that occurs in neither counts 0."""
    hits, found, gold = np.split(sums, 3, axis=-1)
    scores: Array = ratio(2 * hits, found + gold).mean(-1)
    return scores


class Multilabel(Answers):
    """A list of names, in the order of the labels."""

    metrics = ("f1_micro", "f1_macro", "subset_accuracy")
    sums: ClassVar[Mapping[str, OfSums]] = {"f1_micro": f1, "f1_macro": f1_macro, "subset_accuracy": mean_of}
    listed = "a list of labels"
    scored = True
    not_sampled = "drawing examples for one label draws others along; use model.loss: weighted"

    def strata(self, labels: Array) -> Array | None:
        """The rarest label of each example, so that rare labels are on both sides; -1 for an example without any.

        A stratum of a single example is joined to those without any.
        """
        frequency = labels.sum(0)
        rarity = np.where(labels > 0, frequency, len(labels) + 1)
        strata = np.where(labels.any(1), rarity.argmin(1), -1)
        names, counts = np.unique(strata, return_counts=True)
        joined: Array = np.where(np.isin(strata, names[counts < 2]), -1, strata)
        return joined if (joined == -1).sum() != 1 else None

    def predicted(self, task: TaskSpec, outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The labels that reach their thresholds."""
        return self.gold(task, outputs["classes"], outputs)

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The labels of each example."""
        return [[n for n, flag in zip(task.labels, flags, strict=True) if flag] for flags in labels.tolist()]

    def scores(self, outputs: Mapping[str, "Tensor"]) -> list[list[float]]:
        """The sigmoid."""
        scores: list[list[float]] = outputs["logits"].sigmoid().tolist()
        return scores

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a label."""
        hits, guesses, truths = np.split(self.counts(list(found), list(gold), "f1_macro", labels).sum(0), 3)
        columns = (ratio(hits, guesses), ratio(hits, truths), ratio(2 * hits, guesses + truths), truths)
        return {name: row(*(column[i] for column in columns)) for i, name in enumerate(labels)}

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether all answers are the same though the right ones are not."""
        return len(set(map(tuple, gold))) > 1 and len(set(map(tuple, found))) == 1

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Hits, predicted and gold labels of each example, for macro F1 of each label; examples and right sets."""
        guess, truth = (flags(column, labels) for column in (found, gold))
        if metric == "subset_accuracy":
            return np.stack([np.ones(len(truth)), (guess == truth).all(1)], 1).astype(float)
        columns = (guess * truth, guess, truth)
        if metric == "f1_micro":
            return np.stack([column.sum(1) for column in columns], 1)
        return np.concatenate(columns, 1)


def flags(lists: Sequence[Sequence[str]], labels: Sequence[str]) -> Array:
    """1 where an example has a label, else 0, ``[examples, labels]``."""
    places = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(lists), len(labels)))
    for number, names in enumerate(lists):
        table[number, [places[name] for name in names]] = 1
    return table


def best_thresholds(scores: Array, gold: Array) -> list[float]:
    """For each label the threshold of the best F1, see `best_threshold`; one half with fewer than `FEWEST` examples.

    Args:
        scores: Probabilities ``[examples, labels]``.
        gold: 1 where an example has a label, else 0, ``[examples, labels]``.
    """
    sure = scores.astype(np.float64)
    return [best_threshold(sure[:, n], gold[:, n]) if gold[:, n].sum() >= FEWEST else 0.5 for n in range(gold.shape[1])]


def best_threshold(scores: Any, gold: Any) -> float:
    """The threshold on a probability that gives the best F1 of one label; the middle of its plateau.

    Between two neighbouring scores F1 is the same, so the middle is taken; of several plateaus the widest.

    Args:
        scores: Probabilities ``[examples]``.
        gold: 1 where the example has the label, else 0, ``[examples]``; at least one.
    """
    cuts, place = np.unique(scores, return_inverse=True)
    # with a threshold in (cuts[k - 1], cuts[k]] all examples of score cuts[k] and above are found
    hits = np.bincount(place, gold, len(cuts))[::-1].cumsum()[::-1]
    found = np.bincount(place, minlength=len(cuts))[::-1].cumsum()[::-1]
    f1 = 2 * hits / (found + gold.sum())
    lower = np.concatenate([[0.0], cuts[:-1]])
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(runs, key=lambda run: cuts[run[-1]] - lower[run[0]])
    return float((lower[widest[0]] + cuts[widest[-1]]) / 2)
