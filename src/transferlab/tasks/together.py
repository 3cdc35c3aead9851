"""Hold-outs and folds that keep together what belongs together, so that no text stands on both sides."""

from collections.abc import Callable
from typing import Any

import numpy as np

from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.lean import import_sklearn
from transferlab.tasks.inspection.groups import Groups, by_sentence, by_text, by_value
from transferlab.tasks.inspection.plain import as_text, key_of
from transferlab.tasks.marked import plain
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.spec import Source

Indices = np.ndarray[Any, Any]
EXAMPLE, TEXT, SENTENCE = "example", "text", "sentence"
WORDS = (EXAMPLE, TEXT, SENTENCE)
TRIES = 10
"""Assignments of groups to folds that are compared."""
PARTS = (10, 3, 1)
"""What part of a hold-out a single group may be; the next one where too little is left without larger groups."""


def refuse_unfit(source: Source, by: str | None) -> None:
    """Refuses what cannot be kept together, as far as it shows without reading.

    Raises:
        TransferlabError: Names the key and the remedy.
    """
    if by == SENTENCE and (source.worded or len(source.text) > 1):
        what = "tagged words" if source.worded else "pairs"
        raise TransferlabError(f"data.holdout_by: sentence is for single texts, not for {what}; take text or a column.")


def groups_of(source: Source, rows: Rows, by: str) -> Groups:
    """What belongs together in the rows of a split, by text, by sentence or by a column.

    Raises:
        TransferlabError: No such column, or all examples in one group.
    """
    if by in (TEXT, SENTENCE):
        # a sentence stays on one side, whichever of its entities are marked
        bare = plain if source.kind == "relation" else as_text
        cells = [[bare(cell) for cell in rows.rows[name][:]] for name in source.text]
        keys = [[key_of(cell) for cell in column] for column in cells]
        found = by_text(keys) if by == TEXT else by_sentence(cells[0], keys[0])
    else:
        known = rows.rows.column_names
        if by not in known:
            raise TransferlabError(
                f"data.holdout_by: {rows.origin} has no column {by!r}{near(by, [*WORDS, *known])}. It is one of "
                f"{', '.join(WORDS)}, or a column: {', '.join(known)}."
            )
        found = by_value(rows.rows[by][:])
    if len(found.number) and found.number.max() == 0:
        raise TransferlabError(
            f"data.holdout_by: by {by} all examples of {rows.origin} belong together, so that none can be held out; "
            "take another column, or example."
        )
    return found


