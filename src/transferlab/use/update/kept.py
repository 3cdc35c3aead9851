"""The examples of updates under ``ROOT/updates/``, and those of them that no run reads any more; imports no torch."""

import time
from collections.abc import Iterator
from pathlib import Path

from transferlab.record import folder as run_folder

FOLDER = "updates"
FRESH = 3600
"""Seconds in which the run of an update may still be on its way to its folder."""


def folders(root: Path) -> list[Path]:
    """The folders of examples, each named by its content."""
    return sorted(path for path in (root / FOLDER).glob("*") if (path / "train.jsonl").is_file())


def unread(root: Path) -> Iterator[Path]:
    """Those that no run under a folder of runs names, and that are not fresh."""
    found = folders(root)
    texts = [
        path.read_text(encoding="utf-8", errors="replace")
        for path in root.glob("*/*/config.yaml")
        if found and path.parent.parent.name != FOLDER
    ]
    for folder in found:
        age = time.time() - max(path.stat().st_mtime for path in folder.iterdir())
        if age > FRESH and not any(f"{FOLDER}/{folder.name}/" in text for text in texts):
            yield folder


def clean(root: Path) -> None:
    """Removes what `unread` finds, and prints it."""
    count = 0
    for folder in unread(root):
        size = sum(path.stat().st_size for path in folder.iterdir())
        run_folder.remove(folder)
        print(f"removed {folder}, {size / 2**20:,.1f} MB")
        count += 1
    left = len(folders(root))
    print(f"{count} removed; {left} left, which runs under {root}/ name or which are less than an hour old")
