"""A tag for each word."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from transferlab.learning.kinds.base import Learned, divergence
from transferlab.learning.scores import SpanF1, TagScores
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.measured import OF_ENTITIES, OF_TAGS
from transferlab.tasks.spec import TaskSpec


class Tagging(Learned):
    """Cross-entropy over the real words: those whose label is not -100 and that the encoder saw."""

    metrics = dict.fromkeys(OF_ENTITIES, lambda task: SpanF1(task.labels, task.spelling)) | dict.fromkeys(
        OF_TAGS, lambda task: TagScores(len(task.labels))
    )

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``-log softmax(logits_iw)[labels_iw]``, averaged over the real words of the whole batch; 0 without any."""
        real = real_words(labels, mask)
        targets = labels.masked_fill(~real, IGNORE)
        total = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="sum")
        return total / real.sum().clamp(min=1)

    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The mean over the real words of each example."""
        real = real_words(labels, mask)
        targets = labels.masked_fill(~real, IGNORE)
        words = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="none")
        return words.view_as(targets).sum(-1) / real.sum(-1).clamp(min=1)

    def decisions(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One a real word."""
        real = real_words(labels, mask)
        targets = labels.masked_fill(~real, IGNORE)
        words = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE, reduction="none")
        return words.view_as(targets), real

    def imitation(
        self, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, mask: Tensor | None
    ) -> Tensor:
        """The mean runs over the real words of the whole batch."""
        real = real_words(labels, mask)
        apart = divergence(student, teacher, temperature).masked_fill(~real, 0.0)
        return temperature**2 * apart.sum() / real.sum().clamp(min=1)

    def members(self, task: TaskSpec) -> dict[str, Metric]:
        """One count of entities or of tags, of which the names are views."""
        fitting = OF_ENTITIES if task.entities else OF_TAGS
        return {"spans" if task.entities else "tags": self.metrics[fitting[0]](task)}


def real_words(labels: Tensor, mask: Tensor | None) -> Tensor:
    """True at the words that count, `[batch, words]`."""
    real = labels != IGNORE
    return real if mask is None else real & mask.to(torch.bool)
