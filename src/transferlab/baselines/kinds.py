"""What a kind of task says of a classical method: a constant answer, a linear model, losses and scores, in numpy.

The formulas are those of `transferlab.learning.kinds`; neither torch nor its libraries are imported.
"""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from transferlab.tasks import squad
from transferlab.tasks.kinds.base import Array
from transferlab.tasks.kinds.multilabel import best_thresholds
from transferlab.tasks.kinds.qa import answer_of
from transferlab.tasks.spans import Spans, best_threshold
from transferlab.tasks.spec import Kind, TaskSpec

SURE = 1e-4
"""Probability of what training never saw; none is 0, whose logit would be infinite."""


class Classical(ABC):
    """A kind of task, as far as classical methods learn it. Its object holds no state.

    Attributes:
        linear_name: What tables call its linear model.
        thresholded: Whether each label has a threshold, fitted on the validation set.
    """

    linear_name = "logreg"
    thresholded = False

    @abstractmethod
    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """Logits of one example that stand for all training labels, ``[classes]``, for regression a scalar."""

    def linear(self, strength: float) -> Any:
        """A linear model of scikit-learn.

        Args:
            strength: Inverse strength of its L2 penalty.
        """
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression(C=strength, max_iter=1000)

    def scores(self, model: Any, features: Any, task: TaskSpec) -> Array:
        """Logits of a fitted linear model, minus infinity for a class that training never saw."""
        logits = np.full((features.shape[0], len(task.labels)), -np.inf, dtype=np.float32)
        logits[:, model.classes_] = model.predict_log_proba(features)
        return logits

    def coefficients(self, model: Any) -> int:
        """How many coefficients a fitted linear model has."""
        return int(model.coef_.size + np.size(model.intercept_))

    @abstractmethod
    def losses(self, logits: Array, labels: Array) -> Array:
        """The loss of each example ``[rows]``."""

    def probabilities(self, logits: Array) -> Array | None:
        """The probability of each label ``[rows, labels]``; None where there are none."""
        return None

    def decide(self, logits: Array, thresholds: Array | None) -> Array:
        """What the metrics read of logits where each label may have a threshold."""
        return logits

    def thresholds(self, logits: Array, labels: Array) -> Array:
        """The thresholds that fit the validation set best, ``[labels]``."""
        raise NotImplementedError


class Classification(Classical):
    """Logistic regression."""

    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """The logarithm of the frequency of each class."""
        frequency = (np.bincount(labels, minlength=len(task.labels)) / len(labels)).astype(np.float32)
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(frequency))

    def losses(self, logits: Array, labels: Array) -> Array:
        """``-log softmax(logits_i)[labels_i]``."""
        return np.asarray(-_log_softmax(logits)[np.arange(len(labels)), labels])

    def probabilities(self, logits: Array) -> Array:
        """The softmax."""
        return np.asarray(np.exp(_log_softmax(logits)))


class Regression(Classical):
    """Ridge regression."""

    linear_name = "ridge"

    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """The mean."""
        return np.asarray(labels.astype(np.float64).mean())

    def linear(self, strength: float) -> Any:
        """Ridge regression."""
        from sklearn.linear_model import Ridge

        return Ridge(alpha=1 / strength)

    def scores(self, model: Any, features: Any, task: TaskSpec) -> Array:
        """Its predictions."""
        return np.asarray(model.predict(features))

    def losses(self, logits: Array, labels: Array) -> Array:
        """``(logits_i - labels_i)^2`` in float32."""
        return np.asarray(np.square(logits.astype(np.float32) - labels.astype(np.float32)))


