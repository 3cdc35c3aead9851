"""Attention heads of an encoder: which there are, and an encoder without some of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from transferlab.encoders.layers import layer_list
from transferlab.ground.errors import TransferlabError


class Parts(NamedTuple):
    """Where a layer of an encoder family keeps its attention, as paths from the layer.

    Attributes:
        read: The projections to queries, keys and values; a head is a block of their rows.
        out: The projection of all heads together; a head is a block of its columns.
        holder: The module that computes the heads.
        number: Its attribute with how many there are.
    """

    read: tuple[str, str, str]
    out: str
    holder: str
    number: str


_BERT = Parts(
    ("attention.self.query", "attention.self.key", "attention.self.value"),
    "attention.output.dense",
    "attention.self",
    "num_attention_heads",
)
FAMILIES: dict[str, Parts] = {
    **dict.fromkeys(("bert", "roberta", "xlm-roberta", "camembert", "electra"), _BERT),
    "mpnet": Parts(
        ("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        "attention.attn.o",
        "attention.attn",
        "num_attention_heads",
    ),
    "distilbert": Parts(
        ("attention.q_lin", "attention.k_lin", "attention.v_lin"), "attention.out_lin", "attention", "n_heads"
    ),
}
"""Model type of transformers to where its heads are."""


class Attention(NamedTuple):
    """The attention of a layer.

    Attributes:
        layer: The layer.
        parts: Where things are in it.
        heads: Their number.
    """

    layer: nn.Module
    parts: Parts
    heads: int

    @property
    def out(self) -> nn.Linear:
        """The projection of all heads together, which reads ``[batch, length, heads * width]``."""
        found = self.layer.get_submodule(self.parts.out)
        assert isinstance(found, nn.Linear)
        return found

    @property
    def width(self) -> int:
        """Of a head."""
        return self.out.in_features // self.heads


def attentions(backbone: nn.Module) -> list[Attention]:
    """The attention of each layer, from the bottom.

    Raises:
        TransferlabError: An encoder of another family, or projections that are no plain linear layers.
    """
    kind = str(getattr(getattr(backbone, "config", None), "model_type", type(backbone).__name__))
    parts, (_, layers) = FAMILIES.get(kind), layer_list(backbone)
    if parts is None or layers is None:
        raise TransferlabError(
            f"encoder.keep_heads: heads of {kind} cannot be dropped; those of {', '.join(FAMILIES)} can."
        )
    for layer in layers:
        for path in (*parts.read, parts.out):
            there = type(layer.get_submodule(path))
            if there is not nn.Linear:
                raise TransferlabError(
                    f"encoder.keep_heads: {path} is a {there.__name__}, which was put into the encoder and "
                    "has no heads of its own. Drop heads first, with encoder.keep_heads in the experiment, or name a "
                    "run of full fine-tuning."
                )
    return [Attention(layer, parts, int(getattr(layer.get_submodule(parts.holder), parts.number))) for layer in layers]


def keep_heads(backbone: nn.Module, numbers: Sequence[Sequence[int]]) -> None:
    """Drops all heads but the given ones: the projections become narrower matrices, nothing is masked.

    Args:
        backbone: The encoder, changed in place.
        numbers: For each layer the heads to keep, from 0.

    Raises:
        TransferlabError: Another number of layers, a head that there is not, or a layer without any.
    """
    found = attentions(backbone)
    if len(numbers) != len(found):
        raise TransferlabError(f"encoder.keep_heads: {len(numbers)} layers are named, the encoder has {len(found)}.")
    for place, (attention, kept) in enumerate(zip(found, numbers, strict=True)):
        if not kept or len(set(kept)) < len(kept) or not all(0 <= head < attention.heads for head in kept):
            raise TransferlabError(
                f"encoder.keep_heads: layer {place} has the heads 0 to {attention.heads - 1}, and needs one of them; "
                f"{list(kept)} are named."
            )
        if len(kept) < attention.heads:
            _narrow(attention, torch.tensor(sorted(kept)))


def _narrow(attention: Attention, kept: Tensor) -> None:
    layer, parts, width = attention.layer, attention.parts, attention.width
    rows = (kept[:, None] * width + torch.arange(width)).flatten()
    for path in parts.read:
        _replace(layer, path, rows, 0)
    _replace(layer, parts.out, rows, 1)
    holder: Any = layer.get_submodule(parts.holder)
    setattr(holder, parts.number, len(kept))
    if hasattr(holder, "all_head_size"):
        holder.all_head_size = len(rows)
    if parts is FAMILIES["mpnet"]:
        holder.register_forward_pre_hook(_Bias(kept.tolist()))


def _replace(layer: nn.Module, path: str, index: Tensor, axis: int) -> None:
    old = layer.get_submodule(path)
    assert isinstance(old, nn.Linear)
    weight = old.weight.detach().index_select(axis, index.to(old.weight.device))
    new = nn.Linear(weight.shape[1], weight.shape[0], bias=old.bias is not None, device=weight.device).to(weight.dtype)
    new.weight = nn.Parameter(weight, requires_grad=old.weight.requires_grad)
    if old.bias is not None:
        bias = old.bias.detach()
        bias = bias.index_select(0, index.to(bias.device)) if axis == 0 else bias.clone()
        new.bias = nn.Parameter(bias, requires_grad=old.bias.requires_grad)
    parent, _, leaf = path.rpartition(".")
    setattr(layer.get_submodule(parent), leaf, new)


class _Bias:
    """Gives the attention of a layer of MPNet the biases of its own heads: they are computed once, for all layers."""

    def __init__(self, kept: list[int]) -> None:
        self.kept = kept

    def __call__(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        states, mask, bias, *others = given
        return (states, mask, None if bias is None else bias[:, self.kept], *others)
