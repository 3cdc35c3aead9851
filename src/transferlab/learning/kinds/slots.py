"""An intent for each text and a tag for each word, from one encoder with two heads."""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from transferlab.learning.imbalance import LossForm, class_weights, reweighted
from transferlab.learning.kinds.base import Array, Factory, Learned, divergence
from transferlab.learning.kinds.tagging import real_words
from transferlab.learning.scores import SpanF1
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.kinds.slots import Slots as Answers
from transferlab.tasks.spec import TaskSpec, tag_name

Shares = tuple[float, float]


class SlotScores(SpanF1):
    """Slots as conlleval counts them, intents, and texts with both right; see `transferlab.tasks.kinds.slots.Slots`.

    Args:
        task: Its labels and the scheme of its tags.
    """

    intents: Tensor
    both: Tensor
    texts: Tensor

    def __init__(self, task: TaskSpec) -> None:
        super().__init__(task.tags, task.spelling)
        for name in ("intents", "both", "texts"):
            self.add_state(name, default=torch.zeros((), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Counts a batch; both ``[batch, 1 + words]``, the intent first."""
        super().update(predictions[:, 1:], labels[:, 1:])
        same = predictions[:, 0] == labels[:, 0]
        pairs = zip(predictions[:, 1:].tolist(), labels[:, 1:].tolist(), strict=True)
        exact = torch.tensor([self._equal(*pair) for pair in pairs], dtype=torch.bool, device=same.device)
        self.intents = self.intents + same.sum()
        self.both = self.both + (same & exact).sum()
        self.texts = self.texts + len(same)

    def _equal(self, guess: list[int], truth: list[int]) -> bool:
        real = [place for place, label in enumerate(truth) if label != IGNORE]
        found, wanted = ([tag_name(self.labels, side[place]) for place in real] for side in (guess, truth))
        return self.scheme.entities(found) == self.scheme.entities(wanted)

    def compute(self) -> dict[str, Tensor]:
        """``f1``, ``precision`` and ``recall`` of slots, ``intent_accuracy`` and ``sentence_accuracy``."""
        shares = {"intent_accuracy": self.intents, "sentence_accuracy": self.both}
        return super().compute() | {name: hits / self.texts.clamp(min=1) for name, hits in shares.items()}


class Slots(Learned):
    """Cross-entropy of the intent and, averaged over the words of the text, of the tags.

    ``mean_i  a CE(intent_i) + b mean_w CE(tag_iw)``, with the weights a and b (Chen et al. 2019,
    https://arxiv.org/abs/1902.10909, has both 1). Logits are ``[batch, 1 + words, tags + intents]``: the first place
    stands for the text, and only its last columns are read; of words only the first ones are. So the two heads are the
    two blocks of rows of one matrix.

    Args:
        tags: Number of tags, which stand before the intents.
        shares: a and b.
    """

    metrics: ClassVar[Mapping[str, Factory]] = dict.fromkeys(Answers.sums, SlotScores)
    per_example = True

    def __init__(self, tags: int = 0, shares: Shares = (1.0, 1.0)) -> None:
        self.tags = tags
        self.shares = shares

    def of(self, task: TaskSpec, shares: Shares = (1.0, 1.0)) -> "Slots":
        """With the number of tags of a task."""
        return Slots(len(task.tags), shares)

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The mean of `losses`."""
        return self.losses(logits, labels, mask).mean()

    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``a CE(intent_i) + b mean_w CE(tag_iw)``."""
        found, real = self.decisions(logits, labels, mask)
        return self._joined(found, real)

    def decisions(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """One for the text and one for each real word, ``[batch, 1 + words]``."""
        real = real_words(labels, mask)
        targets = labels.masked_fill(~real, IGNORE)
        intent = F.cross_entropy(logits[:, 0, self.tags :], labels[:, 0] - self.tags, reduction="none")
        words = logits[:, 1:, : self.tags].flatten(0, 1)
        tags = F.cross_entropy(words, targets[:, 1:].flatten(), ignore_index=IGNORE, reduction="none")
        return torch.cat([intent[:, None], tags.view(len(labels), -1)], 1), real

    def _joined(self, each: Tensor, real: Tensor) -> Tensor:
        """What the decisions of each text come to, ``[batch]``."""
        words = each[:, 1:].masked_fill(~real[:, 1:], 0.0).sum(1) / real[:, 1:].sum(1).clamp(min=1)
        return self.shares[0] * each[:, 0] + self.shares[1] * words

    def weights(self, labels: Array, classes: int) -> Tensor:
        """Tags among tags, intents among intents."""
        tags, intents = labels[labels < self.tags], labels[labels >= self.tags] - self.tags
        return torch.cat([class_weights(tags, self.tags), class_weights(intents, classes - self.tags)])

    def reweighted(
        self, logits: Tensor, labels: Tensor, mask: Tensor | None, form: LossForm, weights: Tensor | None
    ) -> Tensor:
        """As `loss`, each decision by its class or by how sure it is."""
        losses, real = self.decisions(logits, labels, mask)
        factors = None if weights is None else self.weight_of(labels, weights)
        return self._joined(reweighted(losses, form, factors), real).mean()

    def imitation(
        self, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, mask: Tensor | None
    ) -> Tensor:
        """The divergence of the intent and that of the tags, joined as the losses are."""
        intent = divergence(student[:, :1, self.tags :], teacher[:, :1, self.tags :], temperature)
        words = divergence(student[:, 1:, : self.tags], teacher[:, 1:, : self.tags], temperature)
        apart = torch.cat([intent, words], 1)
        return temperature**2 * self._joined(apart, real_words(labels, mask)).mean()

    def members(self, task: TaskSpec) -> dict[str, Metric]:
        """One count of slots and intents, of which the names are views."""
        return {"slots": SlotScores(task)}
