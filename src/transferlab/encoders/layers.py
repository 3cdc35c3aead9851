"""The layers of any encoder family, from the bottom to the top."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

from transferlab.ground.errors import TransferlabError

Named = tuple[str, nn.Parameter]
LISTS = frozenset({"layer", "layers", "h"})
"""Names of the list of layers."""
ABOVE = ("final_norm", "norm", "ln_f", "lm_head")
"""Modules behind the last layer: no part of what is below."""


def layer_list(backbone: nn.Module) -> tuple[str, nn.ModuleList | None]:
    """Finds the list of transformer layers: its name in the backbone and the list itself.

    None where layers share their weights (ALBERT), where there are none (BiLSTM) or two lists of them (T5).
    """
    if getattr(backbone.config, "is_encoder_decoder", False):
        # two lists, see `layer_groups`
        return "", None
    count = backbone.config.num_hidden_layers  # type: ignore[union-attr]
    for name, module in backbone.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count and name.rsplit(".", 1)[-1] in LISTS:
            return name, module
    return "", None


def layer_groups(backbone: nn.Module) -> list[list[Named]]:
    """Parameters by depth: the embeddings, each layer, the top one with what stands above it.

    Returns:
        ``layers + 1`` lists of (name, parameter); two lists where layers cannot be told apart.
    """
    if getattr(backbone.config, "is_encoder_decoder", False):
        return _both_stacks(backbone)
    name, layers = layer_list(backbone)
    depth = len(layers) if layers is not None else 1
    groups: list[list[Named]] = [[] for _ in range(depth + 1)]
    for parameter_name, parameter in backbone.named_parameters():
        groups[_depth(parameter_name, name, depth)].append((parameter_name, parameter))
    return groups


def _depth(parameter: str, layers: str, top: int) -> int:
    if layers and parameter.startswith(f"{layers}."):
        return int(parameter[len(layers) + 1 :].split(".", 1)[0]) + 1
    # a norm behind the last layer belongs to it; all else outside the layers is below them
    above = not layers and "embeddings" not in parameter
    beside = parameter.removeprefix(f"{layers.rpartition('.')[0]}.") if layers else parameter
    return top if above or beside.split(".", 1)[0] in ABOVE else 0


STACKS = re.compile(r"(?:^|\.)(encoder|decoder)\.(?:(?:\w+\.)?encoder\.)?(?:block|layers?)\.(\d+)\.")
"""A layer in one of the two stacks of an encoder-decoder."""


def _both_stacks(backbone: nn.Module) -> list[list[Named]]:
    """Embeddings, the layers of the encoder and above them those of the decoder, with what stands above these."""
    named = list(backbone.named_parameters())
    places = [STACKS.search(name) for name, _ in named]
    depth = {
        stack: max((int(p[2]) + 1 for p in places if p and p[1] == stack), default=0)
        for stack in ("encoder", "decoder")
    }
    top = sum(depth.values())
    groups: list[list[Named]] = [[] for _ in range(top + 1)]
    for (name, parameter), place in zip(named, places, strict=True):
        below = 0 if place is None or place[1] == "encoder" else depth["encoder"]
        if place:
            number = below + int(place[2]) + 1
        elif name.startswith(
            ("decoder.final", "decoder.cls", "decoder.lm_head", "model.decoder.layer_norm", "lm_head")
        ):
            number = top
        else:
            number = depth["encoder"] if name.startswith(("encoder.final", "model.encoder.layer_norm")) else 0
        groups[number].append((name, parameter))
    return groups


def tell_layers(backbone: nn.Module, numbers: Sequence[int]) -> dict[str, Any]:
    """Brings the configuration of an encoder in step with the layers that it is to run.

    ``layer_types`` says of each layer whether it attends within a window, and some families look there by the place
    that a layer has now.

    Args:
        backbone: The encoder.
        numbers: Numbers of the layers, from 0, among those that the configuration knows.

    Returns:
        What stood there before, by key.
    """
    config = backbone.config
    before = {"num_hidden_layers": config.num_hidden_layers, "layer_types": getattr(config, "layer_types", None)}  # type: ignore[union-attr]
    if (types := before["layer_types"]) is None:
        del before["layer_types"]
    else:
        config.layer_types = [types[number] for number in numbers]  # type: ignore[union-attr, index]
    config.num_hidden_layers = len(numbers)  # type: ignore[union-attr]
    return before


def keep_layers(backbone: nn.Module, numbers: Sequence[int]) -> None:
    """Drops all layers but the given ones, in the given order.

    Raises:
        TransferlabError: The encoder has no such layer, or no separate layers.
    """
    name, layers = layer_list(backbone)
    if layers is None:
        raise TransferlabError("encoder.keep_layers: this encoder has no separate layers.")
    if bad := [number for number in numbers if not 0 <= number < len(layers)]:
        raise TransferlabError(f"encoder.keep_layers: no layer {bad[0]}; there are 0 to {len(layers) - 1}.")
    parent, _, leaf = name.rpartition(".")
    setattr(backbone.get_submodule(parent), leaf, nn.ModuleList(layers[number] for number in numbers))
    tell_layers(backbone, numbers)


def drop_top_layer(backbone: nn.Module) -> bool:
    """Drops the top layer where only what is below it is read: parameters in it would get no gradient.

    Returns:
        False where layers cannot be told apart, and so nothing was dropped.

    Raises:
        TransferlabError: There is only one layer.
    """
    _, layers = layer_list(backbone)
    if layers is None:
        return False
    if len(layers) < 2:
        raise TransferlabError("encoder.layers: second_to_last needs two layers, this encoder has 1.")
    keep_layers(backbone, range(len(layers) - 1))
    for norm in ABOVE:
        if hasattr(backbone, norm):
            # it belongs to the output of the layer that is gone
            setattr(backbone, norm, nn.Identity())
    return True


def trainable(module: nn.Module) -> Iterator[Named]:
    """The trainable parameters."""
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)
