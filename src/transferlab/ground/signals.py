"""Signals that ask a command to stop; needs nothing of torch, so that it is there before the slow imports."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

STOPPED = 75
"""Exit status of a command that was asked to stop and is to be started again (EX_TEMPFAIL)."""

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGINT)


RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
"""Variables that are 0, or not there, in the first process of a run."""


class Request:
    """What was asked of this process.

    Attributes:
        received: Number of the last signal; 0 without one.
        deferred: Whether somebody looks at `received`; without, a signal ends the process at once.
        installed: Whether the handlers are this process's.
    """

    received: int = 0
    deferred: bool = False
    installed: bool = False


request = Request()


@contextmanager
def handled() -> Iterator[None]:
    """Installs the handlers for a while."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    request.received, request.deferred, request.installed = 0, False, True
    install()
    try:
        yield
    finally:
        request.installed = False
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def ending(numbers: tuple[int, ...] = SIGNALS) -> Iterator[None]:
    """Lets a signal end the process at once, for the while of imports, before which nothing has begun.

    An exception would come up within the import of a library, which may swallow it or go on with half of its modules.
    """
    before = {number: signal.signal(number, _end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, frame: Any) -> None:
    # not print: the signal may have come within one
    if all(os.environ.get(name, "0") == "0" for name in RANKS):
        os.write(2, b"\nstopped before anything began; the same command starts it.\n")
    os._exit(130 if number == signal.SIGINT else STOPPED)


def install() -> None:
    """Installs the handlers, also over those of a library."""
    for number in SIGNALS:
        signal.signal(number, _handle)


def _handle(number: int, frame: Any) -> None:
    """Notes the signal while training; ends the process otherwise, where nothing is lost by that."""
    again, request.received = request.received, number
    if number == signal.SIGINT and (again == signal.SIGINT or not request.deferred):
        raise KeyboardInterrupt
    if not request.deferred:
        if again:
            # the first one was swallowed by whatever ran at that moment
            os._exit(STOPPED)
        raise SystemExit(STOPPED)
