"""Methods that train a few of the pretrained parameters and add none."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from transferlab.adapters.base import Method, in_pooler, require

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class BitFit(Method):
    """Trains the bias terms: in `W·x + b` only `b` (Ben Zaken et al. 2021, https://arxiv.org/abs/2106.10199).

    The biases of a pooler stay frozen: `last_hidden_state` doesn't depend on them.
    """

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Leaves only biases trainable; see `Method.apply`."""
        biases = {name for name, _ in backbone.named_parameters() if name.endswith(".bias")}
        family = backbone.config.model_type
        return _train_only(
            backbone, biases, f"model.method: BitFit finds no bias in this encoder ({family}); use NormTuning or LoRA"
        )


@dataclass(frozen=True)
class NormTuning(Method):
    """Trains the gains and offsets of the norms: in `g ⊙ norm(x) + b` only `g`, `b` (Zhao et al. 2023, https://arxiv.org/abs/2312.11420)."""

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Leaves only LayerNorm and RMSNorm trainable; see `Method.apply`."""
        norms = [(n, m) for n, m in backbone.named_modules() if type(m).__name__.endswith(("LayerNorm", "RMSNorm"))]
        names = {f"{name}.{part}" for name, norm in norms for part, _ in norm.named_parameters()}
        family = backbone.config.model_type
        return _train_only(backbone, names, f"model.method: NormTuning finds no norm in this encoder ({family})")


def _train_only(backbone: "PreTrainedModel", names: set[str], otherwise: str) -> "nn.Module":
    """Freezes all parameters but the named ones; raises with the message `otherwise` if none is left."""
    chosen = {name for name in names if not in_pooler(name)}
    require(bool(chosen), otherwise)
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in chosen)
    return backbone
