"""AdaLoRA: the layers are peft's; the allocation of ranks is ours, because peft's forgets its state in a checkpoint."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from transferlab.adapters.base import require
from transferlab.adapters.low_rank import Injected, inject
from transferlab.adapters.targets import resolve
from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ADAPTER = "default"  # peft's name for the only adapter of a layer
_PARTS = ("A", "B", "E")  # [r, in], [out, r], [r, 1]


@dataclass(frozen=True)
class AdaLoRA(Injected):
    """Low-rank adaptation with a rank for each matrix: `W + (alpha/r)·B·diag(E)·A` (Zhang et al. 2023, https://arxiv.org/abs/2303.10512).

    All matrices start with rank `r`. Between the two fractions of the run the budget shrinks from `r` to `target_r`
    per matrix on average, `b(t) = target + (start - target)·(1 - (t - t0)/(t1 - t0))³`; the entries of `E` whose
    triplet matters least over the whole encoder become zero. Importance of a weight `w` is `I·U`, two moving averages:
    sensitivity `I` of `|w·∂L/∂w|` and uncertainty `U` of how far it is from `I`. They are stored as buffers, so a run
    that is continued keeps the same ranks.

    Args:
        r: Rank of each matrix at the start.
        target_r: Mean rank of a matrix at the end.
        alpha: Strength of the update; it is divided by `r` throughout.
        dropout: Share of the update's inputs that are dropped in training.
        targets: Which linear maps; names as for LoRA.
        top_layers: Adapt only that many layers, counted from the output side; None adapts all.
        beta1: Decay of the sensitivity average.
        beta2: Decay of the uncertainty average.
        orthogonality: Weight of the penalty that keeps `A` and `B` orthogonal.
        tinit_fraction: Share of the run, at its start, with the full budget.
        tfinal_fraction: Share of the run, at its end, with the final ranks fixed.
        delta_t: Steps between two changes of the ranks.
    """

    needs_total_steps: ClassVar[bool] = True

    r: int = 12
    target_r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("query", "value")
    top_layers: int | None = None
    beta1: float = 0.85
    beta2: float = 0.85
    orthogonality: float = 0.5
    tinit_fraction: float = 0.1
    tfinal_fraction: float = 0.5
    delta_t: int = 10

    def __post_init__(self) -> None:
        key, fractions = "model.method.", (self.tinit_fraction, self.tfinal_fraction)
        require(1 <= self.target_r < self.r, f"{key}target_r: {self.target_r} must be 1 or more and below r={self.r}")
        require(self.alpha > 0, f"{key}alpha: {self.alpha} is not above 0")
        require(self.orthogonality >= 0, f"{key}orthogonality: {self.orthogonality} is below 0")
        require(0 <= self.dropout < 1, f"{key}dropout: {self.dropout} is not in [0, 1)")
        require(0 < self.beta1 < 1 and 0 < self.beta2 < 1, f"{key}beta1, beta2: must lie between 0 and 1")
        require(self.delta_t >= 1, f"{key}delta_t: {self.delta_t} is not a number of steps; use 1 or more")
        require(min(fractions) >= 0 and sum(fractions) < 1, f"{key}tinit_fraction + tfinal_fraction: must be below 1")

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Puts `A`, `E`, `B` and the allocation's buffers beside each target; see `Method.apply`."""
        from peft import AdaLoraConfig

        config = AdaLoraConfig(
            init_r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type,unused-ignore] # peft says int and takes a float
            lora_dropout=self.dropout,
            target_modules=resolve(backbone, self.targets, self.top_layers),
            total_step=1,  # for peft's allocator, which isn't used
        )
        module = inject(config, backbone)
        for layer in _svd_layers(module):
            _add_state(layer)
        if total_steps is not None:
            self.plan(module, total_steps)
        return module

    def plan(self, module: "nn.Module", total_steps: int) -> None:
        """Spreads the budget over the run; see `Method.plan`.

        Raises:
            TransferlabError: The number of steps is below 1.
        """
        if total_steps < 1:
            raise TransferlabError(
                f"model.method: AdaLoRA spreads its ranks over the run, and {total_steps} is not a number of steps; "
                "set trainer.max_steps or trainer.max_epochs"
            )
        for layer in _svd_layers(module):
            layer.total_steps = total_steps

    def _window(self, total_steps: int) -> tuple[int, int]:
        """Returns the step after which the budget shrinks and the step at which it has reached its target."""
        return int(self.tinit_fraction * total_steps), total_steps - int(self.tfinal_fraction * total_steps)

    def penalty(self, module: "nn.Module") -> torch.Tensor:
        """Returns `orthogonality` times the mean of `||A·Aᵀ - I||` and `||Bᵀ·B - I||` over all matrices, shape `[]`."""
        pairs = [(layer.lora_A[_ADAPTER], layer.lora_B[_ADAPTER]) for layer in _svd_layers(module)]
        grams = [gram for a, b in pairs for gram in (a @ a.T, b.T @ b)]
        identity = torch.eye(self.r, device=grams[0].device, dtype=grams[0].dtype)
        return self.orthogonality * torch.stack([(gram - identity).norm() for gram in grams]).mean()

    def after_step(self, module: "nn.Module", step: int) -> None:
        """Updates the importances and, when it is time, the ranks.

        Raises:
            RuntimeError: `plan` was not called before.
        """
        layers = list(_svd_layers(module))
        if layers[0].total_steps is None:
            raise RuntimeError("AdaLoRA.after_step needs the length of the run: call plan first")
        start, end = self._window(layers[0].total_steps)
        if step < end:
            for layer in layers:
                _update_importance(layer, self.beta1, self.beta2)
        if step == end or (start < step < end and step % self.delta_t == 0):
            left = (1 - (step - start) / (end - start)) ** 3
            _keep_most_important(layers, int((self.target_r + (self.r - self.target_r) * left) * len(layers)))
            _mask(layers)
        elif step > end:
            _mask(layers)

    def learned(self, module: "nn.Module") -> set[str]:
        """Adds the ranks and importances to what is trained; see `Method.learned`."""
        prefixes = tuple(f"{name}." for name, layer in module.named_modules() if hasattr(layer, "kept"))
        return {name for name in module.state_dict() if name.startswith(prefixes) and ".base_layer." not in name}

    def findings(self, module: "nn.Module") -> dict[str, str]:
        """The mean rank, and the lowest and highest one."""
        ranks = list(self.ranks(module).values())
        return {"ranks": f"{sum(ranks) / len(ranks):.1f} a matrix, {min(ranks)} to {max(ranks)}"}

    def ranks(self, module: "nn.Module") -> dict[str, int]:
        """Returns the rank of each adapted matrix as it is now, by module name."""
        named = ((name, layer) for name, layer in module.named_modules() if hasattr(layer, "kept"))
        return {name: int(layer.kept.sum()) for name, layer in named}


