"""What a batch of texts says beside its tensors."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from transferlab.tasks.batch import Batch
    from transferlab.tasks.encoded import EncodedSplit

Array = np.ndarray[Any, Any]


class Targets(NamedTuple):
    """The right outputs of a batch of texts; they stay where outputs are read, on the processor.

    Attributes:
        references: Those of each example; None without.
    """

    references: tuple[tuple[str, ...], ...] | None

    def to(self, *args: Any, **kwargs: Any) -> "Targets":
        """Itself, on any device."""
        return self


def targets_of(split: "EncodedSplit", rows: Sequence[int]) -> Targets | None:
    """The right outputs of some rows; None for a split of another kind of task."""
    if split.left is None:
        return None
    if split.texts is None:
        return Targets(None)
    return Targets(tuple(tuple(json.loads(split.texts.row(row).tobytes())) for row in rows))


class Chosen(NamedTuple):
    """The rows of a split that an output is generated for, attached to its batches.

    Attributes:
        rows: Their numbers.
    """

    rows: Array

    @property
    def offsets(self) -> None:
        """One value a row."""
        return None

    def of(self, batch: "Batch") -> Tensor:
        """True where an output is wanted ``[batch]``."""
        return torch.from_numpy(np.isin(batch.index.numpy(), self.rows))


def chosen(rows: Array, count: int, seed: int) -> Chosen:
    """That many of some row numbers ``[rows]``, drawn by a seed; all of them where there are no more."""
    if len(rows) <= count:
        return Chosen(rows)
    return Chosen(np.random.default_rng(seed).choice(rows, count, replace=False))
