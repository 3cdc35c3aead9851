"""How gradients of tasks agree."""

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn


def cosines(losses: Mapping[str, Callable[[], Tensor]], parameters: Sequence[nn.Parameter]) -> dict[str, Tensor]:
    """The cosine of the gradients of each two tasks, ``g_i g_j / (|g_i| |g_j|)``.

    Below 0 a step for one task raises the loss of the other: the two are in conflict (Yu et al. 2020,
    https://arxiv.org/abs/2001.06782, definition 1).

    Args:
        losses: Gives the loss of each task.
        parameters: What both train; a parameter that a loss does not depend on counts as 0.

    Returns:
        ``a~b`` to the cosine, a scalar; 0 where a gradient is 0.
    """
    gradients = {}
    for name, loss in losses.items():
        found = torch.autograd.grad(loss(), parameters, allow_unused=True)
        parts = [torch.zeros_like(p) if g is None else g for g, p in zip(found, parameters, strict=True)]
        gradients[name] = torch.cat([part.detach().float().flatten() for part in parts])
    return {
        f"{one}~{other}": torch.nn.functional.cosine_similarity(gradients[one], gradients[other], dim=0)
        for one, other in combinations(gradients, 2)
    }
