"""A number for each text or pair of texts."""

from collections.abc import Mapping
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor
from torchmetrics import MeanSquaredError

from transferlab.learning import convex
from transferlab.learning.kinds.base import Factory, Learned
from transferlab.learning.scores import Pearson, Spearman
from transferlab.tasks.spec import TaskSpec


class Regression(Learned):
    """Squared error."""

    metrics: ClassVar[Mapping[str, Factory]] = {
        "pearson": lambda task: Pearson(),
        "spearman": lambda task: Spearman(),
        "mse": lambda task: MeanSquaredError(),
    }
    no_classes = "the targets of a regression are no classes"

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``mean_i (logits_i - labels_i)^2``."""
        return squared_error(logits, labels)

    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``(logits_i - labels_i)^2``."""
        return (logits - labels.float()).square()

    def imitation(
        self, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, mask: Tensor | None
    ) -> Tensor:
        """The mean squared error to the teacher; the temperature plays no part."""
        return squared_error(student, teacher)

    def logits(self, outputs: Tensor) -> Tensor:
        """``[batch]`` from ``[batch, 1]``."""
        return outputs.squeeze(-1)

    def answers(self, decoded: Tensor) -> Tensor:
        """The prediction in float32."""
        return decoded.float()

    def solved(
        self,
        basis: convex.Basis,
        labels: Tensor,
        task: TaskSpec,
        strength: float,
        weights: Tensor | None,
        start: convex.Linear | None,
    ) -> convex.Linear:
        """Ridge regression."""
        return convex.ridge(basis, labels, strength)


def squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """The mean squared error of two `[batch]` tensors.

    Raises:
        ValueError: They differ in shape, so that they would broadcast.
    """
    if predictions.shape != targets.shape:
        raise ValueError(f"regression expects equal shapes, got {list(predictions.shape)} and {list(targets.shape)}")
    return F.mse_loss(predictions, targets.float())