def _svd_layers(module: "nn.Module") -> Iterator[Any]:
    """Yields the adapted layers in the order of the encoder."""
    from peft.tuners.adalora import SVDLinear

    return (layer for layer in module.modules() if isinstance(layer, SVDLinear))


def _parameter(layer: Any, part: str) -> torch.Tensor:
    parameter: torch.Tensor = getattr(layer, f"lora_{part}")[_ADAPTER]
    return parameter


def _add_state(layer: Any) -> None:
    """Gives a layer its importance averages and the mask `kept`, `[r]`, of the triplets that are in use."""
    for part in _PARTS:
        for average in ("sensitivity", "uncertainty"):
            layer.register_buffer(f"{average}_{part}", torch.zeros_like(_parameter(layer, part), requires_grad=False))
    layer.register_buffer("kept", torch.ones(len(layer.sensitivity_E), dtype=torch.bool))
    layer.total_steps = None


@torch.no_grad()
def _update_importance(layer: Any, beta1: float, beta2: float) -> None:
    for part in _PARTS:
        parameter = _parameter(layer, part)
        if parameter.grad is None:
            raise RuntimeError("AdaLoRA.after_step needs the gradients of the step: call it before they are zeroed")
        sensitivity, uncertainty = getattr(layer, f"sensitivity_{part}"), getattr(layer, f"uncertainty_{part}")
        now = (parameter * parameter.grad).abs()
        sensitivity.lerp_(now, 1 - beta1)
        uncertainty.lerp_((now - sensitivity).abs(), 1 - beta2)


def _triplet_scores(layer: Any) -> torch.Tensor:
    """Returns the importance of each triplet of a row of A, an entry of E and a column of B: `[r]`."""
    a, b, e = (getattr(layer, f"sensitivity_{part}") * getattr(layer, f"uncertainty_{part}") for part in _PARTS)
    scores: torch.Tensor = a.mean(1) + b.mean(0) + e.squeeze(1)
    return scores


def _keep_most_important(layers: list[Any], budget: int) -> None:
    """Sets `kept` so that it holds the `budget` best triplets of the whole encoder."""
    scores = torch.cat([_triplet_scores(layer) for layer in layers])
    kept = torch.zeros_like(scores, dtype=torch.bool)
    kept[scores.topk(budget).indices] = True
    for layer, part in zip(layers, kept.view(len(layers), -1), strict=True):
        layer.kept.copy_(part)


@torch.no_grad()
def _mask(layers: list[Any]) -> None:
    for layer in layers:
        _parameter(layer, "E")[~layer.kept] = 0.0
