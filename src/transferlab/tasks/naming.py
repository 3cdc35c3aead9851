"""The labels of a task, found in its rows once and kept on disk beside the tokens."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import kept, tagset
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.labels import Labels, flat_labels, is_labelled, label_names, nearly_equal, stored_names
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.sources import identity
from transferlab.tasks.spec import INTENT, Source

Read = Callable[[str], Rows]
"""Gives the rows of a split."""


def labels_of(source: Source, read: Read, labelled: Sequence[str] = ()) -> Labels:
    """The labels of a task: those that the source names, else those of the training examples.

    Args:
        source: Where the rows lie.
        read: Called where rows have to be looked at.
        labelled: The labelled splits beside the training split, whose tags are looked at too.

    Raises:
        TransferlabError: Rows without labels, or with a single one; tags of no scheme.
    """
    tagging = source.worded
    if not KINDS[source.kind].named or (source.labels and not tagging):
        return Labels(source.labels, ordered=True)
    find = partial(_tags, source, read, labelled) if tagging else partial(_found, source, read)
    rows = identity(source)
    if rows is None:
        return find()
    # of classes only the training examples decide
    parts = ["tags", *labelled] if tagging else ["labels"]
    facts = kept.stored_facts(kept.name_of(rows, asdict(source), *parts), lambda: find()._asdict())
    scheme = facts.get("scheme")
    return Labels(tuple(facts["names"]), facts["ordered"], tuple(facts["notes"]), Scheme(*scheme) if scheme else None)


def _found(source: Source, read: Read) -> Labels:
    rows = read(source.train)
    names = label_names(rows, source)
    ordered = bool(stored_names(rows.rows, source.label))
    note = "" if ordered else nearly_equal(flat_labels(rows, source))
    return Labels(names, ordered, (f"{rows.origin}: {note}",) if note else ())


def _tags(source: Source, read: Read, labelled: Sequence[str]) -> Labels:
    rows = read(source.train)
    others = [(split, read(split)) for split in dict.fromkeys(labelled) if split != source.train]
    there = [(split, other) for split, other in others if is_labelled(other.rows, source)]
    found = tagset.find(source, [(source.train, rows), *there])
    counts = found.counts()
    given = tuple(name for name in source.labels if not name.startswith(INTENT))
    if source.kind == "slots":
        if found.scheme is not None and found.scheme.name == "tags":
            raise TransferlabError(
                f"{rows.origin}: the tags in column {source.label!r} mark no slots; write them as O, B-city and "
                "I-city, or use data.source.kind: tagging for tags of another sort."
            )
        for split, read_split in [(source.train, rows), *there]:
            counts[split].update(tags[0] for tags in read_split.rows[source.label][:] if tags)
    known = counts.pop(source.train)
    seen = [tag for tags in found.tagged[0].tags for tag in tags]
    if given:
        names = found.names(given)
    elif found.converted:
        names = ("O", *sorted(tag for tag in known if tag != "O" and not tag.startswith(INTENT)))
    else:
        names = label_names(rows, source)
    if source.kind == "slots":
        names = _with_intents(names, source, known)
        seen += (name for name in known.elements() if name.startswith(INTENT))
    # a tag of the test alone cannot be learned, but it is there to be found
    elsewhere: Counter[str] = sum(counts.values(), Counter())
    unknown = sorted(tag for tag in elsewhere if tag not in known and tag not in names)
    notes = [*found.notes]
    if unknown:
        listed = ", ".join(f"{tag} ({elsewhere[tag]:,})" for tag in unknown)
        notes.append(f"not in {source.train}, so not learned and counted as missed in {' and '.join(counts)}: {listed}")
    ordered = bool(given or stored_names(rows.rows, source.label))
    if not ordered and (alike := nearly_equal(seen)):
        notes.append(f"{rows.origin}: {alike}")
    # intents stand behind all tags
    whole = sorted((*names, *unknown), key=lambda name: name.startswith(INTENT))
    return Labels(tuple(whole), ordered, tuple(notes), found.scheme)


def _with_intents(names: Sequence[str], source: Source, known: Counter[str]) -> tuple[str, ...]:
    """The tags and then the intents: those that the source names, else those of the training examples."""
    intents = [name for name in source.labels if name.startswith(INTENT)]
    tags = (name for name in names if not name.startswith(INTENT))
    return (*tags, *(intents or sorted(name for name in known if name.startswith(INTENT))))
