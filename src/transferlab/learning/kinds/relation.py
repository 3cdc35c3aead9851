"""One relation for each text with two marked entities."""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassConfusionMatrix

from transferlab.learning.kinds.base import Factory
from transferlab.learning.kinds.classification import Classification
from transferlab.tasks.kinds.relation import counted, relation_of
from transferlab.tasks.spec import TaskSpec


class RelationScores(MulticlassConfusionMatrix):
    """F1 of relations and accuracy from one matrix of confusions; see `transferlab.tasks.kinds.relation.Relation`.

    Args:
        task: Its labels, and which of them is negative.
    """

    def __init__(self, task: TaskSpec) -> None:
        super().__init__(len(task.labels))
        names = list(dict.fromkeys(map(relation_of, counted(task))))
        # [labels, relations], 1 where a label is of a relation that counts
        member = [
            [float(label != task.negative and relation_of(label) == name) for name in names] for label in task.labels
        ]
        self.register_buffer("member", torch.tensor(member), persistent=False)

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]  # several values of one matrix
        """``f1_macro``, ``f1_micro`` and ``accuracy``."""
        matrix = super().compute().float()
        member = torch.as_tensor(self.member).to(matrix.device)
        hits = matrix.diagonal() @ member
        gold = matrix.sum(1) @ member
        both = matrix.sum(0) @ member + gold
        there = gold > 0
        macro = (2 * hits[there] / both[there]).sum() / there.sum().clamp(min=1)
        micro = 2 * hits.sum() / both.sum().clamp(min=1)
        right = matrix.diagonal().sum() / matrix.sum().clamp(min=1)
        return {"f1_macro": macro, "f1_micro": micro, "accuracy": right}


class Relation(Classification):
    """Cross-entropy over relations with their directions."""

    metrics: ClassVar[Mapping[str, Factory]] = dict.fromkeys(("f1_macro", "f1_micro", "accuracy"), RelationScores)

    def members(self, task: TaskSpec) -> dict[str, Metric]:
        """One matrix of confusions, of which the names are views."""
        return {"relations": RelationScores(task)}
