"""An encoder in two parts: the layers that stay frozen, and those above them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from transferlab.encoders.layers import layer_list

ABOVE = ("final_norm",)
"""Modules behind the last layer: no part of what is below."""
BELOW = ("embeddings", "embeddings_project")
"""Modules before the first layer: no part of what is above."""


class Given(nn.Module):
    """Stands in the place of the embeddings and gives hidden states that are known already.

    Args:
        states: ``[batch, length, hidden]``.
    """

    def __init__(self, states: Tensor) -> None:
        super().__init__()
        self.states = states

    def forward(self, *args: Any, **kwargs: Any) -> Tensor:
        """Returns the states, whatever the tokens are."""
        return self.states


def can_be_cut(backbone: nn.Module) -> bool:
    """Whether the layers of this encoder can be run in two parts.

    Not where they share weights, nor where something beside the layers runs among them (DeBERTa's convolution).
    """
    _, layers = layer_list(backbone)
    inner = getattr(backbone, "encoder", None)
    return layers is not None and hasattr(backbone, "embeddings") and getattr(inner, "conv", None) is None


def frozen_modules(backbone: nn.Module, depth: int) -> list[nn.Module]:
    """The modules up to layer `depth` (from 1), the embeddings first."""
    _, layers = layer_list(backbone)
    return [getattr(backbone, name) for name in BELOW if hasattr(backbone, name)] + list(layers or ())[:depth]


@contextmanager
def lower(backbone: nn.Module, depth: int) -> Iterator[None]:
    """Within it the backbone ends with its layer `depth` (from 1)."""
    _, layers = layer_list(backbone)
    assert layers is not None
    with _swapped(backbone, layers[:depth], {name: nn.Identity() for name in ABOVE}):
        yield


@contextmanager
def upper(backbone: nn.Module, depth: int, states: Tensor) -> Iterator[None]:
    """Within it the backbone starts above its layer `depth` with the given hidden states."""
    _, layers = layer_list(backbone)
    assert layers is not None
    with _swapped(backbone, layers[depth:], {BELOW[0]: Given(states), BELOW[1]: nn.Identity()}):
        yield


@contextmanager
def _swapped(backbone: nn.Module, layers: nn.ModuleList, others: dict[str, nn.Module]) -> Iterator[None]:
    name, whole = layer_list(backbone)
    path, _, leaf = name.rpartition(".")
    parent, config = backbone.get_submodule(path), backbone.config
    kept = {other: getattr(backbone, other) for other in others if hasattr(backbone, other)}
    try:
        setattr(parent, leaf, layers)
        config.num_hidden_layers = len(layers)  # type: ignore[union-attr]
        for other in kept:
            setattr(backbone, other, others[other])
        yield
    finally:
        setattr(parent, leaf, whole)
        config.num_hidden_layers = len(whole or ())  # type: ignore[union-attr]
        for other, module in kept.items():
            setattr(backbone, other, module)
