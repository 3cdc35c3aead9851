"""Batches of pretraining: rows of pieces of documents, what is to be predicted, and how much the whole step holds."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from transferlab.encoders.packing import Packing
from transferlab.tasks.batching import BucketBatchSampler

Array = np.ndarray[Any, Any]
TERMS = ("targets", "pairs", "tokens")
"""What a term of a loss is a mean over: predicted tokens, pairs of segments, real tokens."""


class Row(NamedTuple):
    """A sequence with what is to be predicted of it.

    Attributes:
        ids: Token ids that the encoder reads ``[tokens]``.
        types: Segment numbers ``[tokens]``.
        places: Positions whose token is to be predicted ``[targets]``.
        labels: The tokens to predict ``[targets]``.
        pair: Whether its second segment is a wrong one, 0 or 1; -1 where there is a single one.
        noise: A random number in [0, 1) for each target ``[targets]``.
    """

    ids: Array
    types: Array
    places: Array
    labels: Array
    pair: int
    noise: Array


class TextBatch(NamedTuple):
    """A padded or a packed batch.

    Attributes:
        input_ids: Token ids ``[rows, length]``, packed ``[1, tokens]``.
        attention_mask: 1 for tokens, 0 for padding, like `input_ids`.
        token_type_ids: Segment numbers, like `input_ids`; None for encoders that have none.
        index: Number of each row's piece ``[rows]``.
        places: Positions to predict, counted through all of `input_ids` ``[targets]``.
        labels: The tokens to predict ``[targets]``.
        pairs: Whether the second segment of a row is a wrong one, -1 without one ``[rows]``.
        noise: A random number in [0, 1) for each target ``[targets]``.
        whole: Targets, pairs and real tokens of the whole optimizer step, all its batches and processes ``[3]``.
        packing: Where each row lies in a packed batch; None where padded.
    """

    input_ids: Tensor
    attention_mask: Tensor
    token_type_ids: Tensor | None
    index: Tensor  # type: ignore[assignment]  # nobody looks up a tensor in a batch
    places: Tensor
    labels: Tensor
    pairs: Tensor
    noise: Tensor
    whole: Tensor
    packing: Packing | None = None

    def to(self, device: torch.device) -> "TextBatch":
        """The same batch on a device; from pinned memory without waiting for the copy."""
        fields = [field if field is None else field.to(device, non_blocking=True) for field in self]
        return TextBatch._make(fields)


def counts_of(rows: Sequence[Row]) -> Array:
    """Targets, pairs and real tokens of rows ``[3]``."""
    return np.array(
        [sum(len(row.places) for row in rows), sum(row.pair >= 0 for row in rows), sum(len(row.ids) for row in rows)]
    )


def collate(
    rows: Sequence[Row], index: Sequence[int], whole: Array, pad_id: int, types: bool, packed: bool
) -> TextBatch:
    """Puts rows together.

    Args:
        rows: The rows.
        index: Their numbers.
        whole: What `counts_of` gives for all rows of the step.
        pad_id: Id of the padding token.
        types: Whether the encoder reads segment numbers.
        packed: Whether the rows lie one after the other in one.
    """
    lengths = np.array([len(row.ids) for row in rows])
    longest = int(lengths.max())
    # the first place of each row
    begins = np.concatenate([[0], np.cumsum(lengths)]) if packed else np.arange(len(rows) + 1) * longest
    ids = np.full(int(begins[-1]), pad_id, dtype=np.int64)
    mask, segments = np.zeros_like(ids), np.zeros_like(ids)
    for row, begin, length in zip(rows, begins, lengths, strict=False):
        ids[begin : begin + length], segments[begin : begin + length] = row.ids, row.types
        mask[begin : begin + length] = 1
    shape = (1, -1) if packed else (len(rows), longest)
    packing = None
    if packed:
        number = np.repeat(np.arange(len(rows)), lengths)
        slots = number * longest + np.arange(len(number)) - np.repeat(begins[:-1], lengths)
        packing = Packing(torch.from_numpy(slots), torch.from_numpy(begins.astype(np.int32)), longest)
    return TextBatch(
        torch.from_numpy(ids).view(shape),
        torch.from_numpy(mask).view(shape),
        torch.from_numpy(segments).view(shape) if types else None,
        torch.tensor(index),
        torch.from_numpy(np.concatenate([row.places + begin for row, begin in zip(rows, begins, strict=False)])),
        torch.from_numpy(np.concatenate([row.labels for row in rows]).astype(np.int64)),
        torch.tensor([row.pair for row in rows]),
        torch.from_numpy(np.concatenate([row.noise for row in rows]).astype(np.float32)),
        torch.from_numpy(whole.astype(np.float32)),
        packing,
    )


class Micro(NamedTuple):
    """Rows of a batch, and those of the whole optimizer step that it is a part of.

    Attributes:
        epoch: The epoch.
        rows: Row numbers.
        step: Row numbers of all batches and processes of the step.
    """

    epoch: int
    rows: list[int]
    step: tuple[int, ...]


class StepSampler(Sampler[Micro]):
    """Batches of pieces of like length, planned as optimizer steps.

    A step has the same rows however it is divided: one process with batches of 16, one that accumulates two of 8, and
    two with batches of 8 take the same steps. They are a pure function of (seed, epoch).

    Args:
        lengths: Tokens of every row ``[rows]``.
        batch_size: Rows per batch and process.
        seed: Seed of the order.
        accumulate: Batches per step and process.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(
        self, lengths: Array, batch_size: int, seed: int = 0, accumulate: int = 1, rank: int = 0, world_size: int = 1
    ) -> None:
        self.accumulate, self.rank, self.world_size = accumulate, rank, world_size
        self.parts = accumulate * world_size
        self._steps = BucketBatchSampler(lengths, batch_size * self.parts, shuffle=True, seed=seed)
        # a last step with fewer rows than parts is left out: a process without any would be waited for
        rest = len(lengths) % (batch_size * self.parts)
        self._lost = int(0 < rest < self.parts)
        self.epoch, self._begun = 0, (0, 0)

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, start: int) -> None:
        """Leaves out the first `start` batches of this process in one epoch; it still counts as long as any other."""
        self.epoch, self._begun = epoch, (epoch, start)

    def __len__(self) -> int:
        return (len(self._steps) - self._lost) * self.accumulate

    def __iter__(self) -> Iterator[Micro]:
        begun, start = self._begun
        start = start if begun == self.epoch else 0
        self._steps.set_epoch(self.epoch)
        done = 0
        for step in self._steps.plan():
            if len(step) < self.parts:
                continue
            parts = np.array_split(step, self.parts)
            for part in parts[self.rank :: self.world_size]:
                done += 1
                if done > start:
                    yield Micro(self.epoch, part.tolist(), tuple(step.tolist()))


