"""Work of a frozen module, done once for all rows instead of in every epoch."""

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from transferlab.ground.progress import counted
from transferlab.learning.cache import (
    RowArray,
    Store,
    Work,
    drop_damaged,
    fingerprint,
    obstacle,
    others,
    place,
    row_array,
)
from transferlab.tasks import Batch, TaskDataModule
from transferlab.tasks.batch import EncodedSplit

Parts = list[tuple[str, Any]]
"""Splits and row numbers in them."""
Taken = tuple[RowArray, Any]
CHUNK = 512
"""Rows that are copied at once from one array to another."""


class Values(NamedTuple):
    """What a frozen module gives for each row.

    Attributes:
        field: Field of the batch that it is put into.
        width: Numbers in one vector.
        lengths: Vectors for each row of a split; None for one vector a row.
        key: What decides the values beside the rows: modules, settings.
        compute: Gives the values of a batch, ``[batch, ...]`` or padded ``[batch, longest, ...]``.
    """

    field: str
    width: int
    lengths: Callable[[EncodedSplit], Any]
    key: tuple[Any, ...]
    compute: Callable[[Batch], Tensor]


def pays(depth: int, layers: int, epochs: int) -> bool:
    """Whether to keep the output of the lowest `depth` layers: that must save a tenth of the work of the run.

    A layer that learns costs three times a frozen one, forward and twice backward; the first epoch saves nothing.
    """
    return depth / (depth + 3 * (layers - depth)) * (1 - 1 / max(epochs, 1)) >= 0.1


def keep(data: TaskDataModule, work: Work, values: Values, parts: Parts, view: TaskDataModule | None = None) -> str:
    """Computes values for some rows, or reads them, and attaches them to the data.

    Rows that were computed for other runs before, such as those of another seed or a smaller part of the training
    examples, are taken over.

    Args:
        data: The rows.
        work: How it is to be done.
        values: What is computed.
        parts: The rows.
        view: The same rows as the frozen module reads them, where it has a tokenizer of its own.

    Returns:
        What was done, in words; nothing is attached where there is no room or `cache.enabled` is false.
    """
    if not work.config.enabled:
        return f"{values.field} in every step: cache.enabled is false"
    source = view or data
    wanted: dict[str, Any] = {}
    for split, rows in parts:
        wanted[split] = np.union1d(wanted.get(split, rows[:0]), rows)
    key = fingerprint(values.field, str(work.autocast), *values.key)
    stores = {split: _store(source.encoded(split), rows, key, work, values) for split, rows in wanted.items()}
    for store, _ in stores.values():
        drop_damaged(store)
    if problem := obstacle(stores.values(), work.config.limit_gb):
        return f"{values.field} in every step: {problem}"
    known = all(store.path.exists() for store, _ in stores.values())
    started, size, anew = time.perf_counter(), 0.0, 0
    for split, rows in wanted.items():
        encoded = source.encoded(split)
        lengths, store = values.lengths(encoded), stores[split][0]
        there = store.path.exists()
        taken, missing = ([], rows) if there else _taken(encoded, rows, lengths, store, key)
        anew += 0 if there else len(missing)
        batches = partial(_all, source, split, missing, taken, work, values)
        kept = row_array(store, encoded, rows, lengths, batches)
        data.attach(values.field, split, kept)
        size += kept.size_mb
    count = sum(map(len, wanted.values()))
    part = "" if anew == count else f"{anew:,} of them "
    how = f"{part}computed in {time.perf_counter() - started:.1f} s" if anew and not known else "read from disk"
    return f"{values.field} of {count:,} examples, {how}, {size:,.0f} MB"


def _store(split: EncodedSplit, rows: Any, key: str, work: Work, values: Values) -> tuple[Store, int]:
    lengths = values.lengths(split)
    vectors = len(rows) if lengths is None else int(lengths[rows].sum())
    name = _shared(split, key) + fingerprint(rows)[:16]
    return place(name, work.config, lengths is not None), vectors * values.width


def _shared(split: EncodedSplit, key: str) -> str:
    """How the names of all arrays begin that hold the same values of a split, each of some of its rows."""
    return fingerprint(split.fingerprint, key)[:24]


def _taken(split: EncodedSplit, rows: Any, lengths: Any, store: Store, key: str) -> tuple[list[Taken], Any]:
    """Arrays of earlier runs with the rows that are taken from each, and the rows that none of them has."""
    found: list[Taken] = []
    for array in others(store, _shared(split, key), split, lengths):
        there = array.place[rows] >= 0
        if there.any():
            found.append((array, rows[there]))
            rows = rows[~there]
        if not len(rows):
            break
    return found, rows


def _all(
    source: TaskDataModule, split: str, missing: Any, taken: list[Taken], work: Work, values: Values
) -> Iterator[tuple[Any, Tensor]]:
    """The values of the rows that are taken over, and of those that are computed."""
    for array, rows in taken:
        for part in np.array_split(rows, -(-len(rows) // CHUNK)):
            yield part, array.take(part)
    if len(missing):
        yield from _batches(source.loader(split, missing, packed=False), work, values)


@torch.inference_mode()
def _batches(loader: DataLoader[Batch], work: Work, values: Values) -> Iterator[tuple[Any, Tensor]]:
    # a loader draws a number at its start: a run is to be the same whether or not the values were there already
    loader.generator = torch.Generator()
    with work.computing():
        for batch in counted(loader, f"computing {values.field}"):
            yield batch.index.numpy(), values.compute(batch.to(work.device)).cpu()
