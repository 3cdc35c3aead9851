"""Packed rows: several sequences one after the other in a single row, each attending to itself only."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from transferlab.encoders.config import Pooling
from transferlab.encoders.one_way import FAMILIES as ONE_WAY
from transferlab.ground.errors import TransferlabError

ATTENTION = "transferlab_packed"
"""Name of the attention function in transformers' register."""
FAMILIES = frozenset(
    {"albert", "bert", "camembert", "distilbert", "electra", "modernbert", "roberta", "xlm-roberta"},
)
"""Architectures (`config.model_type`) that read packed rows: their attention goes through transformers' register."""


class Packing(NamedTuple):
    """Where the sequences of a packed row ``[1, tokens]`` begin and end.

    All of it is computed on the CPU together with the batch, so that the forward never waits for the device.

    Attributes:
        slots: Place of each token in the padded form ``[sequences, longest]``, counted through ``[tokens]``.
        cu_seqlens: Where each sequence begins, and the end ``[sequences + 1]``, int32 as kernels want it. Empty
            sequences are allowed.
        longest: No sequence is longer; a Python number, and the same for all batches of one shape.
    """

    slots: Tensor
    cu_seqlens: Tensor
    longest: int

    def to(self, device: torch.device, non_blocking: bool = False) -> "Packing":
        """The same on a device."""
        ends = self.cu_seqlens.to(device, non_blocking=non_blocking)
        return Packing(self.slots.to(device, non_blocking=non_blocking), ends, self.longest)

    @property
    def position_ids(self) -> Tensor:
        """Position of each token in its own sequence, from 0 ``[1, tokens]``."""
        return (self.slots % self.longest)[None]

    @property
    def sequences(self) -> Tensor:
        """Number of the sequence that each token belongs to ``[tokens]``."""
        return self.slots // self.longest

    @property
    def lengths(self) -> Tensor:
        """Tokens of each sequence ``[sequences]``."""
        return self.cu_seqlens.diff()

    @property
    def mask(self) -> Tensor:
        """True for tokens in the padded form ``[sequences, longest]``."""
        return torch.arange(self.longest, device=self.slots.device) < self.lengths[:, None]

    def pad(self, tokens: Tensor) -> Tensor:
        """Spreads ``[tokens, ...]`` to ``[sequences, longest, ...]``, with zeros behind the end of each sequence."""
        rows = len(self.cu_seqlens) - 1
        # scattered, not gathered: each slot has one source, so the gradient is a plain lookup
        flat = tokens.new_zeros(rows * self.longest, *tokens.shape[1:]).index_copy(0, self.slots, tokens)
        return flat.view(rows, self.longest, *tokens.shape[1:])

    def unpad(self, padded: Tensor) -> Tensor:
        """Takes ``[sequences, longest, ...]`` back to ``[tokens, ...]``."""
        return padded.flatten(0, 1).index_select(0, self.slots)


def enable_packing(backbone: nn.Module) -> None:
    """Lets an encoder read packed rows; padded batches go through it as before.

    Args:
        backbone: A transformers encoder, adapters inside it included. Changed in place; a second call does nothing.

    Raises:
        TransferlabError: It cannot read packed rows.
    """
    from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
    from transformers.masking_utils import sdpa_mask

    family = str(backbone.config.model_type)  # type: ignore[union-attr]
    if not isinstance(backbone, PreTrainedModel) or family not in FAMILIES:
        why = {
            "bilstm": "a BiLSTM reads its rows one token after the other",
            **dict.fromkeys(ONE_WAY, f"{family} reads from left to right"),
            "mpnet": "mpnet adds a bias for the distance of two tokens, which it takes from their places in the row",
        }.get(family, f"{family} computes its attention by itself")
        if family in FAMILIES:
            why = "prompt tuning puts its prompt in front of each row"
        raise TransferlabError(
            f"data.packed: {why}, so it cannot read packed rows; set data.packed: false, or choose one of "
            f"{', '.join(sorted(FAMILIES))} with another model.method than prompt tuning."
        )
    if backbone.config._attn_implementation != ATTENTION:
        AttentionInterface.register(ATTENTION, packed_attention)
        # the mask of padded batches; packed rows bring a finished one, which transformers hands through
        AttentionMaskInterface.register(ATTENTION, sdpa_mask)
        backbone.set_attn_implementation(ATTENTION)


