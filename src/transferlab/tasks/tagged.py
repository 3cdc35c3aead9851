"""The tags of a task as they are written, and as IOB2."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.labels import flat_labels, is_empty, label_text, stored_names
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.schemes import IOB2, Scheme
from transferlab.tasks.spec import Source


class Tagged(NamedTuple):
    """The tags of a split as text.

    Attributes:
        name: Of the split.
        rows: Its rows.
        tags: A list for each sentence; None for an empty cell.
    """

    name: str
    rows: Rows
    tags: list[list[str | None]]

    def place(self, tag: str) -> str:
        """Where a tag stands first."""
        row, word = next((r, w) for r, tags in enumerate(self.tags) for w, own in enumerate(tags) if own == tag)
        return self.rows.place(row, word)


class Found(NamedTuple):
    """What was found out.

    Attributes:
        scheme: None for IOB2 as it is spelled inside, which is left as it stands.
        tagged: The splits with tags as they are written.
        notes: What the user should know.
    """

    scheme: Scheme | None
    tagged: tuple[Tagged, ...]
    notes: tuple[str, ...]

    @property
    def converted(self) -> bool:
        """Whether the tags have to be read as IOB2."""
        return self.scheme is not None and self.scheme.name != "tags"

    def counts(self) -> dict[str, Counter[str]]:
        """How often each tag stands in each split, in IOB2."""
        return {split.name: Counter(tag for tags in split.tags for tag in self._read(tags)) for split in self.tagged}

    def _read(self, tags: list[str | None]) -> list[str]:
        if self.scheme is None or not self.converted:
            return [tag for tag in tags if tag is not None]
        return self.scheme.read([tag or self.scheme.outside for tag in tags])

    def names(self, given: Sequence[str]) -> tuple[str, ...]:
        """Labels in the order that the user gives, in IOB2.

        Raises:
            TransferlabError: One that is spelled otherwise than the tags of the data.
        """
        if self.scheme is None or not self.converted:
            return tuple(given)
        found = dict.fromkeys(tag for name in given for tag in self._inside(name))
        tags = (tag for sentence in self.tagged[0].tags for tag in sentence if tag)
        unknown = next((tag for tag in tags if self._inside(tag)[0] not in found), None)
        if unknown:
            raise TransferlabError(
                f"{self.tagged[0].place(unknown)}: {unknown!r} is not in data.source.labels: {', '.join(given)}."
            )
        return tuple(found)

    def _inside(self, tag: str) -> list[str]:
        """The tags of IOB2 that a tag of this spelling may become."""
        assert self.scheme is not None
        pair = self.scheme.split(tag) or IOB2.split(tag)
        if pair is None:
            raise TransferlabError(
                f"data.source.labels: {tag!r} is no tag of {self.scheme.name}, as those of the data."
            )
        role, kind = pair
        if role == "O":
            return ["O"]
        if self.scheme.name in ("IO", "IOB1"):
            return [IOB2.spell("B", kind), IOB2.spell("I", kind)]
        return [IOB2.spell("B" if role in "BS" else "I", kind)]


def _first(source: Source) -> int:
    """Where the tags begin in a cell: behind the intent, where there is one."""
    return int(source.kind == "slots")


def tags_of(rows: Rows, source: Source) -> list[list[str | None]]:
    """The tags of a split as text: names of class numbers where they have names.

    Raises:
        TransferlabError: A cell is no list of tags; names the row.
    """
    flat = flat_labels(rows, source)
    stored = stored_names(rows.rows, source.label)
    given = () if any(name.lstrip("-").isdigit() for name in source.labels) else source.labels
    names = stored or (given if all(label_text(tag).isdecimal() for tag in flat if not is_empty(tag)) else ())
    known: dict[Any, str | None] = {}
    for value in set(flat):
        number = int(label_text(value)) if names and label_text(value).isdecimal() else -1
        named = 0 <= number < len(names)
        known[value] = None if is_empty(value) else names[number] if named else label_text(value)
    cells: list[list[Any]] = rows.rows[source.label][:]
    beyond = [value for value in known if names and label_text(value).isdecimal() and known[value] not in names]
    if beyond:
        row, word = next((r, w) for r, cell in enumerate(cells) for w, tag in enumerate(cell) if tag == beyond[0])
        raise TransferlabError(
            f"{rows.place(row, word)}: the class number {beyond[0]} has no name; there are {len(names)}: "
            f"{', '.join(names)} (data.source.labels)."
        )
    return [[known[value] for value in cell[_first(source) :]] for cell in cells]


def in_iob2(rows: Rows, source: Source, scheme: Scheme) -> Rows:
    """The rows of a split with tags in IOB2; an empty cell stays empty.

    Args:
        rows: As they were read.
        source: Names the column.
        scheme: How it is spelled.
    """
    if scheme.name == "tags":
        return rows
    cells = []
    for cell, tags in zip(rows.rows[source.label][:], tags_of(rows, source), strict=True):
        new = scheme.read([tag or scheme.outside for tag in tags])
        read = [tag if old else None for old, tag in zip(tags, new, strict=True)]
        cells.append([*cell[: _first(source)], *read])
    return rows._replace(rows=rows.rows.remove_columns(source.label).add_column(source.label, cells))
