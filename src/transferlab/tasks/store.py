"""Tokenised splits on disk, so that a second start reads token ids without reading text."""

import functools
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from transferlab.config.places import cache_folder
from transferlab.tasks.batch import EncodedSplit, Ragged

VERSION = 2
"""Part of every name; to be raised when this package tokenises or stores otherwise."""
Rows = np.ndarray[Any, Any]
FACTS = ("pad_id", "fingerprint", "origin", "names", "version", "weighted", "facts")
RAGGED = ("ids", "types", "words", "windows")


def name_of(*parts: Any) -> str:
    """Names a tokenised split by all that decides it, the libraries that tokenise included."""
    return hashlib.sha256(json.dumps([VERSION, _libraries(), *parts], default=str).encode()).hexdigest()[:32]


@functools.cache
def _libraries() -> list[str]:
    return [importlib.metadata.version(library) for library in ("transformers", "tokenizers")]


def stored(name: str, compute: Callable[[], EncodedSplit]) -> EncodedSplit:
    """Returns the split of that name, memory-mapped; the first process that asks computes it."""
    if (split := read(name)) is None:
        _once(name, lambda: _pack(compute()))
        split = read(name)
        assert split is not None
    return split


def read(name: str) -> EncodedSplit | None:
    """Returns the split of that name, memory-mapped; None where there is none."""
    folder = _folder(name)
    if not folder.is_dir():
        return None
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    parts: dict[str, Any] = {}
    for field in (*RAGGED, "labels"):
        values, offsets = _load(folder, field), _load(folder, f"{field}_offsets")
        parts[field] = values if offsets is None else Ragged(values, offsets)
    return EncodedSplit(**parts, **{**facts, "names": tuple(facts["names"])})


def stored_rows(name: str, compute: Callable[[], tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
    """Returns two lists of row numbers, so that a second start needs no library to carve them again."""
    folder = _folder(name)
    if not folder.is_dir():
        _once(name, lambda: ({}, dict(zip(("train", "validation"), compute(), strict=True))))
    return np.load(folder / "train.npy"), np.load(folder / "validation.npy")


def stored_facts(name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns what JSON can hold, computed by the first process that asks."""
    folder = _folder(name)
    if not folder.is_dir():
        _once(name, lambda: (compute(), {}))
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return facts


def _folder(name: str) -> Path:
    return cache_folder() / "tokens" / name


def _load(folder: Path, name: str) -> Any:
    path = folder / f"{name}.npy"
    return np.load(path, mmap_mode="r") if path.is_file() else None


def _pack(split: EncodedSplit) -> tuple[dict[str, Any], dict[str, Rows]]:
    arrays: dict[str, Rows] = {}
    for field in (*RAGGED, "labels"):
        value = getattr(split, field)
        if isinstance(value, Ragged):
            arrays[f"{field}_offsets"] = value.offsets
            value = value.values
        if value is not None:
            # class numbers, token ids and positions fit into 32 bits
            arrays[field] = value.astype(np.int32) if value.dtype == np.int64 else value
    return {key: getattr(split, key) for key in FACTS}, arrays


def _once(name: str, compute: Callable[[], tuple[dict[str, Any], dict[str, Rows]]]) -> None:
    """Writes a folder of arrays unless it is there: beside its place, then renamed, so none is ever half written."""
    folder = _folder(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if folder.is_dir():
            return
        facts, arrays = compute()
        temporary = folder.with_suffix(".tmp")
        # left by a process that was killed; only the holder of the lock gets here
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        for key, value in arrays.items():
            np.save(temporary / f"{key}.npy", value)
        (temporary / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
        os.replace(temporary, folder)
