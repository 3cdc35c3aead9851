"""Scores of frozen features against labels, without training an encoder."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROUNDS = 100
"""Steps of the fixed-point iteration of LogME, at most."""
ENOUGH = 10
"""Rows for each dimension under which the H-score is near 1 for any labels."""


def logme(features: Array, labels: Array, classes: int) -> float:
    """Logarithm of maximum evidence of a linear model with a Gaussian prior, for each row.

    ``max over a, b of log p(y | F, a, b) / n`` by fixed-point iteration on the singular values of F (You et al. 2021,
    algorithm 2, https://arxiv.org/abs/2102.11005); for classes the mean over one against all others. Features are not
    centered.

    Args:
        features: ``[rows, width]``.
        labels: Class numbers or targets ``[rows]``.
        classes: Number of classes; 0 for targets.
    """
    left, spread, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
    # rounding is no direction
    real = spread > 1e-10 * spread[0]
    left, squares = left[:, real], spread[real] ** 2
    targets = [labels.astype(np.float64)] if not classes else [(labels == c).astype(np.float64) for c in range(classes)]
    return float(np.mean([_evidence(left, squares, target, features.shape[1]) for target in targets]))


def _evidence(left: Array, squares: Array, target: Array, width: int) -> float:
    rows = len(target)
    along = (left.T @ target) ** 2
    beside = max(float(target @ target - along.sum()), 0.0)
    a = b = 1.0
    for _ in range(ROUNDS):
        gamma = float((b * squares / (a + b * squares)).sum())
        size = float((b**2 * squares * along / (a + b * squares) ** 2).sum())
        error = float((along / (1 + squares * b / a) ** 2).sum()) + beside
        before, a, b = a / b, gamma / max(size, 1e-12), (rows - gamma) / max(error, 1e-12)
        if abs(a / b - before) <= 1e-6 * before:
            break
    size = float((b**2 * squares * along / (a + b * squares) ** 2).sum())
    error = float((along / (1 + squares * b / a) ** 2).sum()) + beside
    logs = np.log(a + b * squares).sum() + (width - len(squares)) * np.log(a)
    whole = width * np.log(a) + rows * np.log(b) - logs - b * error - a * size - rows * np.log(2 * np.pi)
    return float(whole / 2 / rows)


def h_score(features: Array, labels: Array) -> float | None:
    """``trace(cov(f)^-1 cov(E[f | y]))`` (Bao et al. 2019); None under `ENOUGH` rows for each dimension.

    Args:
        features: ``[rows, width]``.
        labels: Class numbers ``[rows]``.
    """
    rows, width = features.shape
    if rows < ENOUGH * width:
        return None
    centered = features - features.mean(0)
    means = np.zeros_like(centered)
    for label in np.unique(labels):
        means[labels == label] = centered[labels == label].mean(0)
    return float(np.trace(np.linalg.pinv(centered.T @ centered, rcond=1e-10, hermitian=True) @ (means.T @ means)))


def neighbours(known: Array, labels: Array, asked: Array, classes: int, count: int = 10) -> Array:
    """What the nearest training examples by cosine say: the shares of their classes, or the mean of their targets.

    Args:
        known: Features of the training examples ``[rows, width]``.
        labels: Their class numbers or targets ``[rows]``.
        asked: Features of the examples that are asked for ``[others, width]``.
        classes: Number of classes; 0 for targets.
        count: Neighbours.

    Returns:
        ``[others, classes]``, for targets ``[others]``.
    """
    one, other = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (known, asked))
    nearest = np.argsort(-(other @ one.T), axis=1, kind="stable")[:, :count]
    if not classes:
        found: Array = labels[nearest].mean(1)
        return found
    return np.stack([(labels[nearest] == c).mean(1) for c in range(classes)], axis=1)
