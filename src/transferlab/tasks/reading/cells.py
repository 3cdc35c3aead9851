"""Cells that are no text: lists that a table holds as text, and checks of what a cell holds."""

import ast
import json
from collections.abc import Callable
from typing import Any

from transferlab.ground.errors import TransferlabError

Place = Callable[[int], str]


def parsed_lists(cells: list[Any], column: str, place: Place) -> list[Any]:
    """Lists that a program wrote into a table as text: those of Python and of JSON.

    Lists of another form, such as numpy's without commas, would be read wrong.

    Raises:
        TransferlabError: A cell that is no such list; names it and the remedy.
    """
    found = []
    for row, cell in enumerate(cells):
        value = list_of(cell) if isinstance(cell, str) else cell
        if value is None:
            raise TransferlabError(
                f"{place(row)}: column {column!r} must hold a list such as ['Ada', 'runs'], not {shown(cell)}. A table "
                "does not keep lists: use JSON lines or Parquet, or a file with a word and its tag on each line."
            )
        found.append(value)
    return found


def list_of(cell: str) -> list[Any] | None:
    """The list that a program wrote as text, in the form of JSON or Python; None where it is none."""
    try:
        value = json.loads(cell)
    except ValueError:
        try:
            value = ast.literal_eval(cell.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        # Python puts neighbouring strings together, as of ['Ada' 'runs']
        if repr(value) != cell.strip():
            return None
    return value if isinstance(value, list) else None


def is_written_list(cell: Any) -> bool:
    """Whether a cell is text that a program made of a list."""
    return isinstance(cell, str) and cell.startswith("[") and list_of(cell) is not None


def check_texts(cells: list[Any], column: str, tagging: bool, place: Place) -> None:
    """Checks that every cell is text, for tagging a list of words.

    Raises:
        TransferlabError: Names the first cell at fault.
    """
    want = "a non-empty list of words" if tagging else "text"
    for row, value in enumerate(cells):
        good = isinstance(value, str)
        if tagging:
            good = isinstance(value, list) and bool(value) and all(isinstance(word, str) for word in value)
        if not good:
            remedy = " Split it into words, and give a tag for each." if tagging and isinstance(value, str) else ""
            raise TransferlabError(f"{place(row)}: column {column!r} must hold {want}, not {shown(value)}.{remedy}")


def check_single(cells: list[Any], column: str, kind: str, place: Place) -> None:
    """Checks that no cell of labels holds several.

    Raises:
        TransferlabError: Names the first cell at fault.
    """
    for row, cell in enumerate(cells):
        if isinstance(cell, list | dict) or is_written_list(cell):
            raise TransferlabError(
                f"{place(row)}: column {column!r} holds {shown(cell)}, but {kind} takes one label an example."
            )


def shown(value: Any) -> str:
    """A value as it stands in a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
