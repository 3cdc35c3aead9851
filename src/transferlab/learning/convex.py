"""Linear heads solved to convergence: convex problems with an L2 penalty, without random numbers and without a rate.

All of them are solved in the axes of the principal components of the features. The penalty does not see a rotation, and
there each direction can be scaled by its curvature, so that L-BFGS needs some tens of steps at any strength.
"""

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.ground.lean import import_scipy

LARGE = 2**26
"""Numbers in the features (512 MB in float64) from which on they are kept in float32."""
NOISE = 1e-12
"""Share of the largest variance below which a direction is rounding and is left out."""
BIAS_PENALTY = 1e-6
"""Keeps the bias of a class that training never saw finite; too small to be seen in any other."""
TOLERANCE = 1e-7
"""Largest entry of the gradient of a mean loss at which a problem counts as solved."""


class Linear(NamedTuple):
    """A linear map to logits.

    Attributes:
        weight: ``[outputs, width]``.
        bias: ``[outputs]``.
    """

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Logits ``[rows, outputs]`` of features ``[rows, width]``."""
        return features.to(self.weight.dtype) @ self.weight.T + self.bias


class Basis:
    """Features in the axes of their principal components.

    Args:
        features: ``[rows, width]``.

    Attributes:
        mean: Of the features ``[width]``.
        axes: Orthonormal directions ``[width, rank]``.
        scores: The centered features along them ``[rows, rank]``.
        spread: Sum of the squares of the scores along each direction ``[rank]``.
    """

    def __init__(self, features: Tensor) -> None:
        centered = features.to(torch.float64 if features.numel() <= LARGE else torch.float32)
        self.mean = centered.mean(0)
        centered = centered - self.mean
        rows, width = centered.shape
        if rows < width:
            spread, left = torch.linalg.eigh((centered @ centered.T).double())
            real = spread > NOISE * spread[-1]
            axes = centered.double().T @ (left[:, real] / spread[real].sqrt())
        else:
            spread, axes = torch.linalg.eigh((centered.T @ centered).double())
            real = spread > NOISE * spread[-1]
            axes = axes[:, real]
        self.spread = spread[real]
        self.axes = axes.to(centered.dtype)
        self.scores = centered @ self.axes

    def back(self, weight: Tensor, bias: Tensor) -> Linear:
        """The map of features that does what ``[rank, outputs]`` and ``[outputs]`` do with scores, in float64."""
        full = self.axes.double() @ weight.double()
        return Linear(full.T.contiguous(), bias.double() - self.mean.double() @ full)

    def into(self, linear: Linear) -> tuple[Tensor, Tensor]:
        """The other way round: what does with scores what a map does with features."""
        weight = linear.weight.double()
        return self.axes.double().T @ weight.T, linear.bias + weight @ self.mean.double()

    @cached_property
    def rows(self) -> int:
        """Number of examples or words."""
        return len(self.scores)


def ridge(basis: Basis, targets: Tensor, strength: float) -> Linear:
    """Minimises ``|w|^2 / 2 + C / 2 sum_i (w x_i + b - y_i)^2`` in closed form.

    Args:
        basis: The features.
        targets: ``[rows]``.
        strength: C, the inverse of the penalty; ``1 / alpha`` of scikit-learn's Ridge.
    """
    targets = targets.double()
    mean = targets.mean()
    products = basis.scores.T @ (targets - mean).to(basis.scores.dtype)
    weight = products.double() / (basis.spread + 1 / strength)
    return basis.back(weight[:, None], mean[None])


def multinomial(
    basis: Basis, labels: Tensor, classes: int, strength: float, weights: Tensor | None, start: Linear | None = None
) -> Linear:
    """Minimises ``|W|^2 / 2 + C sum_i w_i (-log softmax(W x_i + b)[y_i])`` by L-BFGS.

    With two classes the penalty is ``|W|^2``: then the difference of the two rows is what scikit-learn's
    LogisticRegression finds, which has a single row there.

    Args:
        basis: The features.
        labels: Class numbers ``[rows]``.
        classes: Number of classes.
        strength: C, the inverse of the penalty, as in scikit-learn's LogisticRegression.
        weights: ``w_i`` of each row ``[rows]``; None: 1.
        start: Where to start from: the solution at another strength.
    """
    wanted = F.one_hot(labels.long(), classes)
    factor = torch.ones(basis.rows) if weights is None else weights

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        log = logits.log_softmax(-1)
        share = factor.to(logits.dtype)[:, None]
        return -(log * wanted * share).sum(), (log.exp() - wanted) * share

    counts = wanted.double().sum(0)
    frequency = ((counts + 1e-3) / counts.sum()).log()
    return _lbfgs(basis, loss, frequency, strength / (2 if classes == 2 else 1), float(factor.mean()), start)


def one_against_rest(
    basis: Basis, flags: Tensor, strength: float, weights: Tensor | None, start: Linear | None = None
) -> Linear:
    """Minimises ``|w_l|^2 / 2 + C sum_i w_il BCE(w_l x_i + b_l, y_il)`` for every label l by L-BFGS.

    Args:
        basis: The features.
        flags: 1 where an example has the label, else 0, ``[rows, labels]``.
        strength: C, the inverse of the penalty, as in scikit-learn's LogisticRegression.
        weights: ``w_il`` of each decision ``[rows, labels]``; None: 1.
        start: Where to start from: the solution at another strength.
    """
    factor = torch.ones(1, 1) if weights is None else weights

    def loss(logits: Tensor) -> tuple[Tensor, Tensor]:
        share, wanted = factor.to(logits.dtype), flags.to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
        return (losses * share).sum(), (logits.sigmoid() - wanted) * share

    counts = flags.double().sum(0)
    odds = ((counts + 1e-3) / (basis.rows - counts + 1e-3)).log()
    return _lbfgs(basis, loss, odds, strength, float(factor.mean()), start)


def _lbfgs(
    basis: Basis,
    loss: Callable[[Tensor], tuple[Tensor, Tensor]],
    bias: Tensor,
    strength: float,
    factor: float,
    start: Linear | None,
) -> Linear:
    """Minimises ``|W|^2 / 2 + C loss(scores W + b)`` over W and b.

    Args:
        basis: The features.
        loss: Gives a loss, summed over rows, and its gradient by the logits.
        bias: Where to start from without `start`.
        strength: C.
        factor: Mean weight of a row, for the scale of the curvature.
        start: Where to start from.
    """
    import_scipy()
    from scipy.optimize import minimize

    rows, outputs, kind = basis.rows, len(bias), basis.scores.dtype
    # a logistic loss curves by a quarter at most: in these units all directions curve alike
    scale = (1 / (strength * rows) + factor * basis.spread / rows / 4).rsqrt()
    inputs = torch.cat([basis.scores * scale.to(kind), torch.ones(rows, 1, dtype=kind)], 1)
    penalty = torch.cat([scale.square(), torch.full((1,), BIAS_PENALTY).double()])[:, None] / (strength * rows)
    if start is None:
        first = torch.cat([torch.zeros(len(scale), outputs).double(), bias[None].double()])
    else:
        weight, bias = basis.into(start)
        first = torch.cat([weight / scale[:, None], bias[None]])

    def objective(values: "np.ndarray[Any, Any]") -> "tuple[float, np.ndarray[Any, Any]]":
        point = torch.from_numpy(values).view(-1, outputs)
        value, slope = loss(inputs @ point.to(kind))
        gradient = (inputs.T @ slope).double() / rows + penalty * point
        value = value.double() / rows + (penalty * point.square()).sum() / 2
        return float(value), gradient.reshape(-1).numpy()

    options = {"maxiter": 500, "maxfun": 1000, "maxcor": 20, "ftol": 1e-14, "gtol": TOLERANCE}
    found = minimize(objective, first.reshape(-1).numpy(), jac=True, method="L-BFGS-B", options=options)
    point = torch.from_numpy(found.x).view(-1, outputs)
    return basis.back(point[:-1] * scale[:, None], point[-1])
