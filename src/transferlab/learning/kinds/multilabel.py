"""Any number of labels for each text or pair of texts: each label is a decision of its own."""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MultilabelExactMatch, MultilabelF1Score

from transferlab.learning import convex
from transferlab.learning.imbalance import flag_weights
from transferlab.learning.kinds.base import Array, Factory, Learned
from transferlab.tasks.kinds.multilabel import best_thresholds
from transferlab.tasks.spec import TaskSpec


class Multilabel(Learned):
    """A sigmoid and binary cross-entropy for each label; a label is given where its probability reaches its threshold.

    The loss of an example is the mean over labels, so that it counts as much as an example of any other kind.
    """

    metrics: ClassVar[Mapping[str, Factory]] = {
        "f1_micro": lambda task: MultilabelF1Score(len(task.labels), average="micro"),
        "f1_macro": lambda task: MultilabelF1Score(len(task.labels), average="macro"),
        "subset_accuracy": lambda task: MultilabelExactMatch(len(task.labels)),
    }
    thresholded = True

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``mean_il -y log sigmoid(z) - (1 - y) log(1 - sigmoid(z))`` over examples i and labels l."""
        return F.binary_cross_entropy_with_logits(logits, labels.float())

    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The mean over labels."""
        return F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none").mean(-1)

    def decisions(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One for each label of an example."""
        losses = F.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
        return losses, torch.ones_like(losses, dtype=torch.bool)

    def weights(self, labels: Array, classes: int) -> Tensor:
        """Those of each label of its own: to have it or not, ``[2, labels]``."""
        return flag_weights(labels)

    def weight_of(self, labels: Tensor, weights: Tensor) -> Tensor:
        """By whether an example has the label."""
        return torch.where(labels > 0, weights[1], weights[0])

    def imitation(
        self, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, mask: Tensor | None
    ) -> Tensor:
        """``T^2`` times the mean over examples and labels of ``BCE(p, sigmoid(s / T)) - H(p)``, p the teacher's.

        The teacher's probabilities are ``p = sigmoid(t / T)``. Taking off their entropy ``H(p)``, which no gradient
        sees, makes it 0 where both agree, as it is for the other kinds.

        Raises:
            ValueError: Student and teacher differ in shape.
        """
        if student.shape != teacher.shape:
            raise ValueError(f"student and teacher differ in shape: {list(student.shape)} and {list(teacher.shape)}")
        soft = torch.sigmoid(teacher / temperature)
        cross = F.binary_cross_entropy_with_logits(student / temperature, soft)
        return temperature**2 * (cross - F.binary_cross_entropy_with_logits(teacher / temperature, soft))

    def answers(self, decoded: Tensor) -> Tensor:
        """The decisions; for logits those at one half."""
        return (decoded >= 0).long() if decoded.is_floating_point() else decoded

    def decide(self, logits: Tensor, thresholds: Tensor | None) -> Tensor:
        """1 where the probability reaches the threshold of its label, one half without any, ``[batch, labels]``."""
        return self.answers(logits) if thresholds is None else (logits.float().sigmoid() >= thresholds).long()

    def thresholds(self, logits: Tensor, labels: Tensor) -> Tensor:
        """For each label the threshold of the best F1, see `best_thresholds`."""
        scores, gold = logits.float().sigmoid().cpu().numpy(), labels.cpu().numpy()
        return torch.tensor(best_thresholds(scores, gold), dtype=torch.float32)

    def solved(
        self,
        basis: convex.Basis,
        labels: Tensor,
        task: TaskSpec,
        strength: float,
        weights: Tensor | None,
        start: convex.Linear | None,
    ) -> convex.Linear:
        """One label against the rest."""
        factors = None if weights is None else self.weight_of(labels, weights)
        return convex.one_against_rest(basis, labels, strength, factors, start)
