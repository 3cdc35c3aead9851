"""Several labels an example: lists, cells with a delimiter, or one column a label, all as lists of labels."""

import re
from collections.abc import Callable
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.cells import list_of, shown
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import Source

DELIMITERS = (";", "|", ",")
"""What may stand between two labels of a cell, in the order of trust."""
YES = ("1", "1.0", "true", "yes", "y", "x", "t")
NO = ("0", "0.0", "false", "no", "n", "f", "")
INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")


def with_lists(rows: Rows, source: Source) -> Rows:
    """The rows with a list of labels in the column `Source.label`; a row without any label has an empty one.

    Args:
        rows: Rows as they were read.
        source: Says how several labels are written.

    Raises:
        TransferlabError: A cell that is no list, text, number or, in the column of a label, no yes or no.
    """
    if source.label_columns:
        return _of_columns(rows, source, source.label_columns)
    if source.label not in rows.rows.column_names:
        return rows
    cells = rows.rows[source.label][:]
    lists, form = lists_of(cells, source, rows.place)
    lists = _of_flags(lists, source, rows)
    form = f"{rows.form}, {form}" if rows.form and form else rows.form or form
    if lists == cells:
        return rows._replace(form=form)
    kept = rows.rows.remove_columns(source.label)
    return rows._replace(rows=kept.add_column(source.label, lists), form=form)


def _of_columns(rows: Rows, source: Source, names: tuple[str, ...]) -> Rows:
    """Lists from one column a label."""
    if missing := [name for name in names if name not in rows.rows.column_names]:
        if len(missing) == len(names):
            # a split without labels
            return rows
        raise TransferlabError(f"data.source.label_columns: {rows.origin} has no column {missing[0]!r}.")
    columns = [[_is_set(cell, name, row, rows) for row, cell in enumerate(rows.rows[name][:])] for name in names]
    lists = [[name for name, there in zip(names, flags, strict=True) if there] for flags in zip(*columns, strict=True)]
    kept = rows.rows.remove_columns(source.label) if source.label in rows.rows.column_names else rows.rows
    return rows._replace(rows=kept.add_column(source.label, lists))


def _is_set(cell: Any, name: str, row: int, rows: Rows) -> bool:
    text = "" if cell is None or cell != cell else str(cell).strip().casefold()
    if text not in YES + NO:
        raise TransferlabError(
            f"{rows.place(row)}: column {name!r} says whether the example has this label, 1 or 0, not {shown(cell)}."
        )
    return text in YES


def lists_of(cells: list[Any], source: Source, place: Callable[[int], str]) -> tuple[list[list[Any]], str]:
    """A list of labels for each cell, and what was found to stand between labels, in words.

    Raises:
        TransferlabError: A cell that is no list of labels; names it.
    """
    texts = [cell for cell in cells if isinstance(cell, str) and list_of(cell) is None]
    delimiter = source.label_delimiter or next((d for d in DELIMITERS if any(d in text for text in texts)), None)
    lists = []
    for row, cell in enumerate(cells):
        found = _labels(cell, delimiter)
        if found is None or any(isinstance(one, list | dict) for one in found):
            raise TransferlabError(
                f"{place(row)}: column {source.label!r} must hold a list of labels, or labels with "
                f"{(delimiter or ';')!r} between them, not {shown(cell)}."
            )
        lists.append([one for one in found if one is not None and one != ""])
    return _alike(lists), f"labels separated by {delimiter!r}" if delimiter and texts else ""


def _labels(cell: Any, delimiter: str | None) -> list[Any] | None:
    if isinstance(cell, str):
        found = list_of(cell)
        parts = cell.split(delimiter) if delimiter else [cell]
        return [part.strip() for part in parts] if found is None else found
    if cell is None or cell != cell:
        return []
    if isinstance(cell, int) or (isinstance(cell, float) and cell.is_integer()):
        return [cell]
    return cell if isinstance(cell, list) else None


def _alike(lists: list[list[Any]]) -> list[list[Any]]:
    """Labels of one type, as Arrow needs them: numbers where all are whole ones, for their order; else text."""
    values = [one for row in lists for one in row]
    if values and all(isinstance(one, str) and INTEGER.fullmatch(one) for one in values):
        return [[int(one) for one in row] for row in lists]
    if len({type(one) for one in values}) > 1:
        return [[_text(one) for one in row] for row in lists]
    return lists


def _text(one: Any) -> str:
    return str(int(one)) if isinstance(one, float) and one.is_integer() else str(one)


def _of_flags(lists: list[list[Any]], source: Source, rows: Rows) -> list[list[Any]]:
    """Class numbers from lists with 0 or 1 for each label; as class numbers these would name the first two labels.

    Raises:
        TransferlabError: It is not known which label each place stands for.
    """
    width = len(lists[0]) if lists else 0
    alike = width > 1 and all(len(one) == width and set(one) <= {0, 1} for one in lists)
    if not alike or not any(len(set(one)) < width for one in lists):
        return lists
    from transferlab.tasks.labels import stored_names

    if width != len(source.labels or stored_names(rows.rows, source.label)):
        raise TransferlabError(
            f"{rows.origin}: column {source.label!r} holds {width} numbers 0 or 1 an example, one for each label; name "
            "the labels in their order in data.source.labels."
        )
    return [[place for place, flag in enumerate(one) if flag] for one in lists]
