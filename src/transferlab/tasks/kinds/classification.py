"""One class for each text or pair of texts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.kinds.base import Answers, Array, OfSums, Report, f1, mean_of, ratio, row
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor


def f1_macro(sums: Array) -> Array:
    """Counts: hits, predicted, gold of every class; a class that occurs in neither is left out of the mean."""
    hits, found, gold = np.split(sums, 3, axis=-1)
    return ratio(ratio(2 * hits, found + gold).sum(-1), (found + gold > 0).sum(-1))


def matthews(sums: Array) -> Array:
    """Counts: examples, hits, then predicted and gold of every class (Gorodkin 2004)."""
    total, hits = sums[..., 0], sums[..., 1]
    found, gold = np.split(sums[..., 2:], 2, axis=-1)
    spread = (total**2 - (found**2).sum(-1)) * (total**2 - (gold**2).sum(-1))
    return ratio(hits * total - (found * gold).sum(-1), np.sqrt(np.maximum(spread, 0)))


class Classification(Answers):
    """The name of a class."""

    metrics: tuple[str, ...] = ("accuracy", "f1_macro")
    sums: ClassVar[Mapping[str, OfSums]] = {"accuracy": mean_of, "f1": f1, "f1_macro": f1_macro, "matthews": matthews}
    scored = True
    confusion = True
    single = True

    def strata(self, labels: Array) -> Array:
        """The classes."""
        return labels

    def predicted(self, task: TaskSpec, outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The class of the largest logit."""
        return [task.labels[number] for number in outputs["logits"].argmax(-1).tolist()]

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The class."""
        return [task.labels[number] for number in labels.tolist()]

    def scores(self, outputs: Mapping[str, "Tensor"]) -> list[list[float]]:
        """The softmax."""
        scores: list[list[float]] = outputs["logits"].softmax(-1).tolist()
        return scores

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a class."""
        places = {label: number for number, label in enumerate(labels)}
        truth, guess = (np.array([places.get(name, -1) for name in column], dtype=int) for column in (gold, found))
        counted = (truth[truth == guess], guess, truth)
        hits, guesses, truths = (np.bincount(one[one >= 0], minlength=len(places)) for one in counted)
        columns = (ratio(hits, guesses), ratio(hits, truths), ratio(2 * hits, guesses + truths), truths)
        return {name: row(*(column[i] for column in columns)) for i, name in enumerate(labels)}

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """See the functions of sums."""
        places = {label: number for number, label in enumerate(labels)}
        guess, truth = (np.array([places[label] for label in column]) for column in (found, gold))
        right = (guess == truth).astype(float)
        if metric == "accuracy":
            return np.stack([np.ones(len(truth)), right], 1)
        if metric == "f1":
            return np.stack([right * (truth == 1), guess == 1, truth == 1], 1).astype(float)
        one_of = np.eye(len(labels))
        if metric == "f1_macro":
            return np.concatenate([right[:, None] * one_of[truth], one_of[guess], one_of[truth]], 1)
        return np.concatenate([np.ones((len(truth), 1)), right[:, None], one_of[guess], one_of[truth]], 1)
