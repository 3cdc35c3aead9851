"""What a kind of task says of learning: losses, metrics, and linear heads that are solved."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from transferlab.learning import convex
from transferlab.learning.imbalance import LossForm, class_weights, reweighted
from transferlab.tasks.spec import TaskSpec

Array = np.ndarray[Any, Any]
Factory = Callable[[TaskSpec], Metric]


class Learned(ABC):
    """A kind of task, as far as it is learned and judged. Its object holds no state.

    All losses are computed in float32, and their shapes are those of `transferlab.tasks.Batch`: logits
    ``[batch, classes]``, ``[batch]`` for regression, ``[batch, words, classes]`` for tagging.

    Attributes:
        metrics: Name of each metric to what makes it.
        thresholded: Whether each label has a threshold, fitted on the validation set.
        no_classes: Why there are no classes to be weighted; empty where there are.
        per_example: Whether the loss is a mean over examples though words have labels.
    """

    metrics: ClassVar[Mapping[str, Factory]]
    thresholded = False
    no_classes = ""
    per_example = False

    def of(self, task: TaskSpec, shares: tuple[float, float] = (1.0, 1.0)) -> "Learned":
        """The kind as a task has it, where its formulas take more than logits and labels.

        Args:
            task: Names the labels.
            shares: For slots, what intent and slots weigh in the loss.
        """
        return self

    @abstractmethod
    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The supervised loss of a batch, a scalar.

        Args:
            logits: In float32.
            labels: Labels of the batch.
            mask: For tagging, True at the words that the encoder saw, `[batch, words]`; None means all.
        """

    def last_loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """`loss` where nobody reads the logits afterwards, in whatever type they are; arguments as in `loss`."""
        return self.loss(logits.float(), labels, mask)

    @abstractmethod
    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The loss of each example ``[batch]``; arguments as in `loss`."""

    def decisions(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """Minus the logarithm of the probability of each right answer, and which of them count, True or False.

        Raises:
            NotImplementedError: The kind has no probabilities, see `no_classes`.
        """
        raise NotImplementedError(self.no_classes)

    def weights(self, labels: Array, classes: int) -> Tensor:
        """What each label weighs, from the labels of the training examples; see `transferlab.learning.imbalance`."""
        return class_weights(labels, classes)

    def weight_of(self, labels: Tensor, weights: Tensor) -> Tensor:
        """The weight of each decision."""
        return weights[labels.clamp(min=0)]

    def reweighted(
        self, logits: Tensor, labels: Tensor, mask: Tensor | None, form: LossForm, weights: Tensor | None
    ) -> Tensor:
        """The mean of reweighted losses over as many decisions as `loss` is a mean over, a scalar.

        It is divided by their number, not by the sum of their weights: so batches of a step add up to what one large
        batch gives (`strategies.step`).
        """
        losses, real = self.decisions(logits, labels, mask)
        factors = None if weights is None else self.weight_of(labels, weights)
        return reweighted(losses, form, factors).masked_fill(~real, 0.0).sum() / real.sum().clamp(min=1)

    def imitation(
        self, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, mask: Tensor | None
    ) -> Tensor:
        """How far a student is from its teacher, a scalar: ``T^2 mean KL(softmax(t/T) || softmax(s/T))``."""
        return temperature**2 * divergence(student, teacher, temperature).mean()

    def logits(self, outputs: Tensor) -> Tensor:
        """The logits from what the last layer of a head gives."""
        return outputs

    def answers(self, decoded: Tensor) -> Tensor:
        """What the metrics read, from what `Strategy.decode` gives."""
        return decoded

    def decide(self, logits: Tensor, thresholds: Tensor | None) -> Tensor:
        """What the metrics read of logits where each label may have a threshold."""
        return logits

    def start(self, task: TaskSpec) -> Tensor:
        """The thresholds before any is fitted, ``[labels]``."""
        return torch.full((len(task.labels),), 0.5)

    def evidence(self, outputs: Mapping[str, Any], labels: Tensor) -> tuple[Tensor, Tensor]:
        """What `thresholds` are fitted on, of a batch: by its outputs and labels."""
        return outputs["logits"], labels

    def at(self, members: Mapping[str, Metric], thresholds: Tensor | None) -> None:  # noqa: B027  few kinds have any
        """Sets the thresholds that metrics judge by, where these are no part of what they read."""

    def thresholds(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The thresholds that fit the validation set best, ``[labels]``.

        Args:
            logits: ``[examples, labels]``.
            labels: ``[examples, labels]``.
        """
        raise NotImplementedError

    def members(self, task: TaskSpec) -> dict[str, Metric]:
        """The metrics to be updated, by name."""
        return {name: self.metrics[name](task) for name in task.metrics}

    def values(self, members: Mapping[str, Metric], names: tuple[str, ...]) -> dict[str, Tensor]:
        """The value of each metric that the task names; one count may give several of them."""
        found: dict[str, Tensor] = {}
        for member, metric in members.items():
            value = metric.compute()
            found |= value if isinstance(value, dict) else {member: value}
        return {name: found[name] for name in names}

    # a linear head, solved --------------------------------------------------------------------------------------------

    def solved(
        self,
        basis: convex.Basis,
        labels: Tensor,
        task: TaskSpec,
        strength: float,
        weights: Tensor | None,
        start: convex.Linear | None,
    ) -> convex.Linear:
        """The linear head of the least loss with an L2 penalty.

        Args:
            basis: The features of the training examples, for tagging of their words.
            labels: Their labels ``[rows]``, for multilabel ``[rows, labels]``.
            task: Names the labels.
            strength: C, the inverse of the penalty.
            weights: What each label weighs, see `weights`; None: all alike.
            start: The solution at another strength, to start from.
        """
        factors = None if weights is None else self.weight_of(labels, weights)
        return convex.multinomial(basis, labels, len(task.labels), strength, factors, start)


def divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """``KL(softmax(teacher / T) || softmax(student / T))`` over the last dimension, which falls away.

    Raises:
        ValueError: The two differ in shape, so that they would broadcast.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher differ in shape: {list(student.shape)} and {list(teacher.shape)}")
    log_q = F.log_softmax(student / temperature, dim=-1)
    log_p = F.log_softmax(teacher / temperature, dim=-1)
    return F.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)
