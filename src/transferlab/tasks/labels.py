"""Labels of rows as class numbers in the order of the task, matched by name."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.cells import check_single, shown
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import Source

WHOLE = re.compile(r"-?(0|[1-9]\d*)\.0+")
"""A whole number as spreadsheets write it."""
FRACTION = re.compile(r"-?\d*\.\d+(e[+-]?\d+)?", re.IGNORECASE)
"""A number that counts nothing."""
LISTED = 10
"""Labels that a message lists."""
MANY = 20
"""So many different labels are plausible in however few rows."""


class Labels(NamedTuple):
    """The labels of a task.

    Attributes:
        names: In the order of the class numbers; empty for regression.
        ordered: Whether the user or the data set gave that order, so that a number may stand for the class.
        notes: What the user should know of them.
        scheme: For tagging, how the files spell the tags; None for IOB2 as it is spelled inside.
    """

    names: tuple[str, ...]
    ordered: bool = False
    notes: tuple[str, ...] = ()
    scheme: Scheme | None = None


def label_text(value: Any) -> str:
    """A label as text: 1, 1.0 and "1" are one label; "01" is another."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    text = str(value)
    return label_text(float(text)) if WHOLE.fullmatch(text) else text


def require_columns(rows: Rows, source: Source, labelled: bool = True) -> None:
    """Checks that the text columns, and the label column where needed, exist.

    Raises:
        TransferlabError: A column is missing; names it and the columns there are.
    """
    known = rows.rows.column_names
    wanted = [*(("text", name) for name in source.text), *([("label", source.label)] if labelled else [])]
    missing = [pair for pair in wanted if pair[1] not in known]
    if missing:
        key, column = missing[0]
        remedy = ""
        if len(missing) == len(wanted) and rows.form:
            remedy = " Where the first line is no header, set data.source.header: false and name columns by number."
        raise TransferlabError(
            f"data.source.{key}: {rows.origin} has no column {column!r}{near(column, known)}. It has "
            f"{', '.join(map(_short, known))}{f' (read as {rows.form})' if rows.form else ''}.{remedy}"
        )


def label_names(rows: Rows, source: Source) -> tuple[str, ...]:
    """The label names of a task: the given ones, those stored with the data, or the distinct values, sorted.

    Raises:
        TransferlabError: No label column, or fewer than two different labels.
    """
    require_columns(rows, source)
    if not KINDS[source.kind].named:
        return ()
    names = source.labels or stored_names(rows.rows, source.label)
    if not names:
        values = {value for value in flat_labels(rows, source) if not is_empty(value)}
        names = tuple(dict.fromkeys(label_text(value) for value in sorted(values, key=_order)))
        _check_are_labels(names, rows, source)
    if source.worded and not source.labels and "O" in names:
        names = ("O", *(name for name in names if name != "O"))
    if len(names) < 2:
        raise TransferlabError(f"{rows.origin}: column {source.label!r} has {len(names)} different label(s); need two.")
    return names


def _check_are_labels(names: tuple[str, ...], rows: Rows, source: Source) -> None:
    """Refuses a column of sentences or measured numbers; a class may well have one example only."""
    sentences = sum(name.strip().count(" ") >= 3 for name in names)
    fractions = sum(FRACTION.fullmatch(name) is not None for name in names)
    if len(names) > max(MANY, 0.8 * len(rows.rows)) and max(sentences, fractions) > 0.5 * len(names):
        raise TransferlabError(
            f"data.source.label: column {source.label!r} of {rows.origin} has {len(names)} different values in "
            f"{len(rows.rows)} rows, such as {_short(names[0])!r}. Is it the label? Otherwise list the labels in "
            "data.source.labels, or set data.source.kind: regression."
        )


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."


