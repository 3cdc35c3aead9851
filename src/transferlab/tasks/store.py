"""Tokenised splits on disk, so that a second start reads token ids without reading text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.tasks.encoded import EncodedSplit, Ragged
from transferlab.tasks.kept import once, whole

Rows = np.ndarray[Any, Any]
FACTS = ("pad_id", "fingerprint", "origin", "names", "version", "weighted", "facts", "left")
RAGGED = ("ids", "types", "words", "windows", "ranges", "spots", "golds", "texts")
PLAIN = ("labels", "contexts")
"""Arrays that may have a value a row."""


def stored(name: str, compute: Callable[[], EncodedSplit]) -> EncodedSplit:
    """Returns the split of that name, memory-mapped; the first process that asks computes it."""
    if (split := read(name)) is None:
        once(name, lambda: _pack(compute()))
        split = read(name)
        assert split is not None
    return split


def read(name: str) -> EncodedSplit | None:
    """Returns the split of that name, memory-mapped; None where there is none as it was written."""
    if (folder := whole(name)) is None:
        return None
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    parts: dict[str, Any] = {}
    for field in (*RAGGED, *PLAIN):
        values, offsets = _load(folder, field), _load(folder, f"{field}_offsets")
        parts[field] = values if offsets is None else Ragged(values, offsets)
    return EncodedSplit(**parts, **{**facts, "names": tuple(facts["names"])})


def _load(folder: Path, name: str) -> Any:
    path = folder / f"{name}.npy"
    return np.load(path, mmap_mode="r") if path.is_file() else None


def _pack(split: EncodedSplit) -> tuple[dict[str, Any], dict[str, Rows]]:
    arrays: dict[str, Rows] = {}
    for field in (*RAGGED, *PLAIN):
        value = getattr(split, field)
        if isinstance(value, Ragged):
            arrays[f"{field}_offsets"] = value.offsets
            value = value.values
        if value is not None:
            # class numbers, token ids and positions fit into 32 bits
            arrays[field] = value.astype(np.int32) if value.dtype == np.int64 else value
    return {key: getattr(split, key) for key in FACTS}, arrays
