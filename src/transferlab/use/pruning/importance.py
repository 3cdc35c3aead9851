"""How much each attention head matters, and which to keep."""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from transferlab.encoders.heads import Attention, attentions
from transferlab.learning.losses import example_losses
from transferlab.strategies import Strategy
from transferlab.tasks import Batch


class Mask:
    """Multiplies each head of a layer by a number, for each row its own.

    Args:
        attention: The attention of the layer.
    """

    def __init__(self, attention: Attention) -> None:
        self.attention = attention
        self.values = torch.empty(0)

    def __call__(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Changes what the projection of all heads reads."""
        states, *others = given
        heads, width = self.attention.heads, self.attention.width
        self.values = torch.ones(len(states), heads, device=states.device, requires_grad=True)
        parted = states.unflatten(-1, (heads, width)) * self.values[:, None, :, None]
        return (parted.flatten(-2), *others)


def importance(model: Strategy, batches: Iterable[Batch]) -> Tensor:
    """How much the loss depends on each head.

    Michel et al. 2019, Are Sixteen Heads Really Better than One?, equation 2, https://arxiv.org/abs/1905.10650: with a
    mask ``xi_h = 1`` on the output of head h, ``I_h = E_x |dL(x) / dxi_h|``, one loss and one gradient for each example
    x; then, as there, divided by the Euclidean norm of the layer, so that layers can be compared.

    Args:
        model: A run, in evaluation mode.
        batches: Examples with labels, padded. With windows each row counts as an example.

    Returns:
        ``[layers, heads]``, 0 for a head that there is not, where layers have unequal numbers of them.
    """
    found = attentions(model.encoder.backbone)
    masks = [Mask(attention) for attention in found]
    sums = [torch.zeros(attention.heads) for attention in found]
    rows = 0
    with ExitStack() as hooks:
        for mask in masks:
            hooks.callback(mask.attention.out.register_forward_pre_hook(mask).remove)
        for batch in batches:
            assert batch.labels is not None
            seen = None if batch.words is None else batch.words >= 0
            losses = example_losses(model.judged, model(batch), batch.labels, seen)
            gradients = torch.autograd.grad(losses.sum(), [mask.values for mask in masks])
            rows += len(gradients[0])
            sums = [total + one.abs().sum(0) for total, one in zip(sums, gradients, strict=True)]
    widest = max(attention.heads for attention in found)
    table = torch.zeros(len(found), widest)
    for place, total in enumerate(sums):
        mean = total / max(rows, 1)
        table[place, : len(mean)] = mean / mean.norm().clamp(min=1e-20)
    return table


def keep(scores: Tensor, heads: Sequence[int], share: float) -> list[tuple[int, ...]]:
    """The heads that are left when the least important ones are dropped, over all layers together.

    Args:
        scores: ``[layers, heads]``, see `importance`.
        heads: Number of heads of each layer.
        share: Of all heads, to drop; a layer keeps its most important one whatever the share.

    Returns:
        For each layer the heads that are kept, from 0.
    """
    left = [set(range(count)) for count in heads]
    ranked = sorted(
        (float(scores[layer, head]), layer, head) for layer, count in enumerate(heads) for head in range(count)
    )
    wanted = round(share * len(ranked))
    for _, layer, head in ranked:
        if wanted and len(left[layer]) > 1:
            left[layer].remove(head)
            wanted -= 1
    return [tuple(sorted(kept)) for kept in left]
