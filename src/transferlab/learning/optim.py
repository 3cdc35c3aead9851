"""Parameter groups and learning rate schedules."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler

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

    def build(self, optimizer: Optimizer, steps: int) -> LRScheduler:
        """Returns the schedule over `steps` optimizer steps."""
        from transformers import get_scheduler

        name = "constant_with_warmup" if self.kind == "constant" else self.kind
        scheduler: LRScheduler = get_scheduler(
            name, optimizer, num_warmup_steps=round(self.warmup * steps), num_training_steps=steps
        )
        return scheduler


def parameter_groups(
    encoder_layers: Iterable[Iterable[nn.Parameter]],
    head: Iterable[nn.Parameter],
    head_lr: float | None = None,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Optimizer groups: no weight decay on biases and norms, layer-wise learning rates, the head's own rate.

    Layer k of n gets the base rate times ``layer_decay ** (n - k)`` (Howard and Ruder 2018,
    https://arxiv.org/abs/1801.06146, there called discriminative fine-tuning).

    Args:
        encoder_layers: Parameters by depth, the lowest first.
        head: Parameters of the head and of all else that is new.
        head_lr: Learning rate of `head`; None: the base rate.
        layer_decay: Factor from each layer to the one below.

    Returns:
        Groups for a torch optimizer; ``lr_scale`` is to be multiplied with the base rate by `apply_scales`.
    """
    layers = [list(layer) for layer in encoder_layers]
    groups: list[dict[str, Any]] = []
    for depth, layer in enumerate(layers):
        groups += _by_decay(layer, {"lr_scale": layer_decay ** (len(layers) - 1 - depth)})
    groups += _by_decay(head, {"lr_scale": 1.0} if head_lr is None else {"lr_scale": 1.0, "lr": head_lr})
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
        key = (group.get("lr"), group["lr_scale"], group.get("weight_decay"))
        if group["params"]:
            merged.setdefault(key, {**group, "params": []})["params"] += group["params"]
    return list(merged.values())


def apply_scales(optimizer: Optimizer) -> None:
    """Multiplies the learning rate of each group with its ``lr_scale``."""
    for group in optimizer.param_groups:
        group["lr"] = group["lr"] * group.pop("lr_scale", 1.0)
