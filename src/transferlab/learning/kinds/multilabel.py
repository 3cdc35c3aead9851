"""Any number of labels for each text or pair of texts: each label is a decision of its own."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import MultilabelExactMatch, MultilabelF1Score

from transferlab.learning import convex
from transferlab.learning.imbalance import flag_weights
from transferlab.learning.kinds.base import Array, Factory, Learned
from transferlab.tasks.kinds.multilabel import FEWEST
from transferlab.tasks.spec import TaskSpec

SURE = 1e-4
"""Probability of what training never saw; none is 0, whose logit would be infinite."""


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
        """For each label the threshold of the best F1, see `best_threshold`; one half with fewer than `FEWEST`."""
        scores, gold = logits.float().sigmoid().cpu().numpy().astype(np.float64), labels.cpu().numpy()
        found = [
            best_threshold(scores[:, n], gold[:, n]) if gold[:, n].sum() >= FEWEST else 0.5
            for n in range(gold.shape[1])
        ]
        return torch.tensor(found, dtype=torch.float32)

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

    # classical baselines ------------------------------------------------------------------------------------------

    def constant(self, labels: Tensor, task: TaskSpec) -> Tensor:
        """Log-odds of each label; where none is in half of the examples, the most frequent is given all the same."""
        odds = torch.logit(labels.double().mean(0), eps=SURE)
        odds[odds.argmax()] = odds.max().clamp(min=0)
        return odds

    def linear(self, strength: float) -> Any:
        """One against the rest."""
        from sklearn.multiclass import OneVsRestClassifier

        return OneVsRestClassifier(super().linear(strength))

    def scores(self, model: Any, features: Any, task: TaskSpec) -> Tensor:
        """Log-odds."""
        return torch.logit(torch.as_tensor(model.predict_proba(features), dtype=torch.float32), eps=SURE)

    def coefficients(self, model: Any) -> int:
        """Those of all labels that training has examples with and without of."""
        parts = [part for part in model.estimators_ if hasattr(part, "coef_")]
        return sum(part.coef_.size + np.size(part.intercept_) for part in parts)


def best_threshold(scores: Any, gold: Any) -> float:
    """The threshold on a probability that gives the best F1 of one label; the middle of its plateau.

    Between two neighbouring scores F1 is the same, so the middle is taken; of several plateaus the widest.

    Args:
        scores: Probabilities ``[examples]``.
        gold: 1 where the example has the label, else 0, ``[examples]``; at least one.
    """
    cuts, place = np.unique(scores, return_inverse=True)
    # with a threshold in (cuts[k - 1], cuts[k]] all examples of score cuts[k] and above are found
    hits = np.bincount(place, gold, len(cuts))[::-1].cumsum()[::-1]
    found = np.bincount(place, minlength=len(cuts))[::-1].cumsum()[::-1]
    f1 = 2 * hits / (found + gold.sum())
    lower = np.concatenate([[0.0], cuts[:-1]])
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    runs = np.split(best, np.flatnonzero(np.diff(best) > 1) + 1)
    widest = max(runs, key=lambda run: cuts[run[-1]] - lower[run[0]])
    return float((lower[widest[0]] + cuts[widest[-1]]) / 2)
