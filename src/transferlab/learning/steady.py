"""What makes fine-tuning on few labels steadier: each method a small function of tensors, off unless it is set."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from transferlab.encoders.packing import Packing
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least, probability

STEPS = 3
"""Steps of FreeLB where none are given."""
OPTIONS = {
    "freelb_steps": "freelb",
    "consistency_temperature": "consistency",
    "consistency_least": "consistency",
}
"""Attributes that belong to another one."""
EXCLUSIVE = (("r_drop", "fgm", "freelb", "mixup"), ("mixup", "mixout"), ("ema", "swa"))


@dataclass(frozen=True)
class Steady:
    """Regularisers of a strategy that trains in steps; null, the default of all, switches one off.

    Attributes:
        label_smoothing: e: ``(1 - e) loss + e mean KL(uniform || p)``, which is cross-entropy against
            ``(1 - e) one-hot + e / classes`` up to a constant (Szegedy et al. 2016, https://arxiv.org/abs/1512.00567).
        r_drop: a: two passes with their own dropout, ``(L1 + L2) / 2 + a / 4 (KL(p1 || p2) + KL(p2 || p1))``: half of
            the loss of Liang et al. 2021 (https://arxiv.org/abs/2106.14448) with their a. Regression: squared distance.
        fgm: Length of an adversarial step of the word embeddings of a row, ``r = fgm g / ||g||`` with g the gradient of
            the loss; ``(L(x) + L(x + r)) / 2`` (Miyato et al. 2017, https://arxiv.org/abs/1605.07725, with raw
            embeddings).
        freelb: Length within which the embeddings of a row move from a random start, `freelb_steps` times by half of it
            along the gradient; the loss is the mean over the steps (Zhu et al. 2020, https://arxiv.org/abs/1909.11764,
            here with a dropout mask for each step). All passes are in memory at once.
        freelb_steps: Passes of FreeLB; null: 3.
        mixout: p: in each pass each weight of a linear map of the encoder's layers is the pretrained one with
            probability p, ``((1 - m) w + m u - p u) / (1 - p)`` (Lee et al. 2020, https://arxiv.org/abs/1909.11299).
        l2_sp: a: adds ``a / 2 ||w - u||^2`` over the encoder's weights, u the pretrained ones (Li et al. 2018,
            https://arxiv.org/abs/1802.01483). The weight decay of the optimizer, towards 0, is another key.
        noise: l: adds ``U(-l/2, l/2) std(W)`` to each pretrained tensor W before training (NoisyTune, Wu et al. 2022,
            https://arxiv.org/abs/2202.12024).
        reinit_layers: Layers from the top that start at random (Zhang et al. 2021, https://arxiv.org/abs/2006.05987).
        mixup: a: the vectors that the head reads are mixed with those of the batch in another order, ``l v_i + (1 - l)
            v_j`` with one l of Beta(a, a) a batch; the loss is ``l L(y_i) + (1 - l) L(y_j)`` (Zhang et al. 2018,
            https://arxiv.org/abs/1710.09412; of sentence vectors Guo et al. 2019, https://arxiv.org/abs/1905.08941).
        consistency: w: adds ``w mean KL(p(x) || p(x'))`` over `data.unlabelled`, x' a copy of the text x by
            `data.augment` and p(x) a target without gradient (UDA, Xie et al. 2020, https://arxiv.org/abs/1904.12848);
            for regression the squared error.
        consistency_temperature: T: the target is ``softmax(z(x) / T)``; null: 1.
        consistency_least: Texts whose most probable class has less than this count as 0; null: all count.
        ema: d: validation, test and checkpoints take the average ``v = d' v + (1 - d') w`` of the weights after each
            step t, ``d' = min(d, (1 + t) / (10 + t))``.
        swa: Part of the run after which the plain average of the weights after each step is taken instead (Izmailov et
            al. 2018, https://arxiv.org/abs/1803.05407, there once an epoch at a constant rate: `schedule.kind`).
    """

    label_smoothing: float | None = None
    r_drop: float | None = None
    fgm: float | None = None
    freelb: float | None = None
    freelb_steps: int | None = None
    mixout: float | None = None
    l2_sp: float | None = None
    noise: float | None = None
    reinit_layers: int | None = None
    mixup: float | None = None
    consistency: float | None = None
    consistency_temperature: float | None = None
    consistency_least: float | None = None
    ema: float | None = None
    swa: float | None = None

    def __post_init__(self) -> None:
        probability(
            model__steady__label_smoothing=self.label_smoothing,
            model__steady__mixout=self.mixout,
            model__steady__ema=self.ema,
            model__steady__swa=self.swa,
            model__steady__consistency_least=self.consistency_least,
        )
        above(
            0,
            model__steady__r_drop=self.r_drop,
            model__steady__fgm=self.fgm,
            model__steady__freelb=self.freelb,
            model__steady__l2_sp=self.l2_sp,
            model__steady__noise=self.noise,
            model__steady__mixup=self.mixup,
            model__steady__consistency=self.consistency,
            model__steady__consistency_temperature=self.consistency_temperature,
        )
        at_least(1, model__steady__reinit_layers=self.reinit_layers, model__steady__freelb_steps=self.freelb_steps)
        for names in EXCLUSIVE:
            if len(both := [name for name in names if name in self.chosen]) > 1:
                raise TransferlabError(f"model.steady: {' and '.join(both)} exclude each other; set one of them.")

    @property
    def chosen(self) -> list[str]:
        """Names of the methods that are on."""
        return [f.name for f in fields(self) if f.name not in OPTIONS and getattr(self, f.name) is not None]

    @property
    def idle(self) -> dict[str, str]:
        """Keys that were set and change nothing, with the reason."""
        alone = [n for n, of in OPTIONS.items() if getattr(self, n) is not None and getattr(self, of) is None]
        return {f"model.steady.{name}": f"model.steady.{OPTIONS[name]} is not set" for name in alone}


def mixed(weight: Tensor, pretrained: Tensor, p: float) -> Tensor:
    """Mixout: ``((1 - m) w + m u - p u) / (1 - p)`` with m 1 at each element with probability p; its mean is w.

    Args:
        weight: w, of any shape.
        pretrained: u, shaped as w.
        p: At least 0, below 1.
    """
    taken = torch.rand_like(weight) < p
    return (torch.where(taken, pretrained, weight) - p * pretrained) / (1 - p)


def distance(parameters: Mapping[str, Tensor], pretrained: Mapping[str, Tensor]) -> Tensor:
    """``||w - u||^2 / 2`` over all tensors, a scalar in float32."""
    parts = [(parameters[name].float() - start.float()).square().sum() for name, start in pretrained.items()]
    return torch.stack(parts).sum() / 2


@torch.no_grad()
def add_noise(parameters: Iterable[nn.Parameter], size: float, generator: torch.Generator) -> None:
    """Adds ``U(-size/2, size/2) std(W)`` to each tensor W in place; drawn on the processor, alike on every device."""
    for parameter in parameters:
        if parameter.numel() > 1:
            drawn = torch.rand(parameter.shape, generator=generator) - 0.5
            parameter.add_(drawn.to(parameter) * size * parameter.std())


@torch.no_grad()
def reinitialise(layer: nn.Module, std: float, generator: torch.Generator) -> None:
    """Draws matrices from ``N(0, std^2)`` in place; scales of norms become 1 and all biases 0."""
    for name, parameter in layer.named_parameters():
        if parameter.ndim > 1:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)
        else:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)


def lengths(vectors: Tensor, packing: Packing | None) -> Tensor:
    """The length of all vectors of a row together, ``sqrt(sum x^2)``, as ``[batch, 1, 1]``, packed ``[1, tokens, 1]``.

    Args:
        vectors: ``[batch, length, width]``, packed ``[1, tokens, width]``.
        packing: Where the sequences of a packed row lie.
    """
    squares = vectors.float().square().sum(-1)
    if packing is None:
        return squares.sum(1, keepdim=True).sqrt().unsqueeze(-1)
    totals = squares.new_zeros(len(packing.lengths)).index_add(0, packing.sequences, squares[0])
    return totals.sqrt()[packing.sequences].view(1, -1, 1)


def along(gradient: Tensor, size: float, packing: Packing | None) -> Tensor:
    """A step of this length along the gradient in each row, ``size g / ||g||``; 0 where the gradient is 0.

    Args:
        gradient: ``[batch, length, width]``, packed ``[1, tokens, width]``.
        size: Length of the step.
        packing: Where the sequences of a packed row lie.
    """
    return size * gradient / lengths(gradient, packing).clamp(min=1e-30).to(gradient)


def within(move: Tensor, size: float, packing: Packing | None) -> Tensor:
    """Moves of each row, shortened to a length of at most `size`; shapes as for `along`."""
    return move * (size / lengths(move, packing).clamp(min=1e-30)).clamp(max=1).to(move)


def random_move(vectors: Tensor, mask: Tensor, size: float, packing: Packing | None) -> Tensor:
    """``U(-1, 1) size / sqrt(n)`` with n the numbers in a row, no longer than `size`; 0 at padding.

    Args:
        vectors: ``[batch, length, width]``, packed ``[1, tokens, width]``.
        mask: True at real tokens ``[batch, length]``.
        size: The largest length of a move.
        packing: Where the sequences of a packed row lie.
    """
    real = mask.to(vectors).unsqueeze(-1).expand_as(vectors)
    # the length of a row of ones is the root of how many there are
    return (2 * torch.rand_like(vectors) - 1) * real * (size / lengths(real, packing).clamp(min=1)).to(vectors)


def fgm(loss_at: Callable[[Tensor | None], tuple[Tensor, Tensor]], size: float, packing: Packing | None) -> Tensor:
    """``(L(x) + L(x + r)) / 2`` with ``r = size g / ||g||``.

    Args:
        loss_at: The loss at a move of the embeddings, None for none, and the move as a leaf that has a gradient.
        size: Length of the step of a row.
        packing: Where the sequences of a packed row lie.

    Returns:
        A scalar.
    """
    loss, move = loss_at(None)
    (gradient,) = torch.autograd.grad(loss, move, retain_graph=True)
    return (loss + loss_at(along(gradient, size, packing))[0]) / 2


def freelb(
    loss_at: Callable[[Tensor | None], tuple[Tensor, Tensor]], size: float, steps: int, packing: Packing | None
) -> Tensor:
    """The mean loss over so many moves; arguments as for `fgm`, `loss_at` of None starts at random. A scalar."""
    loss, move = loss_at(None)
    losses = [loss]
    for _ in range(steps - 1):
        (gradient,) = torch.autograd.grad(losses[-1], move, retain_graph=True)
        loss, move = loss_at(within(move.detach() + along(gradient, size / 2, packing), size, packing))
        losses.append(loss)
    return torch.stack(losses).mean()
