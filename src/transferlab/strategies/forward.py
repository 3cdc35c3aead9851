"""What of a batch goes into the encoder, and how its tokens become words and documents."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.tasks import Batch
from transferlab.tasks.decoding import constrained_decode


def encoder_inputs(batch: Batch) -> dict[str, Any]:
    """What of a batch the encoder reads."""
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    others = {"token_type_ids": batch.token_type_ids, "packing": batch.packing}
    return inputs | {name: value for name, value in others.items() if value is not None}


def first_pieces(tokens: Tensor, words: Tensor) -> Tensor:
    """Vectors of the first piece of each word.

    Args:
        tokens: ``[batch, length, hidden]``; a packed row ``[1, tokens, hidden]`` serves the whole batch.
        words: Positions ``[batch, words]``; below 0 for words that were cut off, which get the first vector of their
            own sequence: no prediction is read there, but an LSTM passes by.

    Returns:
        ``[batch, words, hidden]``.
    """
    if len(tokens) < len(words):
        return first_pieces(tokens, words.view(1, -1)).view(*words.shape, -1)
    index = torch.where(words < 0, -1 - words, words).unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
    return tokens.gather(1, index)


def document_mean(rows: Tensor, documents: Tensor, weights: Tensor | None = None) -> Tensor:
    """Means of the rows of each document, ``sum_r w_r x_r / sum_r w_r``.

    Args:
        rows: ``[rows, width]`` or ``[rows]``.
        documents: The document of each row, ``[rows]``.
        weights: How much each row counts ``[rows]``; None: all alike.

    Returns:
        ``[batch, width]`` or ``[batch]``.
    """
    shares = (torch.ones_like(documents) if weights is None else weights).to(rows.dtype)
    shares = shares.view(-1, *[1] * (rows.ndim - 1))
    count = int(documents.max()) + 1
    sums = rows.new_zeros(count, *rows.shape[1:]).index_add(0, documents, rows * shares)
    return sums / shares.new_zeros(count, *shares.shape[1:]).index_add(0, documents, shares)


def range_means(tokens: Tensor, ranges: Tensor) -> Tensor:
    """Means of ranges of token vectors, one after the other.

    Args:
        tokens: ``[batch, length, hidden]``; a packed row ``[1, tokens, hidden]`` serves the whole batch.
        ranges: First position and the one behind the last ``[batch, ranges, 2]``.

    Returns:
        ``[batch, ranges * hidden]``.
    """
    places = torch.arange(tokens.shape[1], device=tokens.device)
    start, end = ranges.unbind(-1)
    inside = ((places >= start.unsqueeze(-1)) & (places < end.unsqueeze(-1))).to(tokens.dtype)
    sums = inside @ tokens
    return (sums / (end - start).clamp(min=1).unsqueeze(-1).to(tokens.dtype)).flatten(1)


COMPARED = 4
"""Widths of a vector in what `compared` gives, beside the cosine."""


def compared(pairs: Tensor) -> Tensor:
    """How the vectors of two texts compare: ``u, v, |u - v|, u * v, cos(u, v)``, u and v brought to length one first.

    Args:
        pairs: ``[batch, 2, hidden]``.

    Returns:
        ``[batch, 4 hidden + 1]`` in float32.
    """
    u, v = F.normalize(pairs.float(), dim=-1).unbind(1)
    product = u * v
    return torch.cat([u, v, (u - v).abs(), product, product.sum(-1, keepdim=True)], -1)


def best_sequences(
    logits: Tensor, reachable: Tensor, labels: Sequence[str], outside: int, parted: bool = True
) -> Tensor:
    """The best sequence of tags that the scheme allows, for each row.

    Args:
        logits: ``[batch, words, classes]``.
        reachable: ``[batch, words]``; False for words that were cut off.
        labels: Names of the classes.
        outside: Class number of words that were cut.
        parted: Whether the scheme parts neighbours of one type, see `is_valid_transition`.

    Returns:
        Class numbers ``[batch, words]``.
    """
    classes = torch.full_like(reachable, outside, dtype=torch.long)
    for row, (scores, seen) in enumerate(zip(logits.float().cpu().numpy(), reachable.cpu().numpy(), strict=True)):
        best = constrained_decode(scores[seen], labels, parted)
        classes[row, reachable[row]] = torch.tensor(best, dtype=torch.long, device=classes.device)
    return classes
