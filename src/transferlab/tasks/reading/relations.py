"""Rows with two marked entities in all forms that they are published in, as texts with marks."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.marked import Span, parse, write
from transferlab.tasks.reading.cells import list_of, shown
from transferlab.tasks.reading.place import Read, Rows
from transferlab.tasks.reading.text import decode
from transferlab.tasks.spec import Source

WORDS = ("tokens", "token", "words")
"""Columns with the words of a text."""
TEXTS = ("text", "sentence")
TACRED = ("subj_start", "subj_end", "obj_start", "obj_end")
"""Numbers of the first and the last word of subject and object."""
SEMEVAL = re.compile(r"(\d+)\t(.*)")
Cells = Mapping[str, Any]


def with_marks(rows: Rows, source: Source) -> Rows:
    """The rows with marked texts in the text column, from whatever form they are in.

    Raises:
        TransferlabError: Spans that are missing, empty, outside or overlap, or marks that do not fit; names the row.
    """
    name, known = source.text[0], rows.rows.column_names
    if not has_spans(known):
        if name in known:
            _read_all(rows, lambda cells: parse(_text(cells[name], name)), [name])
        return rows
    wanted = [column for column in known if column in _read_columns(name)]
    marked = _read_all(rows, lambda cells: of_cells(cells, name), wanted)
    kept = rows.rows.remove_columns([column for column in known if column in {name, *TACRED, "head", "tail"}])
    return rows._replace(rows=kept.add_column(name, marked))


def _read_all(rows: Rows, read: Callable[[Cells], Any], columns: list[str]) -> list[Any]:
    found = []
    for number, cells in enumerate(rows.rows.select_columns(columns)):
        try:
            found.append(read(cells))
        except TransferlabError as error:
            raise TransferlabError(f"{rows.place(number)}: {str(error).removesuffix('.')}.") from error
    return found


def has_spans(columns: Any) -> bool:
    """Whether entities are given beside the text."""
    return {"head", "tail"} <= set(columns) or set(TACRED) <= set(columns)


def _read_columns(name: str) -> set[str]:
    types = ("subj_type", "obj_type", "head_type", "tail_type")
    return {name, *TEXTS, *WORDS, *TACRED, *types, "head", "tail"}


def of_cells(cells: Cells, name: str) -> str:
    """A marked text from the cells of a row with spans.

    Args:
        cells: By the names of their columns.
        name: The column of texts or words; others of the usual names serve where it is missing.

    Raises:
        TransferlabError: The text or a span is missing or does not fit; the place is left to the caller.
    """
    column = next((key for key in (name, *TEXTS, *WORDS) if cells.get(key) is not None), None)
    if column is None:
        raise TransferlabError(f"there is no text in {name!r}, and none in {', '.join((*TEXTS, *WORDS))}")
    given = cells[column]
    given = list_of(given) if isinstance(given, str) and column in WORDS else given
    if set(TACRED) <= cells.keys():
        numbers = [_number(cells[key], key) for key in TACRED]
        if not isinstance(given, list):
            raise TransferlabError(
                f"{TACRED[0]} counts words, so {column!r} must hold a list of words, not {shown(given)}"
            )
        # TACRED names the last word, not the one behind it
        bounds = [(numbers[0], numbers[1] + 1), (numbers[2], numbers[3] + 1)]
    else:
        bounds = [_bounds(cells[key], key) for key in ("head", "tail")]
    types = [_type(cells, *keys) for keys in (("head", "head_type", "subj_type"), ("tail", "tail_type", "obj_type"))]
    if isinstance(given, list):
        return _of_words(given, column, bounds, types)
    return write(_text(given, column), *(Span(*bound, kind) for bound, kind in zip(bounds, types, strict=True)))


def _of_words(words: list[Any], column: str, bounds: list[tuple[int, int]], types: list[str]) -> str:
    if not words or not all(isinstance(word, str) for word in words):
        raise TransferlabError(f"{column!r} must hold a non-empty list of words, not {shown(words)}")
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word) + 1
    spans = []
    for key, (start, end), kind in zip(("head", "tail"), bounds, types, strict=True):
        if not 0 <= start < end <= len(words):
            reason = "holds no word" if start == end else f"is outside of {len(words)} words"
            raise TransferlabError(
                f"the {key} [{start}, {end}] {reason}; spans count from 0, the end is the word behind"
            )
        spans.append(Span(starts[start], starts[end - 1] + len(words[end - 1]), kind))
    return write(" ".join(words), *spans)


def _text(cell: Any, column: str) -> str:
    if not isinstance(cell, str):
        raise TransferlabError(f"column {column!r} must hold text, not {shown(cell)}")
    return cell


def _bounds(cell: Any, key: str) -> tuple[int, int]:
    """Start and end of a span: a list of two numbers, or an object with them."""
    if isinstance(cell, str):
        cell = list_of(cell) if list_of(cell) is not None else cell
    if isinstance(cell, Mapping) and {"start", "end"} <= cell.keys():
        cell = [cell["start"], cell["end"]]
    if not isinstance(cell, list | tuple) or len(cell) != 2:
        raise TransferlabError(f"{key!r} must hold [start, end], not {shown(cell)}")
    return _number(cell[0], key), _number(cell[1], key)


def _number(cell: Any, key: str) -> int:
    try:
        if isinstance(cell, bool) or int(cell) != float(cell):
            raise ValueError
        return int(cell)
    except (TypeError, ValueError) as error:
        raise TransferlabError(f"{key!r} must hold whole numbers, not {shown(cell)}") from error


def _type(cells: Cells, *keys: str) -> str:
    held = cells.get(keys[0])
    if isinstance(held, Mapping) and held.get("type"):
        return str(held["type"])
    return next((str(cells[key]) for key in keys[1:] if cells.get(key)), "")


def read_semeval(path: Path, source: Source, labelled: bool) -> Read:
    """Reads the text form of SemEval-2010 task 8: number and sentence, its relation, a comment, an empty line.

    Raises:
        TransferlabError: A line of another form, or an example without its relation; names the line.
    """
    text, encoding = decode(path, source.encoding)
    ids: list[str] = []
    texts: list[str] = []
    labels: list[str | None] = []
    lines: list[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if found := SEMEVAL.fullmatch(line.strip()):
            ids.append(found[1])
            quoted = found[2].strip()
            texts.append(quoted[1:-1] if len(quoted) > 1 and quoted[0] == quoted[-1] == '"' else quoted)
            labels.append(None)
            lines.append(number)
        elif not line.strip() or line.lower().startswith("comment"):
            continue
        elif texts and labels[-1] is None:
            labels[-1] = line.strip()
        else:
            raise TransferlabError(
                f"{path}, line {number}: a number, a tab and a sentence belong here, or the relation of the sentence "
                f"above, not {shown(line)}."
            )
    if not texts:
        raise TransferlabError(f"{path} has no rows.")
    if labelled and None in labels:
        raise TransferlabError(f"{path}, line {lines[labels.index(None)]}: the relation of this sentence is missing.")
    columns: dict[str, list[Any]] = {"id": ids, source.text[0]: texts}
    if any(label is not None for label in labels):
        columns[source.label] = labels
    return Read(columns, lines, f"SemEval's text, {encoding}")
