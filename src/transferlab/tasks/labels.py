"""Labels of rows as class numbers in the order of the task, matched by name."""

from typing import TYPE_CHECKING, Any

import numpy as np

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.spec import Source

if TYPE_CHECKING:
    from datasets import Dataset


def require_columns(rows: "Dataset", source: Source, origin: str, labelled: bool = True) -> None:
    """Checks that the text columns, and the label column where needed, exist.

    Raises:
        TransferlabError: A column is missing; names it and the columns there are.
    """
    for key, column in [*(("text", name) for name in source.text), *([("label", source.label)] if labelled else [])]:
        if column not in rows.column_names:
            raise TransferlabError(
                f"data.source.{key}: {origin} has no column {column!r}{near(column, rows.column_names)}. "
                f"It has {', '.join(rows.column_names)}."
            )


def label_names(rows: "Dataset", source: Source, origin: str) -> tuple[str, ...]:
    """The label names of a task: the given ones, those stored with the data, or the distinct values, sorted.

    Raises:
        TransferlabError: No label column, or fewer than two different labels.
    """
    require_columns(rows, source, origin)
    if source.kind == "regression":
        return ()
    names = source.labels or _stored_names(rows, source.label)
    if not names:
        values = _flat(rows, source.label)
        names = tuple(str(value) for value in sorted(set(values) - {None}, key=_order))
    if source.kind == "tagging" and "O" in names:
        names = ("O", *(name for name in names if name != "O"))
    if len(names) < 2:
        raise TransferlabError(f"{origin}: column {source.label!r} has {len(names)} different label(s); need two.")
    return names


def _order(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int | float) else (1, str(value))


def _stored_names(rows: "Dataset", column: str) -> tuple[str, ...]:
    feature = rows.features[column]
    feature = getattr(feature, "feature", feature)
    return tuple(getattr(feature, "names", None) or ())


def _flat(rows: "Dataset", column: str) -> list[Any]:
    values = rows[column][:]
    return [item for value in values for item in value] if values and isinstance(values[0], list) else list(values)


def is_labelled(rows: "Dataset", source: Source) -> bool:
    """Whether any row of a split carries a label; the Hub's convention for hidden ones is -1."""
    return source.label in rows.column_names and any(value not in (None, -1) for value in rows[source.label][:])


def encode_labels(rows: "Dataset", source: Source, names: tuple[str, ...], origin: str) -> np.ndarray[Any, Any]:
    """Class numbers, float targets, or for tagging the flat class numbers of all words.

    Raises:
        TransferlabError: A label that the task does not know, or a target that is no number; names the row.
    """
    values = _flat(rows, source.label)
    if source.kind == "regression":
        return _targets(values, source.label, origin)
    stored = _stored_names(rows, source.label)
    number = {name: position for position, name in enumerate(names)}
    # class numbers in place of names, unless the names are numbers themselves
    numbered = not stored and not any(name.lstrip("-").isdigit() for name in names)
    known: dict[Any, int | None] = {}
    for value in set(values):
        by_name = stored[value] if stored and isinstance(value, int) and 0 <= value < len(stored) else str(value)
        fallback = value if isinstance(value, int) and numbered and 0 <= value < len(names) else None
        known[value] = number.get(by_name, fallback)
    encoded = [known[value] for value in values]
    if None in encoded:
        position = encoded.index(None)
        row = _row_of(rows, source, position)
        raise TransferlabError(
            f"{origin}, row {row}: unknown label {values[position]!r} in column {source.label!r}. "
            f"Known labels: {', '.join(names)}. Mend the row, or list all labels in data.source.labels."
        )
    return np.asarray(encoded, dtype=np.int64)


def _row_of(rows: "Dataset", source: Source, position: int) -> int:
    if source.kind != "tagging":
        return position
    ends = np.cumsum([len(tags) for tags in rows[source.label][:]])
    return int(np.searchsorted(ends, position, side="right"))


def _targets(values: list[Any], column: str, origin: str) -> np.ndarray[Any, Any]:
    targets = np.empty(len(values), dtype=np.float32)
    for row, value in enumerate(values):
        try:
            targets[row] = float(value)
        except (TypeError, ValueError):
            targets[row] = np.nan
        if not np.isfinite(targets[row]):
            raise TransferlabError(f"{origin}, row {row}: column {column!r} must hold a number, not {value!r}.")
    return targets
