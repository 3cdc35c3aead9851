"""Whether files are still as they were written: by the sums of their content, which their readers do not check."""

import functools
import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from transferlab.ground.errors import TransferlabError

FILES = "files.json"
"""In a folder, such as a checkpoint that is one: length and CRC-32 of every file."""


def size_and_sum(path: Path) -> list[int]:
    """Length in bytes and CRC-32 of a file.

    Raises:
        OSError: It cannot be read.
    """
    size = value = 0
    with path.open("rb") as file:
        while block := file.read(2**22):
            size, value = size + len(block), zlib.crc32(block, value)
    return [size, value]


def sums(paths: Iterable[Path]) -> dict[str, list[int]]:
    """Length in bytes and CRC-32 of files, by name."""
    return {path.name: size_and_sum(path) for path in paths}


def as_noted(note: Path) -> bool:
    """Whether the files beside a note are as their `sums` in it say."""
    try:
        files = json.loads(note.read_text(encoding="utf-8"))
        return bool(files) and all(size_and_sum(note.parent / name) == expected for name, expected in files.items())
    except (OSError, ValueError, TypeError, AttributeError):
        return False


def is_whole(path: Path) -> bool:
    """Whether a checkpoint is as it was written; unlike `torch.load` this notices a single flipped bit.

    A file costs one reading, and nothing once more in this process unless it changed.
    """
    try:
        if path.is_dir():
            return as_noted(path / FILES)
        state = os.stat(path)
        return _is_whole(path.absolute(), state.st_size, state.st_ino, state.st_mtime_ns, state.st_ctime_ns)
    except OSError:
        return False


@functools.lru_cache(maxsize=8)
def _is_whole(path: Path, *_state: int) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    # zipfile knows no other words for what is damaged in a name, a length or a flag
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, zlib.error):
        return False


def check(path: Path) -> None:
    """Refuses a checkpoint that is not as it was written.

    Raises:
        TransferlabError: It is damaged, or no checkpoint.
    """
    if not is_whole(path):
        raise TransferlabError(
            f"{path} is damaged or no checkpoint: its content does not match its checksums. Put back a copy of it, or "
            "train the run again."
        )