class Evaluation(Sampler[Micro]):
    """All rows of a part once over all processes, longest first.

    Args:
        lengths: Tokens of every row ``[rows]``.
        batch_size: Rows per batch.
        rank: Number of this process.
        world_size: Number of processes.
    """

    def __init__(self, lengths: Array, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self._batches = BucketBatchSampler(lengths, batch_size, shuffle=False, rank=rank, world_size=world_size)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Micro]:
        for rows in self._batches:
            yield Micro(0, rows, tuple(rows))


class View(Dataset[TextBatch]):
    """Makes the batch of what a sampler names.

    Args:
        rows: Makes a row from epoch and number.
        lengths: Tokens of every row ``[rows]``.
        settings: Arguments of `collate` behind the counts.
    """

    def __init__(self, rows: Any, lengths: Array, settings: dict[str, Any]) -> None:
        self.rows, self.lengths, self.settings = rows, lengths, settings
        self._step: tuple[Any, Array] = (None, np.zeros(3))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, micro: Micro) -> TextBatch:
        rows = [self.rows(micro.epoch, number) for number in micro.rows]
        return collate(rows, micro.rows, self._whole(micro, rows), **self.settings)

    def _whole(self, micro: Micro, rows: Sequence[Row]) -> Array:
        """Counts of the whole step: rows of other batches and processes are made again, since they are functions."""
        if len(micro.step) == len(micro.rows):
            return counts_of(rows)
        key = (micro.epoch, micro.step)
        if self._step[0] != key:
            self._step = key, counts_of([self.rows(micro.epoch, number) for number in micro.step])
        return self._step[1]
