"""One class for each text or pair of texts."""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import BinaryF1Score, MulticlassAccuracy, MulticlassF1Score

from transferlab.learning.kinds.base import Factory, Learned
from transferlab.learning.scores import Matthews


class Classification(Learned):
    """Cross-entropy; the class of the largest logit is the answer."""

    metrics: ClassVar[Mapping[str, Factory]] = {
        "accuracy": lambda task: MulticlassAccuracy(len(task.labels), average="micro"),
        "f1": lambda task: BinaryF1Score(),
        "f1_macro": lambda task: MulticlassF1Score(len(task.labels), average="macro"),
        "matthews": lambda task: Matthews(len(task.labels)),
    }

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``mean_i -log softmax(logits_i)[labels_i]``."""
        return F.cross_entropy(logits, labels)

    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``-log softmax(logits_i)[labels_i]``."""
        return F.cross_entropy(logits, labels, reduction="none")

    def decisions(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One an example."""
        losses = self.losses(logits, labels, mask)
        return losses, torch.ones_like(losses, dtype=torch.bool)

    def answers(self, decoded: Tensor) -> Tensor:
        """The class of the largest logit."""
        return decoded.argmax(-1)
