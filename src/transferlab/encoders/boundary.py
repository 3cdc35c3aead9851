"""An encoder in two parts: the layers that stay frozen, and those above them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transferlab.encoders.layers import ABOVE, layer_list, tell_layers

EMBEDDINGS = ("embeddings", "embed_tokens", "wte")
"""Modules that look up the words, whatever a family calls them."""
BEHIND = ("embeddings_project", "drop")
"""Modules between the embeddings and the first layer."""
POSITIONS = ("wpe",)
"""Modules that look up positions beside the words."""


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


class Nothing(nn.Module):
    """Stands in the place of position embeddings that are in the hidden states already."""

    def forward(self, positions: Tensor) -> Tensor:
        """Adds nothing, ``[batch, length, 1]``."""
        return torch.zeros(*positions.shape, 1, device=positions.device)


def can_be_cut(backbone: nn.Module) -> bool:
    """Whether the layers of this encoder can be run in two parts.

    Not where they share weights, nor where something beside the layers runs among them (DeBERTa's convolution).
    """
    _, layers = layer_list(backbone)
    inner = getattr(backbone, "encoder", None)
    there = any(hasattr(backbone, name) for name in EMBEDDINGS)
    return layers is not None and there and getattr(inner, "conv", None) is None


def frozen_modules(backbone: nn.Module, depth: int) -> list[nn.Module]:
    """The modules up to layer `depth` (from 1), the embeddings first."""
    _, layers = layer_list(backbone)
    below = [getattr(backbone, name) for name in (*EMBEDDINGS, *POSITIONS, *BEHIND) if hasattr(backbone, name)]
    return below + list(layers or ())[:depth]


@contextmanager
def lower(backbone: nn.Module, depth: int) -> Iterator[None]:
    """Within it the backbone ends with its layer `depth` (from 1)."""
    with _swapped(backbone, range(depth), {name: nn.Identity() for name in ABOVE}):
        yield


@contextmanager
def upper(backbone: nn.Module, depth: int, states: Tensor) -> Iterator[None]:
    """Within it the backbone starts above its layer `depth` with these hidden states ``[batch, length, hidden]``."""
    others: dict[str, nn.Module] = {name: nn.Identity() for name in BEHIND} | {name: Nothing() for name in POSITIONS}
    above = range(depth, backbone.config.num_hidden_layers)  # type: ignore[union-attr, arg-type]
    with _swapped(backbone, above, others | {name: Given(states) for name in EMBEDDINGS}):
        yield


@contextmanager
def _swapped(backbone: nn.Module, numbers: range, others: dict[str, nn.Module]) -> Iterator[None]:
    name, whole = layer_list(backbone)
    assert whole is not None
    path, _, leaf = name.rpartition(".")
    parent = backbone.get_submodule(path)
    kept = {other: getattr(backbone, other) for other in others if hasattr(backbone, other)}
    before = tell_layers(backbone, numbers)
    try:
        setattr(parent, leaf, whole[numbers.start : numbers.stop])
        for other in kept:
            setattr(backbone, other, others[other])
        yield
    finally:
        setattr(parent, leaf, whole)
        for key, value in before.items():
            setattr(backbone.config, key, value)
        for other, module in kept.items():
            setattr(backbone, other, module)
