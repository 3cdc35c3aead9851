"""Losses for classes of unequal size: rare ones count more, or what is learned already counts less."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

LossForm = Literal["weighted", "focal"]
GAMMA = 2.0
"""Exponent of the focal loss, the best one of its paper."""
SHOWN = 8
"""Weights that a header lists."""


def class_weights(labels: np.ndarray[Any, Any], classes: int) -> Tensor:
    """``w_c = n / (K n_c)`` for n labels, n_c of class c, of K classes that are there; 0 for one that is not.

    The mean over all n labels is 1, so that the loss keeps its size; these are the "balanced" weights of scikit-learn.

    Args:
        labels: Class numbers ``[n]``.
        classes: Number of classes.

    Returns:
        ``[classes]`` in float32.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = np.divide(len(labels), counts * (counts > 0).sum(), out=np.zeros(classes), where=counts > 0)
    return torch.as_tensor(weights, dtype=torch.float32)


def flag_weights(flags: np.ndarray[Any, Any]) -> Tensor:
    """The weights of `class_weights` for each label of its own, whose classes are to have it or not.

    Args:
        flags: 1 where an example has a label, else 0, ``[n, labels]``.

    Returns:
        Weights without and with the label, ``[2, labels]``.
    """
    return torch.stack([class_weights(column, 2) for column in flags.T], 1)


def reweighted(losses: Tensor, form: LossForm, weights: Tensor | None) -> Tensor:
    """Losses of single decisions, each times its factor.

    ``weighted``: ``w_c``, that of its label. ``focal``: ``(1 - p)^2`` with p the probability of the right answer (Lin
    et al. 2017, https://arxiv.org/abs/1708.02002, without its second weight).

    Args:
        losses: ``-log p``, of any shape.
        form: Which factor.
        weights: That of each label, for ``weighted``; shaped as `losses`.

    Raises:
        ValueError: A weighted loss without weights.
    """
    if form == "focal":
        # 1 - p, without losing digits where p is near 1
        return (-torch.expm1(-losses)).clamp(min=0) ** GAMMA * losses
    if weights is None:
        raise ValueError("a weighted loss needs the weights of the labels")
    return weights * losses


def in_words(form: LossForm | None, weights: Tensor | None, labels: Sequence[str]) -> str:
    """The loss as the header of a run shows it; empty for the usual one."""
    if form == "focal":
        return f"focal loss, gamma {GAMMA:g}"
    if weights is None:
        return ""
    rows = weights.tolist()
    # of several labels an example with the label against one without
    shown = rows if weights.ndim == 1 else [one / other if other else one for other, one in zip(*rows, strict=True)]
    listed = [f"{name} {value:.3g}" for name, value in zip(labels, shown, strict=True)]
    rest = len(listed) - SHOWN
    parts = ", ".join(listed[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")
    what = "weighted loss" if weights.ndim == 1 else "weighted loss, an example with the label against one without"
    return f"{what}: {parts}"
