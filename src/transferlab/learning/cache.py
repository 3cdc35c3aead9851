"""Frozen work is done once: arrays on disk, memory-mapped, named by all that decides them."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor, nn

from transferlab.config.places import cache_folder
from transferlab.ground import intact
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.tasks.batch import Batch, EncodedSplit, Ragged

Array = np.ndarray[Any, Any]
ROWS = ".rows.npy"
"""Ends the name of the file beside an array that tells which rows it is of."""
SUMS = ".sums.json"
"""Ends the name of the file beside both that tells how they were written."""
Batches = Callable[[], Iterable[tuple[Array, Tensor]]]
"""Computes values: pairs of row numbers and their values, ``[batch, ...]`` or padded ``[batch, longest, ...]``."""


@dataclass(frozen=True)
class CacheConfig:
    """Whether and how the output of frozen layers is cached on disk.

    Attributes:
        enabled: False: the frozen part runs in every step.
        precision: Numbers on disk: ``32``, ``16`` (float16) or ``bf16``; ``auto``: 32 for one vector an
            example, 16 where every token has one.
        limit_gb: What would take more (GB of 2**30 bytes) is not cached; nor is what the disk has no room for.
    """

    enabled: bool = True
    precision: Literal["auto", "32", "16", "bf16"] = "auto"
    limit_gb: float = 8.0

    def __post_init__(self) -> None:
        at_least(0, cache__limit_gb=self.limit_gb)


class Work(NamedTuple):
    """How frozen work is to be done.

    Attributes:
        config: Whether and how it is kept.
        device: Where the frozen module runs.
        autocast: Type that it computes in; None: float32.
        epochs: How often training will see each row, so whether keeping the work pays.
    """

    config: CacheConfig = CacheConfig()
    device: torch.device = torch.device("cpu")
    autocast: torch.dtype | None = None
    epochs: int = 2

    def computing(self) -> torch.autocast:
        """The context in which the frozen module runs."""
        return torch.autocast(self.device.type, dtype=self.autocast, enabled=self.autocast is not None)


class Store(NamedTuple):
    """Where values go and in which precision.

    Attributes:
        path: The file.
        precision: ``32``, ``16`` or ``bf16``.
    """

    path: Path
    precision: str


def fingerprint(*parts: Any) -> str:
    """A name for an array: the hash of all that decides it.

    A module counts with every weight, an array with its bytes, all else with its `repr`.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, nn.Module):
            for name, value in sorted(part.state_dict().items()):
                digest.update(name.encode())
                digest.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
        elif isinstance(part, np.ndarray):
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()[:32]


def place(name: str, config: CacheConfig, ragged: bool) -> Store:
    """Where the values of that name belong; `ragged`: one vector for each token or word."""
    precision = config.precision
    if precision == "auto":
        precision = "16" if ragged else "32"
    return Store(cache_folder() / f"{name}-{precision}.npy", precision)


def obstacle(stores: Iterable[tuple[Store, int]], limit_gb: float) -> str:
    """Why values cannot be kept, in words; empty where they can, or are there already.

    Args:
        stores: Each with the number of values it is to hold.
        limit_gb: Size that must not be exceeded.
    """
    size = sum(values * (4 if store.precision == "32" else 2) for store, values in stores if not store.path.exists())
    if size > limit_gb * 2**30:
        return f"{size / 2**30:.1f} GB exceed cache.limit_gb {limit_gb:g}"
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    if size > (free := shutil.disk_usage(folder).free) * 0.9:
        return f"{size / 2**30:.1f} GB do not fit on the disk of {folder} ({free / 2**30:.1f} GB free)"
    return ""


class RowArray(NamedTuple):
    """Values of some rows of a split: one vector each, or one for each of its words or tokens.

    Attributes:
        values: ``[rows, ...]``, or flat ``[sum of lengths, ...]``; bfloat16 as its bits in uint16.
        place: Position of every row of the split in `values` or in `offsets`, -1 where it has none ``[split]``.
        offsets: Where each row starts in flat values, one more than rows; None for one vector a row.
    """

    values: Array
    place: Array
    offsets: Array | None

    @property
    def name(self) -> str:
        """Fingerprint of the values: the name of their file."""
        return Path(str(getattr(self.values, "filename", ""))).stem

    @property
    def size_mb(self) -> float:
        """Size on disk in MB of 2**20 bytes."""
        return float(self.values.nbytes) / 2**20

    def of(self, batch: Batch) -> Tensor:
        """The values of a batch in float32, ``[batch, ...]`` or padded with zeros ``[batch, longest, ...]``."""
        return self.take(batch.index.numpy())

    def take(self, rows: Array) -> Tensor:
        """The values of some rows of the split, as `of` gives them."""
        places = self.place[rows]
        if self.offsets is None:
            return _decoded(np.ascontiguousarray(self.values[places]))
        ragged = Ragged(self.values, self.offsets)
        found = [ragged.row(place) for place in places]
        out = np.zeros((len(found), max(map(len, found)), *self.values.shape[1:]), dtype=self.values.dtype)
        for target, row in zip(out, found, strict=True):
            target[: len(row)] = row
        return _decoded(out)


