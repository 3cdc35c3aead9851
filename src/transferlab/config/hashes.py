"""Hashes of files by content, computed once for each file and kept in the cache folder."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Iterable
from pathlib import Path

from transferlab.config.places import cache_folder

SETTLED_NS = 2 * 10**9
"""Age (nanoseconds) from which a file's time tells that it did not change: clocks of file systems are coarse."""


def of_file(path: Path) -> str:
    """The content of a file as 16 hexadecimal digits of SHA-256.

    It is read once: the hash is kept under its path, with its size, inode and times of change, and counts as long as
    none of these differs.

    Raises:
        OSError: The file cannot be read.
    """
    path = path.resolve()
    facts = path.stat()
    state = [facts.st_size, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns]
    kept = cache_folder() / "hashes" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        known = json.loads(kept.read_text(encoding="utf-8"))
        if known.get("state") == state:
            return str(known["hash"])
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    if time.time_ns() - max(facts.st_mtime_ns, facts.st_ctime_ns) > SETTLED_NS:
        _keep(kept, {"path": str(path), "state": state, "hash": found})
    return found


def of_files(paths: Iterable[Path]) -> str:
    """The contents of several files and their names, in the order of the names; empty without files.

    Raises:
        OSError: One of them cannot be read.
    """
    ordered = sorted(paths, key=lambda path: path.name)
    if not ordered:
        return ""
    parts = [[path.name, of_file(path)] for path in ordered]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def of_path(path: Path) -> str:
    """The content of a file, or of all files of a folder.

    Raises:
        OSError: It cannot be read.
    """
    return of_files(path.iterdir()) if path.is_dir() else of_file(path)


def _keep(path: Path, content: dict[str, object]) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # a cache that cannot be written costs time, nothing else
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(content), encoding="utf-8")
        os.replace(temporary, path)
