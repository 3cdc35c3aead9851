"""Parameter groups and learning rate schedules."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from transferlab.ground.errors import TransferlabError


def adamw_1e3(parameters: Iterable[Any]) -> AdamW:
    """AdamW at 1e-3, for heads and a few parameters in a frozen encoder."""
    return AdamW(parameters, lr=1e-3, weight_decay=0.01, fused=True)


def adamw_3e4(parameters: Iterable[Any]) -> AdamW:
    """AdamW at 3e-4, for weights that start at random."""
    return AdamW(parameters, lr=3e-4, weight_decay=0.01, fused=True)


def adamw_1e4(parameters: Iterable[Any]) -> AdamW:
    """AdamW at 1e-4, for a small pretrained encoder; base size wants 1e-5 to 5e-5."""
    return AdamW(parameters, lr=1e-4, weight_decay=0.01, fused=True)


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the steps of a run: linear warm-up, then decay.

    Attributes:
        kind: ``linear`` or ``cosine`` decay to zero, or ``constant``.
        warmup: Part of all steps spent warming up.
    """

    kind: Literal["linear", "cosine", "constant"] = "linear"
    warmup: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < 1:
            raise TransferlabError(f"model.schedule.warmup: {self.warmup} is not in [0, 1).")

    def factor(self, step: int, steps: int, starts: Sequence[int] = (0,)) -> float:
        """Learning rate at an optimizer step, as a part of the highest one.

        Args:
            step: The step, counted from 0.
            steps: Optimizer steps of the run.
            starts: Steps at which the schedule starts, each time over the steps up to the next start or the end.
        """
        place = bisect_right(starts, step)
        if not place:
            return 0.0
        end = starts[place] if place < len(starts) else steps
        step, steps = step - starts[place - 1], end - starts[place - 1]
        warmup = round(self.warmup * steps)
        if step < warmup:
            return step / warmup
        if self.kind == "constant":
            return 1.0
        if self.kind == "linear":
            return max(0.0, (steps - step) / max(1, steps - warmup))
        progress = (step - warmup) / max(1, steps - warmup)
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))

    def build(self, optimizer: Optimizer, steps: int) -> LambdaLR:
        """Returns the schedule over `steps` optimizer steps; each group's begins at its ``starts``, or at once."""
        starts = [group.get("starts", (0,)) for group in optimizer.param_groups]
        return LambdaLR(optimizer, [partial(self.factor, steps=steps, starts=each) for each in starts])


def parameter_groups(
    encoder_layers: Iterable[Iterable[nn.Parameter]],
    head: Iterable[nn.Parameter],
    head_lr: float | None = None,
    layer_decay: float = 1.0,
    starts: Sequence[tuple[int, ...]] = (),
    mix: Iterable[nn.Parameter] = (),
    mix_lr: float | None = None,
) -> list[dict[str, Any]]:
    """Optimizer groups: no weight decay on biases and norms, layer-wise learning rates, the head's own rate.

    Layer k of n gets the base rate times ``layer_decay ** (n - k)`` (Howard and Ruder 2018,
    https://arxiv.org/abs/1801.06146, there called discriminative fine-tuning).

    Args:
        encoder_layers: Parameters by depth, the lowest first.
        head: Parameters of the head and of all else that is new.
        head_lr: Learning rate of `head`; None: the base rate.
        layer_decay: Factor from each layer to the one below.
        starts: For each layer, and last for `head`, the steps at which its schedule starts; see `Schedule.factor`.
            Empty: all of them at once.
        mix: Scores of a learned layer mix; their schedule is that of `head`.
        mix_lr: Learning rate of `mix`; None: the base rate.

    Returns:
        Groups for a torch optimizer; ``lr_scale`` is to be multiplied with the base rate by `apply_scales`.
    """
    layers = [list(layer) for layer in encoder_layers]
    begin: list[dict[str, Any]] = [{"starts": each} for each in starts] or [{}] * (len(layers) + 1)
    groups: list[dict[str, Any]] = []
    for depth, layer in enumerate(layers):
        groups += _by_decay(layer, {"lr_scale": layer_decay ** (len(layers) - 1 - depth), **begin[depth]})
    for others, lr in ((head, head_lr), (mix, mix_lr)):
        own = {} if lr is None else {"lr": lr}
        groups += _by_decay(others, {"lr_scale": 1.0, **own, **begin[-1]})
    return _merge(groups)


def _by_decay(parameters: Iterable[nn.Parameter], settings: dict[str, Any]) -> list[dict[str, Any]]:
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim >= 2], **settings},
        {"params": [p for p in learning if p.ndim < 2], "weight_decay": 0.0, **settings},
    ]


def _merge(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    merged: dict[tuple[Any, ...], dict[str, Any]] = {}
    for group in groups:
        key = (group.get("lr"), group["lr_scale"], group.get("weight_decay"), group.get("starts"))
        if group["params"]:
            merged.setdefault(key, {**group, "params": []})["params"] += group["params"]
    return list(merged.values())


def apply_scales(optimizer: Optimizer) -> None:
    """Multiplies the learning rate of each group with its ``lr_scale``."""
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group.pop("lr_scale", 1.0)
