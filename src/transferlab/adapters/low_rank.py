"""Low-rank and rescaling updates of the linear maps: LoRA, its variants, and IA3. The layers are peft's."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from transferlab.adapters.base import Method, require
from transferlab.adapters.targets import resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def inject(config: Any, backbone: "PreTrainedModel") -> "nn.Module":
    """Replaces the targets by peft's layers, in place, and freezes all else."""
    from peft import inject_adapter_in_model

    backbone.requires_grad_(False)
    with warnings.catch_warnings():
        # peft sees by itself that the maps of GPT-2 hold their weights turned around, and says so for each
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to False but the target module is `Conv1D`")
        module: nn.Module = inject_adapter_in_model(config, backbone)
    return module


class Injected(Method):
    """A method whose layers are peft's: they can be merged into the linear maps that they update."""

    def merge(self, module: nn.Module) -> None:
        """Merges all layers; see `Method.merge`."""
        # some keep what they merged, which with its graph could not be copied
        with torch.no_grad():
            for layer in _tuned(module):
                layer.merge()

    def unmerge(self, module: nn.Module) -> None:
        """Takes all layers out again."""
        with torch.no_grad():
            for layer in _tuned(module):
                layer.unmerge()


def _tuned(module: nn.Module) -> list[Any]:
    from peft.tuners.tuners_utils import BaseTunerLayer

    return [layer for layer in module.modules() if isinstance(layer, BaseTunerLayer)]


@dataclass(frozen=True)
class LoRA(Injected):
    """Low-rank adaptation: `W + s·B·A` with frozen `W`, `s = alpha / r` (Hu et al. 2021, https://arxiv.org/abs/2106.09685).

    `A` is `[r, in]`, `B` is `[out, r]` and zero at the start, so the encoder starts unchanged. The variants:

    - `rslora`: `s = alpha / sqrt(r)`, which keeps the update's size over r (https://arxiv.org/abs/2312.03732);
    - `dora`: `m · (W + s·B·A) / ||W + s·B·A||` row by row, with a learned length `m` (https://arxiv.org/abs/2402.09353);
    - `pissa`: `s·B·A` starts as the top r singular directions of `W`, and the rest of `W` is frozen
      (https://arxiv.org/abs/2404.02948). To restore it the same pretrained weights are needed.

    Args:
        r: Rank of the update.
        alpha: Strength of the update; see `s` above.
        dropout: Share of the update's inputs that are dropped in training.
        variant: Which form of the update.
        targets: Which linear maps: query, key, value, attention_output, intermediate, output, all, or ends of module
            names. ModernBERT holds query, key and value in one matrix.
        top_layers: Adapt only that many layers, counted from the output side; None adapts all.
    """

    r: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    variant: Literal["lora", "rslora", "dora", "pissa"] = "lora"
    targets: tuple[str, ...] = ("all",)
    top_layers: int | None = None

    def __post_init__(self) -> None:
        require(self.r >= 1, f"model.method.r: {self.r} is not a rank; use 1 or more")
        require(self.alpha > 0, f"model.method.alpha: {self.alpha} is not above 0")
        require(0 <= self.dropout < 1, f"model.method.dropout: {self.dropout} is not in [0, 1)")

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Puts `A` and `B` beside each target; see `Method.apply`."""
        from peft import LoraConfig

        config = LoraConfig(
            r=self.r,
            lora_alpha=self.alpha,  # type: ignore[arg-type,unused-ignore] # peft says int and takes a float
            lora_dropout=self.dropout,
            target_modules=resolve(backbone, self.targets, self.top_layers),
            use_rslora=self.variant == "rslora",
            use_dora=self.variant == "dora",
            init_lora_weights="pissa" if self.variant == "pissa" else True,
        )
        return inject(config, backbone)


@dataclass(frozen=True)
class IA3(Injected):
    """Learned rescaling, `l ⊙ (W·x)` (Liu et al. 2022, https://arxiv.org/abs/2205.05638).

    The feed-forward vector scales the activations between the two maps of that block, that is the input of the second
    one: `W·(l ⊙ x)`. All vectors start at 1, so the encoder starts unchanged. In ModernBERT key and value share a
    matrix with query, so query is scaled too.

    Args:
        targets: Linear maps whose outputs are scaled; names as for LoRA.
        feedforward: Linear maps whose inputs are scaled; names as for LoRA.
        top_layers: Adapt only that many layers, counted from the output side; None adapts all.
    """

    targets: tuple[str, ...] = ("key", "value")
    feedforward: tuple[str, ...] = ("output",)
    top_layers: int | None = None

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Puts a vector on each target; see `Method.apply`."""
        from peft import IA3Config

        inputs = resolve(backbone, self.feedforward, self.top_layers, "model.method.feedforward")
        outputs = resolve(backbone, self.targets, self.top_layers)
        twice = sorted(set(inputs) & set(outputs))
        require(not twice, f"model.method: {', '.join(twice)} is in both targets and feedforward; drop it from one")
        return inject(IA3Config(target_modules=outputs + inputs, feedforward_modules=inputs), backbone)
