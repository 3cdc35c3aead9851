"""The batch that every strategy sees, and how tokenised examples become one."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from transferlab.encoders.packing import Packing
from transferlab.tasks.encoded import IGNORE as IGNORE
from transferlab.tasks.encoded import EncodedSplit as EncodedSplit
from transferlab.tasks.encoded import Ragged as Ragged
from transferlab.tasks.parts import CUT as CUT
from transferlab.tasks.passages import Passages, in_rows, passages_of
from transferlab.tasks.targets import Targets, targets_of


class Batch(NamedTuple):
    """A padded or a packed batch.

    ``rows`` equals ``batch`` except with ``truncation: windows``, where a document fills several rows, and with
    ``pairs: apart``, where the two texts of an example are the two rows of a document. Packed, all of
    them lie one after the other in a single row: ``[rows, length]`` is then ``[1, tokens]``.

    Attributes:
        input_ids: Token ids ``[rows, length]``.
        attention_mask: 1 for tokens, 0 for padding ``[rows, length]``; its sum counts the real tokens.
        token_type_ids: Segment numbers ``[rows, length]`` for encoders that have them.
        index: Row number of each example in its split ``[batch]``.
        labels: Class numbers or targets ``[batch]``; for tagging class numbers ``[batch, words]`` with -100 for
            padding; None without labels.
        words: For tagging, the position of each word's first piece in its row ``[batch, words]``; below 0 where it was
            cut off, -1 - the position where its sequence begins. For questions, positions of the tokens that may begin
            or end an answer, counted through all rows of the batch; their labels are ``4 window + flags``, 1 for the
            first and 2 for the last token of the answer, -100 in windows that are not trained on.
        word_mask: For tagging, True for real words, the cut ones included ``[batch, words]``.
        documents: For windows, the example in the batch that each row belongs to ``[rows]``.
        weights: For windows, how much each row counts in its document: its tokens ``[rows]``; None: all alike.
        teacher: Teacher logits ``[batch, classes]``, ``[batch]`` or ``[batch, words, classes]``.
        teacher_vectors: What the teacher's head reads ``[batch, hidden]`` or ``[batch, words, hidden]``.
        features: Frozen features that replace the encoder ``[batch, hidden]``, ``[batch, words, hidden]`` or for pairs
            apart ``[batch, 2, hidden]``; there are no token ids then, ``[rows, 0]``.
        states: Hidden states at the top of the frozen layers, which replace them ``[rows, length, hidden]``.
        packing: Where each of the ``rows`` lies in a packed batch; those of filling come last. None where padded.
        ranges: For relations, first position and the one behind the last of each range of tokens that the head reads
            the mean of ``[batch, ranges, 2]``.
        passages: For questions, what answers are read from.
        targets: For texts, the right outputs. Labels are then the tokens of each target ``[batch, length]``, padded on
            the right with -100; the prompts of a decoder are padded on the left.
        generate: For texts in validation, True where an output is generated ``[batch]``; None: for all.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    index: Tensor  # type: ignore[assignment]  # nobody looks up a tensor in a batch
    labels: Tensor | None = None
    words: Tensor | None = None
    word_mask: Tensor | None = None
    documents: Tensor | None = None
    weights: Tensor | None = None
    teacher: Tensor | None = None
    teacher_vectors: Tensor | None = None
    features: Tensor | None = None
    states: Tensor | None = None
    packing: Packing | None = None
    ranges: Tensor | None = None
    passages: Passages | None = None
    targets: Targets | None = None
    generate: Tensor | None = None

    @property
    def rows(self) -> int:
        """Number of sequences that belong to an example, ``rows``."""
        return len(self.index if self.documents is None else self.documents)

    @property
    def tokens(self) -> Tensor:
        """Real tokens of each example, special ones included ``[batch]``."""
        counts = self.attention_mask.sum(1) if self.packing is None else self.packing.lengths[: self.rows]
        if self.targets is not None and self.labels is not None:
            # what is written is read too
            return counts + (self.labels != IGNORE).sum(1)
        if self.documents is None:
            return counts
        return counts.new_zeros(len(self.index)).index_add(0, self.documents, counts)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; from pinned memory without waiting for the copy."""
        fields = [field if field is None else field.to(device, non_blocking=True) for field in self]
        return Batch._make(fields)


class Shape(NamedTuple):
    """A shape that packed batches are filled up to, so that a compiled encoder sees one and the same every time.

    Attributes:
        tokens: Tokens of the row.
        sequences: Sequences in it, those of filling and empty ones included.
        longest: Tokens that no sequence exceeds.
    """

    tokens: int
    sequences: int
    longest: int


def collate(split: EncodedSplit, rows: Sequence[int], ids: bool = True) -> Batch:
    """Pads the given rows to their longest into one batch; `ids` False leaves out what only an encoder reads."""
    pieces, documents = _pieces(split, split.ids, rows) if ids else ([], None)
    types = None
    if ids and split.types is not None:
        types = pad(_pieces(split, split.types, rows)[0], 0)
    words, word_mask = _words(split, rows)
    if words is not None and split.windows is not None and ids:
        words = in_rows(words, [split.windows.row(row) for row in rows], max(len(piece) for piece in pieces))
    return Batch(
        input_ids=pad(pieces, split.pad_id, bool(split.left)) if ids else torch.empty(len(rows), 0, dtype=torch.long),
        attention_mask=_mask(
            [len(p) for p in pieces] if ids else split.ids.lengths[np.asarray(rows)], bool(split.left)
        ),
        token_type_ids=types,
        index=torch.as_tensor(np.asarray(rows, dtype=np.int64)),
        labels=_labels(split, rows),
        words=words,
        word_mask=word_mask,
        documents=documents,
        weights=_weights(split, pieces),
        ranges=_ranges(split, rows),
        passages=passages_of(split, rows),
        targets=targets_of(split, rows),
    )


def pack(split: EncodedSplit, rows: Sequence[int], shape: Shape | None = None) -> Batch:
    """Lays the given rows one after the other into a packed batch.

    Args:
        split: The tokenised split.
        rows: Row numbers.
        shape: Fill up to this shape with padding tokens, in sequences of their own that nobody reads; None leaves
            the batch as long as it is.
    """
    pieces, documents = _pieces(split, split.ids, rows)
    real = np.array([len(piece) for piece in pieces])
    lengths = real if shape is None else _fill(real, shape)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    longest = int(lengths.max()) if shape is None else shape.longest
    sequences = np.repeat(np.arange(len(lengths)), lengths)
    filling = int(starts[-1] - real.sum())
    types = None
    if split.types is not None:
        types = _row([split.types.row(row) for row in rows], 0, filling)
    words, word_mask = _words(split, rows)
    if words is not None:
        # positions in the packed row; a word that was cut off still says where its own sequence begins
        first = np.arange(len(rows)) if documents is None else np.searchsorted(documents.numpy(), np.arange(len(rows)))
        begin = torch.from_numpy(starts[first][:, None])
        words = torch.where(words < 0, words - begin, words + begin)
    ranges = _ranges(split, rows)
    if ranges is not None:
        ranges = ranges + torch.from_numpy(starts[: len(rows), None, None])
    return Batch(
        input_ids=_row(pieces, split.pad_id, filling),
        attention_mask=_row([np.ones(real.sum())], 0, filling),
        token_type_ids=types,
        index=torch.as_tensor(np.asarray(rows, dtype=np.int64)),
        labels=_labels(split, rows),
        words=words,
        word_mask=word_mask,
        documents=documents,
        weights=_weights(split, pieces),
        packing=Packing(
            slots=torch.from_numpy(sequences * longest + np.arange(starts[-1]) - starts[sequences]),
            cu_seqlens=torch.from_numpy(starts.astype(np.int32)),
            longest=longest,
        ),
        ranges=ranges,
        passages=passages_of(split, rows),
    )


def _words(split: EncodedSplit, rows: Sequence[int]) -> tuple[Tensor | None, Tensor | None]:
    if split.words is None:
        return None, None
    words = pad([split.words.row(row) for row in rows], CUT)
    lengths = torch.tensor([len(split.words.row(row)) for row in rows])
    return words, torch.arange(words.shape[1]) < lengths[:, None]


def _ranges(split: EncodedSplit, rows: Sequence[int]) -> Tensor | None:
    if split.ranges is None:
        return None
    flat = np.stack([split.ranges.row(row) for row in rows]).astype(np.int64)
    return torch.from_numpy(flat).view(len(rows), -1, 2)


def _pieces(
    split: EncodedSplit, values: Ragged, rows: Sequence[int]
) -> tuple[list[np.ndarray[Any, Any]], Tensor | None]:
    if split.windows is None:
        return [values.row(row) for row in rows], None
    pieces, documents = [], []
    for position, row in enumerate(rows):
        cuts = np.cumsum(split.windows.row(row))[:-1]
        parts = np.split(values.row(row), cuts)
        pieces += parts
        documents += [position] * len(parts)
    return pieces, torch.tensor(documents)


def _weights(split: EncodedSplit, pieces: list[np.ndarray[Any, Any]]) -> Tensor | None:
    return torch.tensor([float(len(piece)) for piece in pieces]) if split.weighted and pieces else None


def _labels(split: EncodedSplit, rows: Sequence[int]) -> Tensor | None:
    if split.labels is None:
        return None
    if isinstance(split.labels, Ragged):
        return pad([split.labels.row(row) for row in rows], IGNORE)
    labels = split.labels[np.asarray(rows)]
    return torch.as_tensor(labels if labels.dtype.kind == "f" else labels.astype(np.int64))


def _mask(lengths: Any, left: bool = False) -> Tensor:
    counts = torch.as_tensor(np.asarray(lengths))
    mask = (torch.arange(int(counts.max())) < counts[:, None]).long()
    return mask.flip(1) if left else mask


def pad(rows: Sequence[np.ndarray[Any, Any]], value: int, left: bool = False) -> Tensor:
    """Stacks integer rows of unequal length into ``[rows, longest]``, filled up with `value` behind or before them."""
    out = np.full((len(rows), max(len(row) for row in rows)), value, dtype=np.int64)
    for target, row in zip(out, rows, strict=True):
        target[slice(len(target) - len(row), None) if left else slice(len(row))] = row
    return torch.from_numpy(out)


def _row(parts: Sequence[np.ndarray[Any, Any]], value: int, filling: int) -> Tensor:
    """One row ``[1, tokens]`` of all parts, and `filling` times `value`."""
    return torch.from_numpy(np.concatenate([*parts, np.full(filling, value)]).astype(np.int64))[None]


def _fill(lengths: np.ndarray[Any, Any], shape: Shape) -> np.ndarray[Any, Any]:
    """Lengths of the sequences and of the filling behind them: full ones, a rest, and empty ones."""
    full, rest = divmod(shape.tokens - int(lengths.sum()), shape.longest)
    filled = np.concatenate([lengths, np.full(full, shape.longest), [rest]])
    return np.concatenate([filled, np.zeros(shape.sequences - len(filled), dtype=np.int64)])


class Attached(Protocol):
    """Values of the rows of a split that are kept outside it."""

    @property
    def offsets(self) -> np.ndarray[Any, Any] | None:
        """Where each row starts in flat values; None for one vector a row."""

    def of(self, batch: Batch) -> Tensor:
        """The values of a batch."""


class Examples(torch.utils.data.Dataset[Batch]):
    """Some rows of a split, fetched a whole batch at a time.

    Args:
        split: The tokenised split.
        rows: Row numbers in the split, in the order of this view.
        attached: Fields of the batch that are kept outside the split: features, hidden states, teacher logits.
        collate: Makes a batch of row numbers; None: `EncodedSplit.collate`.
    """

    def __init__(
        self,
        split: EncodedSplit,
        rows: np.ndarray[Any, Any],
        attached: Mapping[str, Attached] | None = None,
        collate: Callable[[Sequence[int]], Batch] | None = None,
    ) -> None:
        self.split = split
        self.rows = rows
        self.attached = attached or {}
        # what replaces the encoder leaves it nothing to read
        self.collate = collate or partial(split.collate, ids="features" not in self.attached)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Tokens of every example of the view ``[examples]``; all the same where an example is a single vector."""
        features = self.attached.get("features")
        if features is not None and features.offsets is None:
            return np.ones(len(self.rows), dtype=np.int64)
        lengths: np.ndarray[Any, Any] = self.split.ids.lengths[self.rows]
        if self.split.left is not None and isinstance(self.split.labels, Ragged):
            lengths = lengths + self.split.labels.lengths[self.rows]
        return lengths

    def __getitem__(self, position: int) -> Batch:
        return self.__getitems__([position])

    def __getitems__(self, positions: Sequence[int]) -> Batch:
        batch = self.collate(self.rows[np.asarray(positions)])
        outside: dict[str, Any] = {field: values.of(batch) for field, values in self.attached.items()}
        return batch._replace(**outside)
