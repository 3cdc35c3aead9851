"""A tag for each word."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.iob import spans
from transferlab.tasks.kinds.base import Answers, Array, OfSums, Report, f1, precision, recall, row
from transferlab.tasks.spec import TaskSpec, tag_name

if TYPE_CHECKING:
    from torch import Tensor


class Tagging(Answers):
    """A list of tags."""

    metrics = ("f1", "precision", "recall")
    sums: ClassVar[Mapping[str, OfSums]] = {"f1": f1, "precision": precision, "recall": recall}
    pipeline = "token-classification"
    texts = 1

    def predicted(self, task: TaskSpec, outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The decoded tag of each word."""
        return self.gold(task, outputs["classes"], outputs)

    def gold(self, task: TaskSpec, labels: "Tensor", outputs: Mapping[str, "Tensor"]) -> list[Any]:
        """The tag of each word."""
        pairs = zip(labels.tolist(), outputs["word_mask"].tolist(), strict=True)
        return [[tag_name(task.labels, number) for number, real in zip(*pair, strict=True) if real] for pair in pairs]

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """One row a type of entity."""
        counts: dict[str, list[int]] = {}
        for tags, guesses in zip(gold, found, strict=True):
            wanted, there = spans(tags), spans(guesses)
            for column, group in enumerate((wanted & there, there - wanted, wanted - there)):
                for kind, _, _ in group:
                    counts.setdefault(kind, [0, 0, 0])[column] += 1
        return {
            kind: row(tp / max(tp + fp, 1), tp / max(tp + fn, 1), 2 * tp / max(2 * tp + fp + fn, 1), tp + fn)
            for kind, (tp, fp, fn) in sorted(counts.items())
        }

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Entities found rightly, predicted, and there."""
        pairs = [(spans(guess), spans(truth)) for guess, truth in zip(found, gold, strict=True)]
        return np.array([(len(one & other), len(one), len(other)) for one, other in pairs], dtype=float)
