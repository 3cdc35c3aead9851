"""Bottleneck adapters: two small dense maps behind the blocks of each layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from transferlab.adapters.base import Method, require
from transferlab.adapters.targets import FAMILIES, out_features, resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Placement = Literal["houlsby", "pfeiffer"]
Activation = Literal["gelu", "relu"]


@dataclass(frozen=True)
class Bottleneck(Method):
    """Bottleneck adapters, `h + W_up·act(W_down·h)` (Houlsby et al. 2019, https://arxiv.org/abs/1902.00751).

    `W_down` is `[size, hidden]`, normal with sigma 0.01; `W_up` is `[hidden, size]` and zero at the start, so the
    encoder starts exactly unchanged. `h` is what a block's last dense map gives, before the residual is added. Houlsby
    adapts the attention and the feed-forward block, Pfeiffer the latter only (Pfeiffer et al. 2020,
    https://arxiv.org/abs/2005.00247). The LayerNorms stay frozen, unlike in the papers.

    Args:
        size: Width of the bottleneck.
        placement: Which blocks get an adapter.
        activation: The function between the two maps.
        top_layers: Adapt only that many layers, counted from the output side; None adapts all.
    """

    size: int = 64
    placement: Placement = "pfeiffer"
    activation: Activation = "gelu"
    top_layers: int | None = None

    def __post_init__(self) -> None:
        require(self.size >= 1, f"model.method.size: {self.size} is not a width; use 1 or more")

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Wraps the last dense map of each adapted block; see `Method.apply`."""
        names = sites(backbone, self.placement, self.top_layers)
        backbone.requires_grad_(False)
        for name in names:
            backbone.set_submodule(name, Adapted(backbone.get_submodule(name), self.size, self.activation))
        return backbone


def sites(backbone: "PreTrainedModel", placement: Placement, top_layers: int | None) -> list[str]:
    """Names of the dense maps that an adapter stands behind, in the order of the backbone.

    Raises:
        TransferlabError: The encoder's family is not in our map, or `top_layers` does not fit.
    """
    family, blocks = backbone.config.model_type, ("attention_output", "output")
    require(
        family in FAMILIES,
        f"model.method: Bottleneck has no sites for encoder family {family!r}; known families: "
        f"{', '.join(FAMILIES)}; LoRA and IA3 also take raw module names in model.method.targets",
    )
    return resolve(backbone, blocks[placement == "pfeiffer" :], top_layers, "model.method.placement")


class Update(nn.Module):
    """What an adapter adds to hidden states, `W_up·act(W_down·h)`.

    Args:
        base_layer: The pretrained map that it stands behind.
        size: Width of the bottleneck.
        activation: gelu or relu.
    """

    def __init__(self, base_layer: "nn.Module", size: int, activation: str) -> None:
        super().__init__()
        hidden, weight = out_features(base_layer), base_layer.weight
        assert isinstance(weight, torch.Tensor)
        self.down = nn.Linear(hidden, size, device=weight.device, dtype=weight.dtype)
        self.up = nn.Linear(size, hidden, device=weight.device, dtype=weight.dtype)
        self.activation = {"gelu": nn.GELU(), "relu": nn.ReLU()}[activation]
        nn.init.normal_(self.down.weight, std=1e-2)
        for parameter in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(parameter)

    def update(self, hidden: torch.Tensor) -> torch.Tensor:
        """Maps `[..., hidden]` to what is added to it."""
        found: torch.Tensor = self.up(self.activation(self.down(hidden)))
        return found


class Wrapped(nn.Module):
    """Stands in the place of a dense map, ``base_layer``."""

    base_layer: nn.Module

    @property
    def weight(self) -> torch.Tensor:
        """That of the pretrained map, whose precision T5 asks for."""
        weight = self.base_layer.weight
        assert isinstance(weight, torch.Tensor)
        return weight


class Adapted(Wrapped, Update):
    """A dense map with a bottleneck adapter behind it.

    Args:
        base_layer: The pretrained map.
        size: Width of the bottleneck.
        activation: gelu or relu.
    """

    def __init__(self, base_layer: "nn.Module", size: int, activation: str) -> None:
        super().__init__(base_layer, size, activation)
        self.base_layer = base_layer

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Maps `[batch, length, in]` to `[batch, length, hidden]`."""
        out: torch.Tensor = self.base_layer(hidden)
        return out + self.update(out)
