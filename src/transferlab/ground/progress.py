"""How far work is, told while it lasts: a bar on a terminal, elsewhere few lines. Imports no torch."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from transferlab.ground.signals import RANKS

T = TypeVar("T")
Columns = dict[str, list[Any]]

EVERY = 30.0
"""Seconds between two lines of one piece of work, where there is no terminal."""
SOON = 1.0
"""Seconds after which work that was to be short is told."""
PART = "TRANSFERLAB_PART"
"""Variable of a command that is a part of another one, which itself tells the start and what to do next."""


def on_terminal(stream: TextIO | None = None) -> bool:
    """Whether a stream, by default the standard output, is a terminal that can draw a bar."""
    stream = sys.stdout if stream is None else stream
    return stream.isatty() and os.environ.get("TERM") not in {"dumb", "unknown"}


def is_part() -> bool:
    """Whether another command started this one as a part of its own."""
    return bool(os.environ.get(PART))


def is_first_process() -> bool:
    """Whether this is the first process of a run, before torch can tell."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


def clock(seconds: float) -> str:
    """A duration for people."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def loading(what: str = "torch, lightning, transformers") -> None:
    """Says, before imports that take seconds, what is loaded."""
    # a process that was forked from one with all imports, or that is one of several, has nothing to tell
    if "torch" in sys.modules or not is_first_process() or (is_part() and not on_terminal(sys.stderr)):
        return
    print(f"loading {what} ...", file=sys.stderr, flush=True)


class Lines:
    """Lines about one piece of work, at most one every `EVERY` seconds.

    Args:
        what: What is done.
        total: How many items there are; None where that is not known.
        clock: Gives seconds.
    """

    def __init__(self, what: str, total: int | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.what, self.total, self.clock = what, total, clock
        self.done = 0
        self.started = self.told = clock()

    def advance(self, count: int = 1) -> None:
        """Notes that so many items more are done; prints a line where one is due."""
        self.done += count
        if (now := self.clock()) - self.told >= EVERY:
            self.told = now
            print(self.line(now - self.started), flush=True)

    def line(self, seconds: float) -> str:
        """What is printed after so many seconds."""
        if self.total is None:
            return f"{self.what}: {self.done:,} after {clock(seconds)}"
        left = seconds / max(self.done, 1) * (self.total - self.done)
        return f"{self.what}: {self.done:,} of {self.total:,}, {clock(left)} left"


def counted(items: Iterable[T], what: str, total: int | None = None) -> Iterator[T]:
    """Passes items on and shows how far it is: a bar on a terminal, elsewhere a line every 30 seconds.

    Args:
        items: What is worked on.
        what: What is done.
        total: How many there are; by default the length of `items`.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    if on_terminal() and is_first_process():
        from rich.console import Console
        from rich.progress import track

        # rich's own console keeps what it found when it was made, maybe a pipe
        yield from track(items, description=what, total=total, transient=True, console=Console())
        return
    lines = Lines(what, total)
    for item in items:
        yield item
        if is_first_process():
            lines.advance()


def told(work: Callable[[Columns], Columns], what: str, total: int) -> Callable[[Columns], Columns]:
    """The same function on parts of a table, which shows how far it is: a bar on a terminal, elsewhere lines.

    Args:
        work: Takes and gives columns by name.
        what: What is done.
        total: Rows of the whole table.
    """
    if not is_first_process():
        return work
    if on_terminal(sys.stderr):
        from tqdm import tqdm  # type: ignore[import-untyped]

        advance: Callable[[int], Any] = tqdm(desc=what, total=total, unit=" examples").update
    else:
        advance = Lines(what, total).advance

    def work_and_tell(columns: Columns) -> Columns:
        result = work(columns)
        advance(len(next(iter(columns.values()))))
        return result

    return work_and_tell


@contextmanager
def waiting(what: str, size: Callable[[], float] | None = None) -> Iterator[None]:
    """Tells of work that shows nothing of itself: a line after a second, then one every 30 seconds.

    Args:
        what: What is done.
        size: Gives what has arrived so far, in MB (2**20 bytes).
    """
    ended = threading.Event()
    before = size() if size else 0.0

    def tell() -> None:
        started, pause = time.monotonic(), SOON
        while not ended.wait(pause):
            seconds = time.monotonic() - started
            arrived = f", {size() - before:,.0f} MB" if size and pause == EVERY else ""
            print(f"{what}: {clock(seconds)}{arrived}" if pause == EVERY else f"{what} ...", flush=True)
            pause = EVERY

    teller = threading.Thread(target=tell, name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()