def hold_out(groups: Groups, rows: Indices, strata: Indices | None, size: Callable[[int], int], seed: int) -> Indices:
    """Draws groups at random until enough examples are held out, with the shares of the classes.

    A group is taken where it fits: into what is missing, in all and of each class, and as no more than a tenth of the
    whole, so that no text decides alone (where larger groups leave too little, a third, then any). So of equally large
    groups each is as likely to be held out, and the largest ones train.

    Args:
        groups: What belongs together, for all examples.
        rows: The examples to divide.
        strata: Class of each example; None without.
        size: How many are to be held out of so many that may be.
        seed: Of the draw.

    Returns:
        The examples to select on, ascending: of phrases the sentences. Others of their groups belong to neither side.
    """
    candidates = rows[groups.whole[rows]]
    wanted = size(len(candidates))
    classes = _classes(len(groups.number), strata)
    width = int(classes.max()) + 1
    quota = np.ceil(np.bincount(classes[candidates], minlength=width) * wanted / len(candidates))
    members = _members(groups.number, candidates)
    generator = np.random.default_rng(seed)
    taken: dict[int, None] = {}
    total, counts = 0, np.zeros(width)
    for part in PARTS:
        for place in generator.permutation(len(members)):
            own = members[place]
            if len(own) > min(max(1, wanted // part), wanted - total) or place in taken:
                continue
            more = counts + np.bincount(classes[own], minlength=width)
            if part > 1 and (more > quota).any():
                continue
            taken[place], total, counts = None, total + len(own), more
            if total >= wanted:
                break
        if total >= 0.9 * wanted:
            break
    if not taken:
        # every group is larger than what was asked for
        taken[min(range(len(members)), key=lambda place: len(members[place]))] = None
    return np.sort(np.concatenate([members[place] for place in taken]))


def without(groups: Groups, rows: Indices, held: Indices) -> Indices:
    """The examples of which no other one of their group is held out."""
    kept: Indices = rows[~np.isin(groups.number[rows], groups.number[held])]
    return kept


def _members(number: Indices, rows: Indices) -> list[Indices]:
    """The examples of each group, in the order of the groups."""
    ordered = rows[np.argsort(number[rows], kind="stable")]
    starts = np.unique(number[ordered], return_index=True)[1]
    return np.split(ordered, starts[1:])


def folds(count: int, parts: int, strata: Indices | None, groups: Groups | None, seed: int) -> Indices:
    """The fold of each example: a random partition, with the shares of the classes and with groups kept whole.

    Groups are spread by scikit-learn's StratifiedGroupKFold (GroupKFold without classes). It takes them as they come,
    and may leave a fold without a class where another order would not, so `TRIES` orders are compared, and the one is
    taken whose folds are nearest to one another in size and classes.

    Args:
        count: Number of examples.
        parts: Number of folds.
        strata: Class of each example; None without.
        groups: What belongs together; None: nothing.
        seed: Of the partition.

    Raises:
        TransferlabError: Fewer groups than folds, or a class that a training part would lack.
    """
    units = count if groups is None else int(groups.number.max()) + 1
    if not 2 <= parts <= units:
        what = "examples" if groups is None else "groups of examples that belong together"
        raise TransferlabError(f"data.folds: {parts} is not in 2 .. {units}, the number of {what}.")
    numbers = range(1 if groups is None else TRIES)
    tried = [_folds(count, parts, strata, groups, seed * TRIES + number) for number in numbers]
    best = min(tried, key=lambda found: _unevenness(found, parts, strata))
    if strata is not None:
        # of several labels an example what is below 0 is no class
        classes = np.unique(strata[strata >= 0])
        for fold in range(parts):
            if len(lacking := np.setdiff1d(classes, strata[best != fold])):
                raise TransferlabError(
                    f"data.folds: all examples of class number {lacking[0]} are in one fold, so that training without "
                    "it would not know the class; give more examples of it, or leave it out."
                )
    return best


def _folds(count: int, parts: int, strata: Indices | None, groups: Groups | None, seed: int) -> Indices:
    import_sklearn()
    from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

    rare = strata is None or np.bincount(_classes(count, strata)).max() < parts
    kinds = (KFold, StratifiedKFold) if groups is None else (GroupKFold, StratifiedGroupKFold)
    number = None if groups is None else groups.number
    found = np.empty(count, dtype=np.int64)
    splits = kinds[not rare](parts, shuffle=True, random_state=seed).split(np.zeros(count), strata, number)
    for fold, (_, rows) in enumerate(splits):
        found[rows] = fold
    return found


def _classes(count: int, strata: Indices | None) -> Indices:
    """The class of each example, counted from 0; one for all without strata."""
    found: Indices = np.zeros(count, dtype=np.int64) if strata is None else np.unique(strata, return_inverse=True)[1]
    return found


def _unevenness(found: Indices, parts: int, strata: Indices | None) -> float:
    """The largest difference between two folds in the share of a class, or of all examples, that they hold."""
    classes = _classes(len(found), strata)
    table = np.zeros((parts, int(classes.max()) + 1))
    np.add.at(table, (found, classes), 1)
    table = np.concatenate([table, table.sum(1, keepdims=True)], 1)
    shares = table / np.maximum(table.sum(0), 1)
    return float((shares.max(0) - shares.min(0)).max())
