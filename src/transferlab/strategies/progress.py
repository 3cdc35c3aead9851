"""Progress of work that the Trainer does not show."""

import sys
import time
from collections.abc import Iterator
from typing import TypeVar

from torch.utils.data import DataLoader

T = TypeVar("T")


def counted(loader: "DataLoader[T]", what: str) -> Iterator[T]:
    """Passes batches on and shows how far it is: a bar on a terminal, a line every 30 seconds on a pipe."""
    if sys.stderr.isatty():
        from rich.progress import track

        yield from track(loader, description=what)
        return
    total, shown = len(loader), time.monotonic()
    for number, batch in enumerate(loader, start=1):
        yield batch
        if number == total or time.monotonic() - shown > 30:
            print(f"{what}: batch {number}/{total}", flush=True)
            shown = time.monotonic()
