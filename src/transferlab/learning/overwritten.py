"""Cross-entropy over a large vocabulary in the memory of its logits alone."""

from typing import Any

import torch
from torch import Tensor

from transferlab.tasks.batch import IGNORE

LARGE = 2**22
"""Logits from which on it counts that there are no copies of them: 16 MiB in float32."""
PART = 2**20
"""Logits that are worked on at once."""


class _Overwritten(torch.autograd.Function):
    """The sum of ``-log softmax(logits)[label]``; its gradient, ``softmax(logits) - onehot``, takes their place."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor) -> Tensor:
        # its own view, so that a backward pass through whatever else reads the logits notices that they changed
        rows = logits.detach().flatten(0, -2)
        classes, total = labels.flatten(), torch.zeros((), device=logits.device)
        step = max(1, PART // rows.shape[-1])
        for start in range(0, len(rows), step):
            part, own = rows[start : start + step], classes[start : start + step]
            real = own != IGNORE
            place = own.clamp(min=0)[:, None]
            shares = part.float().log_softmax(-1)
            total -= shares.gather(-1, place).squeeze(-1).masked_fill(~real, 0.0).sum()
            shares.exp_()
            shares.scatter_add_(-1, place, torch.full_like(place, -1, dtype=shares.dtype))
            part.copy_(shares.masked_fill_(~real[:, None], 0.0))
        ctx.gradient = rows.view_as(logits)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        gradient: Tensor = ctx.gradient
        ctx.gradient = None
        return gradient.mul_(gradients[0]), None


def overwritten_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The sum of ``-log softmax(logits_i)[labels_i]`` over the labels that are not -100, a scalar in float32.

    `torch.nn.functional.cross_entropy` holds three more tensors of the size of the logits: in float32, their
    log-softmax, and the gradient. Here the gradient is computed with the loss and takes the place of the logits, in
    parts, and each part in float32. It can be differentiated once.

    Args:
        logits: ``[..., classes]``; overwritten, so nobody may read them afterwards. Autograd refuses where something
            before them needs their values for its own gradient.
        labels: ``[...]``.
    """
    loss: Tensor = _Overwritten.apply(logits, labels)  # type: ignore[no-untyped-call]
    return loss
