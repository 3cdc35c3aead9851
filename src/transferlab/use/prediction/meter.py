"""How far predicting is, on standard error: the answers may go to standard output."""

import sys
import time
from typing import Any

from transferlab.ground.progress import EVERY, clock, on_terminal
from transferlab.use.prediction.inputs import Input


class Meter:
    """Rows a second and time left: a line that is written anew on a terminal, elsewhere one every 30 seconds.

    Args:
        given: What is read; its size tells how much is left.
    """

    def __init__(self, given: Input) -> None:
        self.given = given
        self.rows = 0
        self._terminal = on_terminal(sys.stderr)
        self._started = self._told = time.monotonic()
        self._before = 0
        self._shown = False

    def __enter__(self) -> "Meter":
        return self

    def __exit__(self, *_: Any) -> None:
        self._clear()

    def begin(self, done: int) -> None:
        """Starts the clock; `done` rows were answered before."""
        self.say(f"{self.given.name}: {self.given.form}")
        self._started = self._told = time.monotonic()
        self._before = self.given.read if done else 0

    def advance(self, rows: int) -> None:
        """Notes that so many rows more are answered."""
        self.rows += rows
        now = time.monotonic()
        if now - self._told < (0.5 if self._terminal else EVERY):
            return
        self._told = now
        line = self._line(now - self._started)
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K{line}")
            sys.stderr.flush()
            self._shown = True
        else:
            print(line, file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        line = f"{self.rows:,} rows, {self.rows / seconds:,.0f} rows/s"
        read, size = self.given.read - self._before, self.given.size - self._before
        if 0 < read <= size:
            line += f", {100 * self.given.read / self.given.size:.0f} %, {clock(seconds / read * (size - read))} left"
        return line

    def end(self, where: str) -> None:
        """Says what was done."""
        seconds = max(time.monotonic() - self._started, 1e-9)
        self.say(f"{self.rows:,} rows in {clock(seconds)}, {self.rows / seconds:,.0f} rows/s{where}")

    def say(self, text: str) -> None:
        """Prints a line."""
        self._clear()
        print(text, file=sys.stderr, flush=True)

    def _clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            self._shown = False
