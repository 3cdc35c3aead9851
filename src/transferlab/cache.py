"""Frozen work is done once: arrays on disk, named by all that decides them."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from transferlab.tasks.batch import Batch, EncodedSplit, Ragged

Array = np.ndarray[Any, Any]
LIMIT = 4 * 2**30
"""Bytes above which an array is not cached."""


def cache_folder() -> Path:
    """``$TRANSFERLAB_CACHE``, else ``~/.cache/transferlab``."""
    return Path(os.environ.get("TRANSFERLAB_CACHE") or Path.home() / ".cache" / "transferlab")


def fingerprint(*parts: Any) -> str:
    """A name for an array: the hash of all that decides it.

    A module counts with every weight, an array with its bytes, all else with its `repr`.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            for name, value in sorted(part.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy())
        elif isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()[:32]


def cached(name: str, compute: Callable[[], Array]) -> Array:
    """Returns the array of that name, computed by the first process that asks, memory-mapped.

    It is written beside its place and renamed, so a half-written file is never read.
    """
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.npy"
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}.tmp.npy")
            np.save(temporary, compute())
            os.replace(temporary, path)
    array: Array = np.load(path, mmap_mode="r")
    return array


class RowArray(NamedTuple):
    """Values of some rows of a split: one vector each, or one for each of its words or tokens.

    Attributes:
        values: ``[rows, ...]``, or flat ``[sum of lengths, ...]``.
        place: Position of every row of the split in `values` or in `offsets`, -1 where it has none ``[split]``.
        offsets: Where each row starts in flat values, one more than rows; None for one vector a row.
    """

    values: Array
    place: Array
    offsets: Array | None

    def of(self, batch: Batch) -> Tensor:
        """The values of a batch, ``[batch, ...]`` or padded with zeros ``[batch, longest, ...]``."""
        places = self.place[batch.index.numpy()]
        if self.offsets is None:
            return torch.from_numpy(np.ascontiguousarray(self.values[places]))
        ragged = Ragged(self.values, self.offsets)
        rows = [ragged.row(place) for place in places]
        out = np.zeros((len(rows), max(map(len, rows)), *self.values.shape[1:]), dtype=self.values.dtype)
        for target, row in zip(out, rows, strict=True):
            target[: len(row)] = row
        return torch.from_numpy(out)


def row_array(
    name: str,
    split: EncodedSplit,
    rows: Array,
    lengths: Array | None,
    batches: Callable[[], "list[tuple[Array, Tensor]]"],
) -> RowArray:
    """Computes or reads values for some rows of a split.

    Args:
        name: Fingerprint.
        split: The split that the rows belong to.
        rows: Row numbers.
        lengths: Vectors per row of the split, for flat values; None for one vector a row.
        batches: Computes the values: pairs of row numbers and their values, ``[batch, ...]`` or padded
            ``[batch, longest, ...]``.
    """
    place = np.full(len(split), -1)
    place[rows] = np.arange(len(rows))
    offsets = None if lengths is None else np.concatenate([[0], np.cumsum(lengths[rows])])

    def compute() -> Array:
        values: Array | None = None
        for numbers, output in batches():
            part = output.float().cpu().numpy()
            if values is None:
                total = len(rows) if offsets is None else int(offsets[-1])
                values = np.zeros((total, *part.shape[1 if offsets is None else 2 :]), dtype=np.float32)
            if offsets is None:
                values[place[numbers]] = part
                continue
            for number, row in zip(place[numbers], part, strict=True):
                values[offsets[number] : offsets[number + 1]] = row[: offsets[number + 1] - offsets[number]]
        assert values is not None
        return values

    return RowArray(cached(name, compute), place, offsets)
