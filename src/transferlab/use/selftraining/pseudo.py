"""Which answers of a teacher become labels."""

from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]


class Pseudo(NamedTuple):
    """Labels that a teacher gives.

    Attributes:
        rows: Row numbers ``[chosen]``, rising.
        labels: Class numbers ``[chosen]``.
    """

    rows: Array
    labels: Array


def scaled(scores: Array, temperature: float) -> Array:
    """Probabilities at a temperature: ``p_c^(1/T) / sum_k p_k^(1/T)`` (Guo et al. 2017).

    Args:
        scores: ``[texts, classes]``.
        temperature: T.
    """
    powers = np.clip(scores, 1e-12, None) ** (1 / temperature)
    found: Array = powers / powers.sum(1, keepdims=True)
    return found


def sure_of(scores: Array, thresholds: Array, most: int | None) -> Pseudo:
    """The texts whose likeliest class reaches its threshold, of each class the surest.

    (Pseudo-labels by confidence: Lee 2013; the same number of each class keeps a teacher's leaning from growing with
    the rounds: Zou et al. 2018, https://arxiv.org/abs/1810.07911.)

    Args:
        scores: Probabilities ``[texts, classes]``.
        thresholds: The least probability for each class ``[classes]``.
        most: Texts of each class, at most; None: all that reach it.
    """
    labels, surest = scores.argmax(1), scores.max(1)
    chosen = []
    for number, least in enumerate(thresholds):
        there = np.flatnonzero((labels == number) & (surest >= least))
        # the first of equals
        chosen.append(there[np.argsort(-surest[there], kind="stable")][:most])
    rows = np.sort(np.concatenate(chosen))
    return Pseudo(rows, labels[rows])
