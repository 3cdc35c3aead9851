"""What was read: columns or rows, and the line that each row stands on."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from transferlab.tasks.reading.arrow import Table


class Read(NamedTuple):
    """A file that was read.

    Attributes:
        columns: Column name to its cells; an empty cell of a table is None.
        lines: The line that each row begins on, counted from 1 as an editor counts; for tagged sentences the line of
            each word; None where rows have no lines.
        form: How the file was understood, in words.
        notes: What the user should know.
    """

    columns: dict[str, list[Any]]
    lines: Sequence[Any] | None
    form: str
    notes: tuple[str, ...] = ()


class Rows(NamedTuple):
    """One split.

    Attributes:
        rows: Its rows.
        origin: A sentence fragment that says where they were read.
        lines: As in `Read`.
        form: As in `Read`; empty where there was nothing to find out.
        notes: As in `Read`.
        split: Its name, for rows without lines.
    """

    rows: Table
    origin: str
    lines: Sequence[Any] | None = None
    form: str = ""
    notes: tuple[str, ...] = ()
    split: str = ""

    def place(self, row: int, word: int = 0) -> str:
        """Names a row, or a word of a tagged sentence, so that the user finds it: file and line where there are lines.

        Args:
            row: Number of the row, from 0.
            word: Number of the word in it.
        """
        if self.lines is None:
            return f"{self.origin}{f' ({self.split})' if self.split else ''}, row {row}"
        line = self.lines[row]
        if isinstance(line, Sequence):
            line = line[min(word, len(line) - 1)]
        return f"{self.origin}, line {line}"
