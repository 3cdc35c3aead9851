"""A text for each text, written by a model."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks import scoring
from transferlab.tasks.kinds.base import Answers, Array, OfSums
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

ENDS = ("ended", "cut", "endless", "empty")
"""How an output may end: by itself, at the limit of tokens, there in a loop, or before anything was written."""


class Texts(Answers):
    """A text; what is right is a list of texts, each of them as good."""

    # these two need no further package
    metrics = ("exact_match", "token_f1")
    sums: ClassVar[Mapping[str, OfSums]] = scoring.SUMS
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
        """How each output ended and its number of tokens; with references, what its scores are functions of."""
        found: list[dict[str, Any]] = [{} for _ in outputs["texts"]]
        if "ends" in outputs:
            pairs = zip(outputs["ends"], outputs["new_tokens"], strict=True)
            found = [{"end": end, "new_tokens": count} for end, count in pairs]
        if outputs.get("references") is not None:
            references = [list(own) for own in outputs["references"]]
            counted = scoring.statistics(outputs["texts"], references, task.metrics, task.language)
            rows = zip(*(table.tolist() for table in counted.values()), strict=True)
            found = [
                one | {"statistics": dict(zip(counted, row, strict=True))} for one, row in zip(found, rows, strict=True)
            ]
        return found

    def stored(self, lines: Sequence[Mapping[str, Any]], metric: str) -> Array | None:
        """The statistics that stand with the predictions."""
        rows = [line.get("statistics", {}).get(metric) for line in lines]
        return None if None in rows else np.array(rows, dtype=float)

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether all outputs are the same though the references are not."""
        return len(set(map(tuple, gold))) > 1 and len(set(found)) == 1

    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """What a score is a function of; see `transferlab.tasks.scoring`.

        Args:
            found: The outputs.
            gold: The references of each.
            metric: Name of the score.
            labels: The language alone; English without.
        """
        return scoring.statistics(found, gold, [metric], labels[0] if labels else "")[metric]
