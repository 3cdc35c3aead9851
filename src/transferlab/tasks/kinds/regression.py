"""A number for each text or pair of texts."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.kinds.base import Answers, Array, OfSums, mean_of, ratio
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor


def correlation(sums: Array) -> Array:
    """Counts: 1, x, y, x squared, y squared, x times y."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0)
    return ratio(xy - x * y / n, np.sqrt(spread))


class Regression(Answers):
    """A number."""

    metrics = ("pearson", "spearman", "mse")
    sums: ClassVar[Mapping[str, OfSums]] = {"pearson": correlation, "spearman": correlation, "mse": mean_of}
    named = False
    not_sampled = "its targets are no classes"

    def predicted(self, task: TaskSpec, outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The number."""
        return list(outputs["logits"].tolist())

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The target."""
        return list(labels.tolist())

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether the answers do not differ by more than rounding."""
        spread, size = max(found) - min(found), max(abs(value) for value in found)
        return len(set(gold)) > 1 and bool(spread <= 1e-6 * size)

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Moments; Spearman's are those of the ranks."""
        guess, truth = np.array(found, dtype=float), np.array(gold, dtype=float)
        ones = np.ones(len(truth))
        if metric == "mse":
            return np.stack([ones, (guess - truth) ** 2], 1)
        x, y = (_standard(_ranks(values) if metric == "spearman" else values) for values in (guess, truth))
        return np.stack([ones, x, y, x * x, y * y, x * y], 1)


def _standard(values: Array) -> Array:
    # a correlation does not change by it, and sums of squares lose no digits
    centred: Array = values - values.mean()
    spread = centred.std()
    return centred / spread if spread > 1e-9 else np.zeros_like(centred)


def _ranks(values: Array) -> Array:
    """Ranks from 1, equal values share their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    ranks: Array = (ends - (count - 1) / 2)[place]
    return ranks
