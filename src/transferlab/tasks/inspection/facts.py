"""What is found in the splits of a task: how many examples, which labels, how long, what stands there twice or shared.

Everything here is plain data, so that it can be kept on disk and in a summary.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.words import parted
from transferlab.tasks.inspection import groups
from transferlab.tasks.inspection.nearest import nearest
from transferlab.tasks.inspection.plain import Numbers, as_text
from transferlab.tasks.inspection.read import Examples, labels_of_examples, read_examples
from transferlab.tasks.kept import name_of, stored_facts
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.sources import identity
from transferlab.tasks.spec import Source
from transferlab.tasks.tagset import read_alike

Facts = dict[str, Any]
Read = Callable[[str], Rows]
"""Gives the rows of a split."""
VERSION = 2
"""Part of the name of what is kept; to be raised when something else is found."""
SOME = 0.01
"""Share of examples with a text in common from which a random hold-out is not trusted."""
PHRASES = 0.2
"""Share of texts that are part of another one from which they are phrases of sentences."""
SENTENCES = 100
"""Sentences from which they can be held out as wholes."""
LARGEST = 0.5
"""Share of examples that may belong together."""
MOST = 200_000
"""Examples up to which phrases are looked for."""


class _Seen(NamedTuple):
    """The texts of the training split.

    Attributes:
        exact: As they are.
        plain: Without case and punctuation.
        single: The single texts of all text columns, plain.
        labels: Number of each plain text -> how often each label.
        entities: Type and words of each entity.
    """

    exact: Numbers
    plain: Numbers
    single: Numbers
    labels: dict[int, Counter[Any]]
    entities: set[Any]


def inspect(source: Source, read: Read, splits: Sequence[str], near: bool = False) -> Facts:
    """Inspects splits of a task.

    Args:
        source: The task.
        read: Gives the rows of a split.
        splits: Their names; the training split is inspected in any case.
        near: Whether to look up the nearest training text too, which takes longest.

    Returns:
        ``train``, the name of the training split; ``splits``: for each what `_of_split` finds; ``against``: for each
        but the training split what `_against` finds; ``between``: pairs of these others and the number of examples of
        the second one that stand in the first too, without case and punctuation; ``holdout_by``: what a hold-out should
        keep together, ``example``, ``text`` or ``sentence``.
    """
    read = read_alike(source, read, splits) if source.worded else read
    train = read_examples(source, read(source.train))
    of_train = _of_split(source, train)
    shared = _shared(source, train)
    seen = _seen(train)
    found: Facts = {"train": source.train, "splits": {source.train: of_train | shared}, "against": {}, "between": []}
    others: dict[str, Numbers] = {}
    for split in dict.fromkeys(splits):
        if split != source.train:
            other = read_examples(source, read(split))
            found["splits"][split] = _of_split(source, other)
            found["against"][split] = _against(source, seen, other)
            found["between"] += [[name, split, _met(known, other)] for name, known in others.items()]
            others[split] = Numbers()
            others[split].of(other.plain)
            if near and source.kind == "classification" and train.labels and other.labels:
                found["against"][split]["nearest"] = nearest(train.exact, train.labels, other.exact, other.labels)
    found["holdout_by"] = decide(shared)
    return found


def _met(known: Numbers, other: Examples) -> int:
    return sum(number >= 0 for number in known.look_up(other.plain))


def kept_inspection(source: Source, read: Read, splits: Sequence[str], near: bool = False) -> Facts:
    """The same, kept on disk under what names the rows, so that a second start reads none of them."""
    rows = identity(source)
    if rows is None:
        return inspect(source, read, splits, near)
    name = name_of("inspection", VERSION, rows, asdict(source), list(splits), near)
    return stored_facts(name, lambda: inspect(source, read, splits, near))


def decide(shared: Facts) -> str:
    """What a hold-out should keep together, by what the training examples share.

    With `PHRASES` of the texts inside another one these are phrases of sentences, where there are at least `SENTENCES`
    of these; with `SOME` examples that have a text in common, texts; else each example stands for itself, as where most
    of them would have to stay together (one question asked of every text).
    """
    if (shared.get("inside") or 0) >= PHRASES and shared["sentences"] >= SENTENCES:
        return "sentence"
    return "text" if shared["shared"] >= SOME and shared["largest"] <= LARGEST else "example"


def _of_split(source: Source, examples: Examples) -> Facts:
    """Number, labels, lengths in words and characters, repeated and contradictory texts of a split."""
    exact, plain = examples.exact, examples.plain
    return {
        "examples": len(exact),
        "labels": labels_of_examples(source, examples),
        "words": _spread([sum(len(parted(as_text(cell))) for cell in cells) for cells in examples.cells]),
        "characters": _spread([sum(len(as_text(cell)) for cell in cells) for cells in examples.cells]),
        "exact": _repeated(exact, examples.labels),
        "plain": _repeated(plain, examples.labels),
    }


def _spread(lengths: Sequence[int]) -> Facts:
    middle, high = np.quantile(lengths, (0.5, 0.95), method="lower").tolist()
    return {"median": int(middle), "high": int(high), "longest": int(max(lengths))}


def _repeated(keys: Sequence[str], labels: Sequence[Any] | None) -> Facts:
    """Surplus examples whose text was there before, texts that come several times, and those with different labels."""
    numbers = Numbers()
    number = numbers.of(keys)
    sizes = np.bincount(number)
    contradictory = None
    if labels is not None:
        first: dict[int, Any] = {}
        other = {text for text, label in zip(number, labels, strict=True) if first.setdefault(text, label) != label}
        contradictory = len(other)
    return {
        "surplus": len(keys) - len(numbers),
        "texts": int((sizes > 1).sum()),
        "contradictory": contradictory,
    }


def _shared(source: Source, train: Examples) -> Facts:
    """Share of training examples with a text in common and in the largest group of these, and of phrases."""
    together = groups.by_text(train.shared)
    largest = float(np.bincount(together.number).max()) / len(together.number)
    found: Facts = {"shared": round(together.shared, 4), "largest": round(largest, 4)}
    if not source.worded and len(source.text) == 1 and len(train.exact) <= MOST:
        sentences = int(groups.by_sentence([as_text(cell) for cell in train.columns[0]], train.keys[0]).whole.sum())
        found |= {"inside": round(1 - sentences / len(set(train.plain)), 4), "sentences": sentences}
    return found


def _seen(train: Examples) -> _Seen:
    exact, plain, single = Numbers(), Numbers(), Numbers()
    exact.of(train.exact)
    labels: dict[int, Counter[Any]] = {}
    for number, label in zip(plain.of(train.plain), train.labels or (), strict=False):
        labels.setdefault(number, Counter())[label] += 1
    for column in train.keys:
        single.of(column)
    return _Seen(exact, plain, single, labels, set(train.entities))


def _against(source: Source, seen: _Seen, other: Examples) -> Facts:
    """What of a split also stands in the training split, and how far looking it up there gets.

    Returns:
        ``exact``, ``plain`` (without case and punctuation, the exact ones included) and ``swapped`` (pairs that stand
        there in the other order only): numbers of examples. ``right``: of all these, those whose most frequent label in
        training is their own; None without labels. ``either``, ``columns``: share of pairs with either text, and with
        the first and the second one, in training. ``entities``: share of entities that training has.
    """
    known = seen.plain.look_up(other.plain)
    swapped = [-1] * len(known)
    if len(source.text) == 2:
        turned = seen.plain.look_up(other.turned)
        swapped = [other if one < 0 else -1 for one, other in zip(known, turned, strict=True)]
    found: Facts = {
        "exact": sum(number >= 0 for number in seen.exact.look_up(other.exact)),
        "plain": sum(number >= 0 for number in known),
        "swapped": sum(number >= 0 for number in swapped),
        "right": _right(seen, [max(pair) for pair in zip(known, swapped, strict=True)], other.labels),
    }
    if len(source.text) == 2:
        inside = [[number >= 0 for number in seen.single.look_up(column)] for column in other.keys]
        found["columns"] = [round(float(np.mean(column)), 4) for column in inside]
        found["either"] = round(float(np.mean(np.any(inside, axis=0))), 4)
    if other.entities:
        found["entities"] = round(float(np.mean([entity in seen.entities for entity in other.entities])), 4)
    return found


def _right(seen: _Seen, numbers: Sequence[int], labels: Sequence[Any] | None) -> int | None:
    if labels is None:
        return None
    pairs = [
        (seen.labels[number], label) for number, label in zip(numbers, labels, strict=True) if number in seen.labels
    ]
    return sum(bool(counts.most_common(1)[0][0] == label) for counts, label in pairs)
