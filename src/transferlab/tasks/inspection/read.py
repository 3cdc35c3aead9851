"""The examples of a split as they are compared: texts, and labels by name."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from transferlab.tasks.inspection.plain import as_text, key_of
from transferlab.tasks.labels import is_empty, label_text, require_columns, stored_names
from transferlab.tasks.marked import plain
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import INTENT, OUTSIDE, Source

BETWEEN = "\x1e"
"""Stands between the texts of a pair."""


class Examples:
    """A split.

    Attributes:
        columns: The cells of each text column.
        labels: A label for each example, of tagged sentences all tags; None where there are none.
    """

    def __init__(
        self, columns: Sequence[Sequence[Any]], labels: Sequence[Any] | None, tagging: bool, marked: bool = False
    ) -> None:
        self.columns = columns
        self.labels = labels
        self._tagging = tagging
        self._marked = marked

    @cached_property
    def cells(self) -> list[tuple[Any, ...]]:
        """The texts of each example."""
        return list(zip(*self.columns, strict=True))

    @cached_property
    def exact(self) -> list[str]:
        """Each example as one text, as it is written."""
        return [BETWEEN.join(map(as_text, cells)) for cells in self.cells]

    @cached_property
    def keys(self) -> list[list[str]]:
        """The texts of each column without case, punctuation and blanks."""
        return [[key_of(as_text(cell)) for cell in column] for column in self.columns]

    @cached_property
    def shared(self) -> list[list[str]]:
        """What examples have in common where they are to stay together: the texts, whichever entities are marked."""
        return [[key_of(plain(cell)) for cell in column] for column in self.columns] if self._marked else self.keys

    @cached_property
    def plain(self) -> list[str]:
        """Each example as one text, without case and punctuation."""
        return [BETWEEN.join(keys) for keys in zip(*self.keys, strict=True)]

    @property
    def turned(self) -> list[str]:
        """The same with the texts of pairs in the other order."""
        return [BETWEEN.join(keys[::-1]) for keys in zip(*self.keys, strict=True)]

    @cached_property
    def entities(self) -> list[tuple[str, str]]:
        """Type and words of each tagged entity; empty for tags without a beginning."""
        if not self._tagging or self.labels is None:
            return []
        found = []
        for words, tags in zip(self.columns[0], self.labels, strict=True):
            # an intent stands in front of the tags
            own = tags[len(tags) - len(words) :]
            found += [(kind, as_text(words[start:end])) for kind, start, end in _spans(own)]
        return found


def _spans(tags: Sequence[str]) -> list[tuple[str, int, int]]:
    """Entities by IOB rules, from left to right; none where the tags are of another kind."""
    from transferlab.ground.errors import TransferlabError
    from transferlab.tasks.iob import spans

    try:
        return sorted(spans(tags), key=lambda span: span[1])
    except TransferlabError:
        return []


def read_examples(source: Source, rows: Rows) -> Examples:
    """The examples of a split, with labels where all of them have one.

    Raises:
        TransferlabError: A text column that is not there.
    """
    require_columns(rows, source, labelled=False)
    columns = [rows.rows[name][:] for name in source.text]
    labels = _labels(source, rows)
    return Examples(columns, labels, source.worded, source.kind == "relation")


def _labels(source: Source, rows: Rows) -> list[Any] | None:
    if source.label not in rows.rows.column_names:
        return None
    stored = stored_names(rows.rows, source.label)
    cells = rows.rows[source.label][:]
    if source.kind == "text":
        return [cell if isinstance(cell, str) else tuple(cell) for cell in cells]
    if source.kind == "qa":
        return [tuple(sorted(str(answer["text"]) for answer in cell)) for cell in cells]
    if any(is_empty(cell) if not isinstance(cell, list) else False for cell in cells):
        return None
    if source.kind == "regression":
        # the Hub hides targets as it hides classes
        return None if set(cells) == {-1} else _numbers(cells)
    names = stored or source.labels
    if "-1" not in names and all(cell == -1 for cell in cells):
        # the Hub's way to hide labels
        return None
    known: dict[Any, str] = {}

    def name(value: Any) -> str:
        if value not in known:
            by_number = isinstance(value, int) and 0 <= value < len(names) and str(value) not in names
            known[value] = names[value] if by_number else label_text(value)
        return known[value]

    if source.kind == "multilabel":
        # a set of labels has no order
        return [tuple(sorted({name(value) for value in cell})) for cell in cells]
    return [tuple(map(name, cell)) if isinstance(cell, list) else name(cell) for cell in cells]


def _numbers(cells: Sequence[Any]) -> list[float] | None:
    try:
        return [float(cell) for cell in cells]
    except (TypeError, ValueError):
        return None


def labels_of_examples(source: Source, examples: Examples) -> dict[str, Any] | None:
    """How often each label is there; of targets the least, the mean and the largest, of tags entities of each type."""
    if examples.labels is None:
        return None
    if source.kind == "regression":
        values = np.asarray(examples.labels)
        return {"least": float(values.min()), "mean": float(values.mean()), "largest": float(values.max())}
    if source.kind == "text":
        return None
    if source.kind == "qa":
        return dict(Counter("an answer" if label else "no answer" for label in examples.labels).most_common())
    if source.worded:
        if examples.entities:
            intents = [tags[0].removeprefix(INTENT) for tags in examples.labels] if source.kind == "slots" else []
            found = Counter(kind for kind, _ in examples.entities)
            return dict(Counter(intents).most_common()) | dict(found.most_common())
        return dict(Counter(tag for tags in examples.labels for tag in tags if tag != OUTSIDE).most_common())
    flat = (name for label in examples.labels for name in (label if isinstance(label, tuple) else (label,)))
    return dict(Counter(flat).most_common())
