"""Arithmetic on task vectors: what training changed of the pretrained weights."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

Vector = Mapping[str, Tensor]


def task_vector(tuned: Vector, base: Vector) -> dict[str, Tensor]:
    """``tau = theta - theta_0`` (Ilharco et al. 2023, https://arxiv.org/abs/2212.04089).

    Args:
        tuned: Weights by name.
        base: The pretrained ones; what has no floating point is left out.
    """
    return {name: tuned[name].float() - start.float() for name, start in base.items() if start.is_floating_point()}


def added(vectors: Sequence[Vector], weights: Sequence[float], scale: float) -> dict[str, Tensor]:
    """``scale sum_t w_t tau_t``; negative weights take a task away (Ilharco et al. 2023, sections 3 and 4)."""
    return {
        name: scale * torch.stack([w * v[name] for w, v in zip(weights, vectors, strict=True)]).sum(0)
        for name in vectors[0]
    }


def averaged(vectors: Sequence[Vector], weights: Sequence[float], scale: float) -> dict[str, Tensor]:
    """``scale sum_t w_t tau_t / sum_t w_t`` (Wortsman et al. 2022, model soups, https://arxiv.org/abs/2203.05482)."""
    return added(vectors, weights, scale / sum(weights))


def ties(vectors: Sequence[Vector], weights: Sequence[float], scale: float, keep: float) -> dict[str, Tensor]:
    """TIES merging (Yadav et al. 2023, https://arxiv.org/abs/2306.01708, algorithm 1).

    Trim: of each vector its `keep` share of largest magnitude stays, the rest becomes 0. Elect: the sign of each
    parameter is that of the sum. Merge: the mean over the vectors that are not 0 and have that sign, times `scale`.

    Args:
        vectors: Task vectors.
        weights: What each counts in sum and mean.
        scale: lambda.
        keep: Share of the parameters of the whole encoder.
    """
    cut = [_trimmed(vector, keep) for vector in vectors]
    merged = {}
    for name in vectors[0]:
        stacked = torch.stack([w * v[name] for w, v in zip(weights, cut, strict=True)])
        agree = (stacked.sign() == stacked.sum(0).sign()) & (stacked != 0)
        shares = torch.tensor([abs(w) for w in weights]).view(-1, *[1] * (stacked.ndim - 1)) * agree
        merged[name] = scale * (stacked * agree).sum(0) / shares.sum(0).clamp(min=1e-12)
    return merged


def _trimmed(vector: Vector, keep: float) -> dict[str, Tensor]:
    sizes = torch.cat([value.abs().flatten() for value in vector.values()])
    count = max(round(keep * len(sizes)), 1)
    least = sizes.kthvalue(len(sizes) - count + 1).values
    return {name: torch.where(value.abs() >= least, value, torch.zeros(())) for name, value in vector.items()}


def cosine(one: Vector, other: Vector) -> float:
    """The cosine of two task vectors over the whole encoder; 0 where one is 0."""
    product = sum(float((one[name] * other[name]).sum()) for name in one)
    norms = [sum(float((value**2).sum()) for value in vector.values()) ** 0.5 for vector in (one, other)]
    return product / (norms[0] * norms[1]) if norms[0] and norms[1] else 0.0