def row_array(store: Store, split: EncodedSplit, rows: Array, lengths: Array | None, batches: Batches) -> RowArray:
    """Computes or reads values for some rows of a split.

    The first process that asks computes them while others wait. They are written beside their place, straight to disk,
    and renamed, so a half-written file is never read.

    Args:
        store: Where they are kept.
        split: The split that the rows belong to.
        rows: Row numbers.
        lengths: Vectors per row of the split, for flat values; None for one vector a row.
        batches: Computes the values.

    Raises:
        TransferlabError: Values too large for 16 bits.
    """
    place, offsets = _laid_out(rows, len(split), lengths)
    store.path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(store.path.with_suffix(".lock")):
        if not store.path.exists():
            # only the holder of the lock gets here, so what a killed process left is written over
            temporary = store.path.with_suffix(".tmp")
            try:
                _write(temporary, store.precision, place, offsets, batches, len(rows))
                os.replace(temporary, store.path)
                # last, so that whoever finds it finds the values
                with open(temporary, "wb") as file:
                    np.save(file, rows)
                os.replace(temporary, store.path.with_suffix(ROWS))
                temporary.write_text(json.dumps(intact.sums([store.path, store.path.with_suffix(ROWS)])))
                os.replace(temporary, store.path.with_suffix(SUMS))
            finally:
                temporary.unlink(missing_ok=True)
    return RowArray(np.load(store.path, mmap_mode="r"), place, offsets)


def drop_damaged(store: Store) -> None:
    """Removes values that are no longer as they were written, so that they are computed anew."""
    if store.path.exists():
        with FileLock(store.path.with_suffix(".lock")):
            if store.path.exists() and not _is_whole(store.path):
                store.path.unlink()


def _is_whole(path: Path) -> bool:
    note = path.with_suffix(SUMS)
    # values of earlier versions have none
    return not note.exists() or intact.as_noted(note)


def others(store: Store, shared: str, split: EncodedSplit, lengths: Array | None) -> Iterator[RowArray]:
    """Values of other rows of a split that were computed before, in the same way.

    Args:
        store: Where the values of the wanted rows belong.
        shared: How the names of all begin.
        split: The split that the rows belong to.
        lengths: As in `row_array`.
    """
    for path in sorted(store.path.parent.glob(f"{shared}*-{store.precision}{ROWS}")):
        place = path.with_name(path.name.removesuffix(ROWS) + ".npy")
        if not _is_whole(place):
            continue
        try:
            rows = np.load(path)
            values = np.load(place, mmap_mode="r")
        except (OSError, ValueError):
            # deleted or cut off by somebody else: what it held is computed anew
            continue
        yield RowArray(values, *_laid_out(rows, len(split), lengths))


def _laid_out(rows: Array, count: int, lengths: Array | None) -> tuple[Array, Array | None]:
    """The place of every row of a split among the given ones, and where each of these starts."""
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    return place, None if lengths is None else np.concatenate([[0], np.cumsum(lengths[rows])])


def _write(path: Path, precision: str, place: Array, offsets: Array | None, batches: Batches, count: int) -> None:
    values: np.memmap[Any, Any] | None = None
    for numbers, output in batches():
        part = _encoded(output, precision)
        if values is None:
            shape = (count, *part.shape[1:]) if offsets is None else (int(offsets[-1]), *part.shape[2:])
            values = np.lib.format.open_memmap(path, mode="w+", dtype=part.dtype, shape=shape)
        if offsets is None:
            values[place[numbers]] = part
            continue
        for number, row in zip(place[numbers], part, strict=True):
            values[offsets[number] : offsets[number + 1]] = row[: offsets[number + 1] - offsets[number]]
    assert values is not None
    values.flush()


def _encoded(output: Tensor, precision: str) -> Array:
    values = output.detach().cpu()
    if precision == "bf16":
        return values.bfloat16().view(torch.int16).numpy().view(np.uint16)
    if precision == "32":
        return values.float().numpy()
    half = values.half()
    if not torch.isfinite(half).all() and torch.isfinite(values).all():
        raise TransferlabError(
            f"cache.precision: values up to {values.abs().max():.3g} do not fit into float16; use bf16 or 32."
        )
    return half.numpy()


def _decoded(values: Array) -> Tensor:
    if values.dtype == np.uint16:
        return torch.from_numpy(values.view(np.int16)).view(torch.bfloat16).float()
    return torch.from_numpy(values).float()
