"""What a batch of questions says of the places of its tokens in their contexts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from transferlab.tasks.encoded import EncodedSplit

Array = np.ndarray[Any, Any]


class Passages(NamedTuple):
    """What a batch of questions says beside its tensors; all of it stays where answers are read, on the processor.

    Attributes:
        segments: The window of each word, counted within its example ``[batch, words]``.
        spots: Where each word stands in its context, in characters, -1 for that of no answer ``[batch, words, 2]``.
        contexts: The text of each example.
        golds: The gold answers of each example; None without.
    """

    segments: Tensor
    spots: Tensor
    contexts: tuple[str, ...]
    golds: tuple[tuple[str, ...], ...] | None

    def to(self, *args: Any, **kwargs: Any) -> "Passages":
        """Itself, on any device."""
        return self


def in_rows(words: Tensor, windows: Sequence[Array], length: int) -> Tensor:
    """Positions through all rows of a padded batch, from positions through the windows of each example.

    Args:
        words: ``[batch, words]``, below 0 where there is none.
        windows: Lengths of the windows of each example.
        length: Length of the rows.
    """
    counts = np.array([len(own) for own in windows])
    out = words.numpy().copy()
    for target, own, before in zip(out, windows, np.cumsum(counts) - counts, strict=True):
        ends = np.cumsum(own)
        real = target >= 0
        window = np.searchsorted(ends, target[real], side="right")
        target[real] += (before + window) * length - (ends - own)[window]
    return torch.from_numpy(out)


def passages_of(split: "EncodedSplit", rows: Sequence[int]) -> Passages | None:
    """What the answers to some questions are read from; None for a split of another kind of task."""
    spots, words, windows, texts, contexts = split.spots, split.words, split.windows, split.texts, split.contexts
    if spots is None or words is None or windows is None or texts is None or contexts is None:
        return None
    widest = max(len(words.row(row)) for row in rows)
    places = np.full((len(rows), widest, 2), -1, dtype=np.int64)
    segments = np.zeros((len(rows), widest), dtype=np.int64)
    for number, row in enumerate(rows):
        own = spots.row(row).reshape(-1, 2)
        places[number, : len(own)] = own
        segments[number, : len(own)] = np.searchsorted(np.cumsum(windows.row(row)), words.row(row), side="right")
    read = tuple(texts.row(contexts[row]).tobytes().decode() for row in rows)
    golds = None
    if split.golds is not None:
        ends = [split.golds.row(row).reshape(-1, 2).tolist() for row in rows]
        golds = tuple(tuple(text[a:b] for a, b in pairs) for text, pairs in zip(read, ends, strict=True))
    return Passages(torch.from_numpy(segments), torch.from_numpy(places), read, golds)
