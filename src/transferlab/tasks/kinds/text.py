"""A text for each text, written by a model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.kinds.base import Answers, Array, OfSums, mean_of
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

ENDS = ("ended", "cut", "endless", "empty")
"""How an output may end: by itself, at the limit of tokens, there in a loop, or before anything was written."""


class Texts(Answers):
    """A text; what is right is a list of texts, each of them as good."""

    metrics = ("exact_match",)
    sums: ClassVar[Mapping[str, OfSums]] = {"exact_match": mean_of}
    pipeline = "text-generation"
    named = False
    varied = False
    not_sampled = "its targets are no classes"

    def predicted(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[Any]:
        """What was written."""
        return list(outputs["texts"])

    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, Any]) -> list[Any]:
        """The references of each example."""
        return list(map(list, outputs["references"]))

    def told(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """How each output ended, and its number of tokens."""
        if "ends" not in outputs:
            return None
        pairs = zip(outputs["ends"], outputs["new_tokens"], strict=True)
        return [{"end": end, "new_tokens": count} for end, count in pairs]

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether all outputs are the same though the references are not."""
        return len(set(map(tuple, gold))) > 1 and len(set(found)) == 1

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """Examples, and whether one of the references was met."""
        met = [text.strip() in {one.strip() for one in own} for text, own in zip(found, gold, strict=True)]
        return np.stack([np.ones(len(met)), np.asarray(met, dtype=float)], 1)
