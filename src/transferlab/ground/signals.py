"""Signals that ask a command to stop; needs nothing of torch, so that it is there before the slow imports."""

import os
import signal
import threading
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
def ending(
    numbers: tuple[int, ...] = SIGNALS, line: str = "stopped before anything began; the same command starts it."
) -> Iterator[None]:
    """Lets a signal end the process at once, for the while of imports and of waiting for other processes.

    An exception would come up within the import of a library, which may swallow it or continue with half of its
    modules; and Python runs no handler while a library waits in C. So a thread reads which signals have come.

    Args:
        numbers: The signals.
        line: What is said then.
    """
    if threading.current_thread() is not threading.main_thread():
        # only the main one may set handlers
        yield
        return
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    watching = threading.Thread(target=_watch, args=(reading, numbers, line), name="signals", daemon=True)
    # the number is written only where there is a handler of Python's
    before = {number: signal.signal(number, lambda number, frame: None) for number in numbers}
    other = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watching.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(other)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(writing)
        watching.join()
        os.close(reading)


def _watch(reading: int, numbers: tuple[int, ...], line: str) -> None:
    while came := os.read(reading, 1):
        if came[0] in numbers:
            if all(os.environ.get(name, "0") == "0" for name in RANKS):
                os.write(2, f"\n{line}\n".encode())
            os._exit(130 if came[0] == signal.SIGINT else STOPPED)


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