def packed_inputs(backbone: nn.Module, packing: Packing) -> dict[str, Any]:
    """What a backbone wants to know of a packed row beside its token ids."""
    mask = packing.mask
    # a query without any key would be 0/0, so the queries of empty sequences see a zero
    mask[:, 0] = True
    return {
        "position_ids": packing.position_ids + _first_position(backbone),
        # four dimensions: transformers takes such a mask as finished
        "attention_mask": mask[:, None, None, :],
        "packing": packing,
    }


def _first_position(backbone: nn.Module) -> int:
    """RoBERTa and its relatives count positions from behind the padding index."""
    table = getattr(getattr(backbone, "embeddings", None), "position_embeddings", None)
    padding = getattr(table, "padding_idx", None)
    return 0 if padding is None else padding + 1


def packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    packing: Packing | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    """Attention of each sequence of a packed row to itself.

    On CUDA in half precision a variable-length flash kernel reads the row as it is. That kernel knows no dropout on
    attention weights, so where there is some (training with `encoder.attention_dropout` above 0), and everywhere else,
    queries, keys and values alone are spread to padded rows and torch's own attention runs on them with a key mask.

    Args:
        module: The attention layer.
        query: ``[1, heads, tokens, width]``.
        key: ``[1, heads, tokens, width]``.
        value: ``[1, heads, tokens, width]``.
        attention_mask: The key mask of the padded form ``[sequences, 1, 1, longest]``.
        dropout: Dropout probability of attention weights; 0 in evaluation.
        scaling: Factor of the scores.
        packing: Where the sequences lie; None for a padded batch, which gets transformers' own attention.
        options: What else transformers tells an attention function.

    Returns:
        ``[1, tokens, heads, width]``, and None where others return weights.
    """
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if packing is None:
        output, _ = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return output, None
    # layers with a window say so here; its reach is in the configuration, where transformers' own mask reads it
    reach = None if options.get("sliding_window") is None else int(module.config.sliding_window)  # type: ignore[arg-type, union-attr]
    q, k, v = (states[0].transpose(0, 1) for states in (query, key, value))
    kernel = varlen_kernel()
    if kernel is not None and dropout == 0 and q.is_cuda and q.dtype in {torch.float16, torch.bfloat16}:
        ends, longest = packing.cu_seqlens, packing.longest
        window = (-1, -1) if reach is None else (reach, reach)
        out = kernel(q, k, v, ends, ends, longest, longest, scale=scaling, window_size=window)
        return out.unsqueeze(0), None
    assert attention_mask is not None
    mask = attention_mask if reach is None else _window(attention_mask, reach)
    q, k, v = (packing.pad(states).transpose(1, 2) for states in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scaling)
    return packing.unpad(out.transpose(1, 2)).unsqueeze(0), None


def _window(mask: Tensor, reach: int) -> Tensor:
    """Keys that are no further than `reach` from the query ``[sequences, 1, longest, longest]``."""
    places = torch.arange(mask.shape[-1], device=mask.device)
    distance = (places[:, None] - places).abs()
    # a query far behind the end of its sequence keeps itself: without any key it would be 0/0
    return mask & (distance <= reach) | (distance == 0)


@functools.cache
def varlen_kernel() -> Callable[..., Tensor] | None:
    """Torch's variable-length flash attention, where it is new enough to know a window and a scale."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    known = inspect.signature(varlen_attn).parameters
    return cast(Callable[..., Tensor], varlen_attn) if {"scale", "window_size"} <= known.keys() else None


def pool_packed(tokens: Tensor, packing: Packing, how: Pooling) -> Tensor:
    """Pools a packed row ``[1, tokens, hidden]`` to one vector for each sequence ``[sequences, hidden]``.

    The mean is summed in float32. Sequences without tokens get a vector that nobody is to read.
    """
    row, count = tokens[0], len(packing.cu_seqlens) - 1
    if how == "cls":
        # an empty sequence at the end begins behind the last token
        return row.index_select(0, packing.cu_seqlens[:-1].clamp(max=len(row) - 1))
    if how == "last":
        return row.index_select(0, (packing.cu_seqlens[1:] - 1).clamp(min=0))
    if how == "max":
        places = packing.sequences[:, None].expand_as(row)
        return row.new_zeros(count, row.shape[1]).scatter_reduce(0, places, row, "amax", include_self=False)
    sums = row.new_zeros(count, row.shape[1], dtype=torch.float32).index_add(0, packing.sequences, row.float())
    return (sums / packing.lengths.clamp(min=1)[:, None]).to(row.dtype)
