"""The labels of a task, found in its rows once and kept on disk beside the tokens."""

from collections.abc import Callable
from dataclasses import asdict

from transferlab.tasks import kept
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.labels import Labels, flat_labels, label_names, nearly_equal, stored_names
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.sources import identity
from transferlab.tasks.spec import Source

Read = Callable[[str], Rows]
"""Gives the rows of a split."""


def labels_of(source: Source, read: Read) -> Labels:
    """The labels of a task: those that the source names, else those of the training examples.

    Args:
        source: Where the rows lie.
        read: Called where rows have to be looked at.

    Raises:
        TransferlabError: Rows without labels, or with a single one.
    """
    if source.labels or not KINDS[source.kind].named:
        return Labels(source.labels, ordered=True)
    rows = identity(source)
    if rows is None:
        return _found(source, read)
    facts = kept.stored_facts(kept.name_of(rows, asdict(source), "labels"), lambda: _found(source, read)._asdict())
    return Labels(tuple(facts["names"]), facts["ordered"], tuple(facts["notes"]))


def _found(source: Source, read: Read) -> Labels:
    rows = read(source.train)
    names = label_names(rows, source)
    ordered = bool(stored_names(rows.rows, source.label))
    note = "" if ordered else nearly_equal(flat_labels(rows, source))
    return Labels(names, ordered, (f"{rows.origin}: {note}",) if note else ())
