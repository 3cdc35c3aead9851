"""A real pseudo-terminal, and what is left on its screen when a program has written to it."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager

SEQUENCE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])")


class Terminal:
    """Both ends of a pseudo-terminal; `text` is all that was written, `screen` what one sees at the end."""

    def __init__(self, width=80):
        self.width = width
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, width, 0, 0))
        self.raw = b""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        try:
            while part := os.read(self.master, 65536):
                self.raw += part
        except OSError:
            # the other end is closed
            return

    def close(self):
        os.close(self.slave)
        self.reader.join(30)
        os.close(self.master)

    @property
    def text(self):
        return self.raw.decode(errors="replace")

    @property
    def screen(self):
        return screen(self.text, self.width)


def screen(text, width):
    """The lines that a terminal shows after a text, without empty ones at the end."""
    lines, row, column, place = [""], 0, 0, 0
    while place < len(text):
        if found := SEQUENCE.match(text, place):
            place = found.end()
            count, kind = int(found[1]) if found[1].isdigit() else 1, found[2]
            if kind == "A":
                row = max(row - count, 0)
            elif kind == "K":
                lines[row] = "" if found[1] == "2" else lines[row][:column]
            continue
        letter, place = text[place], place + 1
        if letter == "\r":
            column = 0
        elif letter == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif letter >= " ":
            if column == width:
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            lines[row] = lines[row][:column].ljust(column) + letter + lines[row][column + 1 :]
            column += 1
    return [line.rstrip() for line in lines]


@contextmanager
def as_stdout(width=80):
    """Puts a terminal in the place of the standard output; its screen is complete behind the block."""
    terminal, before = Terminal(width), sys.stdout
    # rich asks the descriptors that the process began with
    os.environ["COLUMNS"] = str(width)
    with open(terminal.slave, "w", closefd=False) as stream:
        sys.stdout = stream
        try:
            yield terminal
        finally:
            sys.stdout = before
    terminal.close()


def run(command, width=80, stdout=True, **options):
    """Runs a command to its end with its standard error, and unless told otherwise its standard output, on a terminal.

    Returns:
        The ended process, with ``stdout`` where that was a pipe, and the terminal.
    """
    terminal = Terminal(width)
    given = {"stdout": terminal.slave if stdout else subprocess.PIPE, "stderr": terminal.slave, "text": True, **options}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False, **given)
    terminal.close()
    return done, terminal