def _order(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def is_empty(value: Any) -> bool:
    """Whether a cell holds no label."""
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def flat_labels(rows: Rows, source: Source) -> list[Any]:
    """One label for each row, for tagging one for each word, for multilabel those of all rows.

    Raises:
        TransferlabError: A list where one label belongs, or no list where tags belong; names the row.
    """
    cells: list[Any] = rows.rows[source.label][:]
    if not KINDS[source.kind].listed:
        check_single(cells, source.label, source.kind, rows.place)
        return cells
    for row, cell in enumerate(cells):
        if not isinstance(cell, list) or any(isinstance(tag, list | dict) for tag in cell):
            raise TransferlabError(
                f"{rows.place(row)}: column {source.label!r} must hold {KINDS[source.kind].listed}, not {shown(cell)}."
            )
    return [tag for cell in cells for tag in cell]


def stored_names(rows: Table, column: str) -> tuple[str, ...]:
    """Names of class numbers that are stored with the data; empty without."""
    return rows.names.get(column, ())


def is_labelled(rows: Table, source: Source, names: Sequence[str] = ()) -> bool:
    """Whether any row of a split carries a label; the Hub's convention for hidden ones is -1."""
    if source.label not in rows.column_names:
        return False
    hidden = () if "-1" in names else (-1,)
    if KINDS[source.kind].listed:
        return any(rows[source.label][:])
    return any(not is_empty(value) and value not in hidden for value in rows[source.label][:])


def encode_labels(rows: Rows, source: Source, labels: Labels) -> np.ndarray[Any, Any]:
    """Class numbers, float targets, for tagging the flat class numbers of all words, for multilabel 0 and 1.

    For questions 1 where there is an answer, else 0.

    Raises:
        TransferlabError: A label that the task does not know, or a target that is no number; names the row.
    """
    if source.kind == "text":
        # nothing is stratified or balanced by texts
        return np.zeros(len(rows.rows), dtype=np.int64)
    if source.kind == "qa":
        # whether there is an answer
        return np.array([len(answers) > 0 for answers in rows.rows[source.label][:]], dtype=np.int64)
    values = flat_labels(rows, source)
    if source.kind == "regression":
        return _targets(values, rows, source.label)
    stored = stored_names(rows.rows, source.label)
    number = {name: position for position, name in enumerate(labels.names)}
    # class numbers in place of names, unless the names are numbers themselves
    numbered = labels.ordered and not stored and not any(name.lstrip("-").isdigit() for name in labels.names)
    known: dict[Any, int | None] = {}
    for value in set(values):
        text = label_text(value)
        by_name = stored[value] if stored and isinstance(value, int) and 0 <= value < len(stored) else text
        fallback = int(text) if numbered and text.isdecimal() and int(text) < len(labels.names) else None
        known[value] = None if is_empty(value) else number.get(by_name, fallback)
    encoded = [known[value] for value in values]
    if None in encoded:
        position = encoded.index(None)
        raise _unknown(values[position], rows.place(*_place_of(rows, source, position)), source.label, labels)
    numbers = np.asarray(encoded, dtype=np.int64)
    if source.kind != "multilabel":
        return numbers
    flags = np.zeros((len(rows.rows), len(labels.names)), dtype=np.int64)
    flags[np.repeat(np.arange(len(flags)), [len(cell) for cell in rows.rows[source.label][:]]), numbers] = 1
    return flags


def _unknown(value: Any, place: str, column: str, labels: Labels) -> TransferlabError:
    if is_empty(value) or value == -1:
        return TransferlabError(
            f"{place}: there is no label in column {column!r}. Give the example one or leave it out; a split without "
            "labels belongs into data.source.predict."
        )
    names = list(labels.names)
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    listed = f"{', '.join(map(_short, names[:LISTED]))}{more}"
    text = label_text(value)
    remedy = "Mend the row, or list all labels in data.source.labels."
    if text.lstrip("-").isdigit() and not labels.ordered and not any(name.lstrip("-").isdigit() for name in names):
        remedy = "A number stands for a class only where data.source.labels lists the names in their order."
    return TransferlabError(
        f"{place}: unknown label {_short(repr(value))} in column {column!r}{near(text, names)}. "
        f"Known labels: {listed}. {remedy}"
    )


def _place_of(rows: Rows, source: Source, position: int) -> tuple[int, int]:
    """Row of a flat position, and the word in it."""
    if not KINDS[source.kind].listed:
        return position, 0
    ends = np.cumsum([len(tags) for tags in rows.rows[source.label][:]])
    row = int(np.searchsorted(ends, position, side="right"))
    return row, position - (int(ends[row - 1]) if row else 0)


def _targets(values: list[Any], rows: Rows, column: str) -> np.ndarray[Any, Any]:
    targets = np.empty(len(values), dtype=np.float32)
    for row, value in enumerate(values):
        try:
            targets[row] = float(value)
        except (TypeError, ValueError):
            targets[row] = np.nan
        if not np.isfinite(targets[row]):
            if is_empty(value):
                raise TransferlabError(f"{rows.place(row)}: there is no number in column {column!r}.")
            comma = isinstance(value, str) and re.fullmatch(r"-?\d+,\d+", value.strip())
            remedy = " Write decimals with a point." if comma else ""
            raise TransferlabError(f"{rows.place(row)}: column {column!r} must hold a number, not {value!r}.{remedy}")
    return targets


def nearly_equal(values: Sequence[Any]) -> str:
    """Labels that differ in blanks, case or the way a number is written only, with how often each is there; or nothing.

    Args:
        values: The labels of a split.
    """
    counts = Counter(label_text(value) for value in values if not is_empty(value))
    alike: dict[str, list[str]] = defaultdict(list)
    for name in counts:
        alike[_plain(name)].append(name)
    groups = [
        " and ".join(f"{name!r} ({counts[name]:,})" for name in sorted(group))
        for group in alike.values()
        if len(group) > 1
    ]
    return f"labels that look alike count as different: {'; '.join(groups)}" if groups else ""


def _plain(name: str) -> str:
    text = " ".join(name.split()).casefold()
    try:
        return str(float(text))
    except ValueError:
        return text
