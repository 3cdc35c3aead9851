"""What was found in the rows of a task, on disk under a name that says all that decides it; imports no torch."""

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
from transferlab.ground import intact
from transferlab.ground.intact import FILES

VERSION = 4
"""Part of every name; to be raised when this package tokenises or stores otherwise."""
Rows = np.ndarray[Any, Any]


def name_of(*parts: Any) -> str:
    """Names a tokenised split by all that decides it, the libraries that tokenise included."""
    return hashlib.sha256(json.dumps([VERSION, _libraries(), *parts], default=str).encode()).hexdigest()[:32]


@functools.cache
def _libraries() -> list[str]:
    return [importlib.metadata.version(library) for library in ("transformers", "tokenizers")]


def stored_rows(name: str, compute: Callable[[], tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
    """Returns two lists of row numbers, so that a second start needs no library to carve them again."""
    folder = once(name, lambda: ({}, dict(zip(("train", "validation"), compute(), strict=True))))
    return np.load(folder / "train.npy"), np.load(folder / "validation.npy")


def stored_facts(name: str, compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Returns what JSON can hold, computed by the first process that asks."""
    folder = once(name, lambda: (compute(), {}))
    facts: dict[str, Any] = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    return facts


def folder_of(name: str) -> Path:
    """The folder of what has that name."""
    return cache_folder() / "tokens" / name


def whole(name: str) -> Path | None:
    """The folder of that name if it is there as it was written; one that was damaged since counts as none."""
    folder = folder_of(name)
    if not folder.is_dir():
        return None
    # those of earlier versions have no sums
    return folder if not (folder / FILES).is_file() or intact.is_whole(folder) else None


def once(name: str, compute: Callable[[], tuple[dict[str, Any], dict[str, Rows]]]) -> Path:
    """The folder of arrays of that name, which is written unless it is there."""

    def write(folder: Path) -> None:
        facts, arrays = compute()
        for key, value in arrays.items():
            np.save(folder / f"{key}.npy", value)
        (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")

    return written(name, write)


def written(name: str, write: Callable[[Path], None]) -> Path:
    """The folder of that name; the first process that asks fills it: beside its place, then renamed, so none is half.

    Args:
        name: See `name_of`.
        write: Fills an empty folder.
    """
    if (known := whole(name)) is not None:
        return known
    folder = folder_of(name)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        if whole(name) is None:
            temporary = folder.with_suffix(".tmp")
            # left by a process that was killed; only the holder of the lock gets here
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir()
            write(temporary)
            (temporary / FILES).write_text(json.dumps(intact.sums(temporary.iterdir())), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(temporary, folder)
    return folder