class Multilabel(Classical):
    """One label against the rest."""

    thresholded = True

    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """Log-odds of each label; where none is in half of the examples, the most frequent is given all the same."""
        odds = _logit(labels.astype(np.float64).mean(0))
        odds[odds.argmax()] = max(odds.max(), 0.0)
        return odds

    def linear(self, strength: float) -> Any:
        """One against the rest."""
        from sklearn.multiclass import OneVsRestClassifier

        return OneVsRestClassifier(super().linear(strength))

    def scores(self, model: Any, features: Any, task: TaskSpec) -> Array:
        """Log-odds."""
        return _logit(model.predict_proba(features).astype(np.float32))

    def coefficients(self, model: Any) -> int:
        """Those of all labels that training has examples with and without of."""
        parts = [part for part in model.estimators_ if hasattr(part, "coef_")]
        return sum(part.coef_.size + np.size(part.intercept_) for part in parts)

    def losses(self, logits: Array, labels: Array) -> Array:
        """``-y log sigmoid(z) - (1 - y) log(1 - sigmoid(z))``, the mean over labels."""
        z, y = logits.astype(np.float32).astype(np.float64), labels.astype(np.float64)
        return np.asarray((np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))).mean(-1))

    def probabilities(self, logits: Array) -> Array:
        """The sigmoid, in float32."""
        z = logits.astype(np.float32).astype(np.float64)
        return np.asarray((1 / (1 + np.exp(-z))).astype(np.float32))

    def decide(self, logits: Array, thresholds: Array | None) -> Array:
        """1 where the probability reaches the threshold of its label, one half without any, ``[rows, labels]``."""
        if thresholds is None:
            return (logits >= 0).astype(np.int64) if logits.dtype.kind == "f" else logits
        return np.asarray(self.probabilities(logits) >= thresholds).astype(np.int64)

    def thresholds(self, logits: Array, labels: Array) -> Array:
        """For each label the threshold of the best F1; one half with few examples."""
        return np.array(best_thresholds(self.probabilities(logits), labels), dtype=np.float32)


class Tagging(Classical):
    """Words are looked up: there are no logits."""

    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """Tags have none."""
        raise NotImplementedError

    def losses(self, logits: Array, labels: Array) -> Array:
        """Nor a loss."""
        raise NotImplementedError


class Read(NamedTuple):
    """A question that was read: what is known of it, and its context."""

    spans: Spans
    context: str


class Questions(Classical):
    """Spans of contexts: there are no logits. What is predicted is a `Read` for each question."""

    thresholded = True

    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """Answers have none."""
        raise NotImplementedError

    def losses(self, logits: Array, labels: Array) -> Array:
        """Nor a loss."""
        raise NotImplementedError

    def thresholds(self, logits: Any, labels: Any) -> Array:
        """The margin above which a question has no answer, by the best F1."""
        found = [squad.scores(_text(one), golds)[1] for one, golds in zip(logits, labels, strict=True)]
        none = np.array([float(not golds) for golds in labels])
        return np.array([best_threshold(np.array([one.spans.margin for one in logits]), np.array(found), none)])

    def decide(self, logits: Any, thresholds: Array | None) -> Any:
        """What a record says of each question."""
        threshold = np.inf if thresholds is None else float(thresholds[0])
        return [answer_of(one.spans, one.context, threshold) for one in logits]


class Written(Classical):
    """Texts: what is predicted is one for each row; there are no logits."""

    def constant(self, labels: Array, task: TaskSpec) -> Array:
        """Texts have none."""
        raise NotImplementedError

    def losses(self, logits: Array, labels: Array) -> Array:
        """Nor a loss."""
        raise NotImplementedError


def _text(one: Read) -> str:
    return one.context[one.spans.best[0].start : one.spans.best[0].end] if one.spans.best else ""


KINDS: dict[Kind, Classical] = {
    "classification": Classification(),
    "regression": Regression(),
    "tagging": Tagging(),
    "multilabel": Multilabel(),
    "relation": Classification(),
    "qa": Questions(),
    "text": Written(),
    "slots": Tagging(),
}


def _log_softmax(logits: Array) -> Array:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def _logit(probabilities: Array) -> Array:
    """``log(p / (1 - p))`` of probabilities that are kept from 0 and 1, in their own precision."""
    kept = np.clip(probabilities, SURE, 1 - SURE)
    return np.asarray(np.log(kept / (1 - kept)))
