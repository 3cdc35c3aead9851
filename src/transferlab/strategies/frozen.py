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
from transferlab.learning.cache import Store, Work, fingerprint, obstacle, place, row_array
from transferlab.tasks import Batch, TaskDataModule
from transferlab.tasks.batch import EncodedSplit

Parts = list[tuple[str, Any]]
"""Splits and row numbers in them."""


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
    if problem := obstacle(stores.values(), work.config.limit_gb):
        return f"{values.field} in every step: {problem}"
    known = all(store.path.exists() for store, _ in stores.values())
    started, size = time.perf_counter(), 0.0
    for split, rows in wanted.items():
        encoded = source.encoded(split)
        batches = partial(_batches, source.loader(split, rows, packed=False), work, values)
        kept = row_array(stores[split][0], encoded, rows, values.lengths(encoded), batches)
        data.attach(values.field, split, kept)
        size += kept.size_mb
    how = "read from disk" if known else f"computed in {time.perf_counter() - started:.1f} s"
    return f"{values.field} of {sum(map(len, wanted.values())):,} examples, {how}, {size:,.0f} MB"


def _store(split: EncodedSplit, rows: Any, key: str, work: Work, values: Values) -> tuple[Store, int]:
    lengths = values.lengths(split)
    vectors = len(rows) if lengths is None else int(lengths[rows].sum())
    name = fingerprint(split.fingerprint, rows, key)
    return place(name, work.config, lengths is not None), vectors * values.width


@torch.inference_mode()
def _batches(loader: DataLoader[Batch], work: Work, values: Values) -> Iterator[tuple[Any, Tensor]]:
    with work.computing():
        for batch in counted(loader, f"computing {values.field}"):
            yield batch.index.numpy(), values.compute(batch.to(work.device)).cpu()
