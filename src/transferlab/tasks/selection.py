"""Which rows train, which select checkpoints, which test: the protocol that makes numbers trustworthy."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.ground.lean import import_sklearn
from transferlab.tasks.inspection.groups import Groups
from transferlab.tasks.spec import Source
from transferlab.tasks.together import EXAMPLE, hold_out, without

Selection = Literal["holdout", "official"]
Selecting = int | Literal["training"]
Indices = np.ndarray[Any, Any]
MAX_HOLDOUT = 2000
LEAST_SELECTING = 100
"""As many examples select with ``validation_examples: training``, however few train."""


class Protocol(NamedTuple):
    """Which rows train and which select.

    Attributes:
        selection: ``holdout``: checkpoints are selected on rows that are never tested on. ``official``: on the
            official validation split, as papers do; for GLUE that is also the test.
        holdout: Part of the training examples held out where a task has no validation split of its own; at most
            2,000.
        train_fraction: Part of the remaining training examples to train on.
        train_examples: Number of the remaining training examples to train on.
        seed: Seed of the holdout, of the sub-sample and of the folds.
        holdout_by: What a hold-out and folds keep together: ``example`` (nothing), ``text``, ``sentence`` or a column;
            None: what the inspection of the examples advises.
        folds: Number of folds that the training examples are divided into; None: no cross-validation.
        fold: The fold that is tested on, from 0.
        per_class: Number of the remaining training examples of each class to train on.
        validation_examples: Number of the validation examples that select, at most; ``training``: as many as train, but
            100 at least. None: all.
    """

    selection: Selection = "holdout"
    holdout: float = 0.1
    train_fraction: float | None = None
    train_examples: int | None = None
    seed: int = 0
    holdout_by: str | None = None
    folds: int | None = None
    fold: int = 0
    per_class: int | None = None
    validation_examples: Selecting | None = None


def validation_split(source: Source, selection: Selection) -> str:
    """The split that selects checkpoints; empty when it is carved from the training examples."""
    if selection == "official":
        return source.validation or (source.test[0] if source.test else "")
    return source.validation


def carve(
    labels: Indices | None,
    count: int,
    protocol: Protocol,
    carve_validation: bool,
    groups: Groups | None = None,
    tested: Indices | None = None,
    names: Sequence[str] = (),
) -> tuple[Indices, Indices]:
    """Splits the training examples into (train, validation), stratified by `labels` where they are given.

    The validation part depends on the seed alone, so runs with another label fraction select on the same examples.

    Args:
        labels: Class of each example; None: no strata.
        count: Number of examples.
        protocol: Sizes and seed.
        carve_validation: Whether a validation part is held out.
        groups: What stays on one side; None: each example stands for itself.
        tested: Examples of the fold that is tested on; None without.
        names: What the classes are called.

    Raises:
        TransferlabError: Both or impossible sub-sample sizes, or a class with too few examples.
    """
    sizes = ("train_fraction", "train_examples", "per_class")
    if len(given := [f"data.{name}" for name in sizes if getattr(protocol, name) is not None]) > 1:
        raise TransferlabError(f"{' and '.join(given)} exclude each other; set one of them.")
    train, validation = np.arange(count), np.arange(0)
    if tested is not None:
        train = np.setdiff1d(train, tested) if groups is None else without(groups, train, tested)
    if carve_validation:
        if not 0 < protocol.holdout < 1:
            raise TransferlabError(f"data.holdout: {protocol.holdout} is not in (0, 1).")
        if groups is None:
            train, validation = _split(train, labels, len(train) - _held(len(train), protocol), protocol.seed)
        else:
            validation = hold_out(groups, train, labels, lambda there: _held(there, protocol), protocol.seed)
            train = without(groups, train, validation)
    if protocol.per_class is not None and labels is not None:
        train = of_each_class(train, labels, protocol.per_class, protocol.seed, names)
    wanted = _wanted(len(train), protocol)
    if wanted < len(train):
        train, _ = _split(train, labels, wanted, protocol.seed)
    return np.sort(train), np.sort(validation)


def of_each_class(rows: Indices, labels: Indices, count: int, seed: int, names: Sequence[str] = ()) -> Indices:
    """As many rows of every class, drawn by a seed; those of a smaller number are among those of a larger one.

    Args:
        rows: Rows to draw from.
        labels: Class of every row of the split.
        count: Rows of each class.
        seed: Of the draw.
        names: What the classes are called, for the message.

    Raises:
        TransferlabError: A class has fewer rows.
    """
    generator, drawn = np.random.default_rng(seed), []
    for number in np.unique(labels):
        there = generator.permutation(rows[labels[rows] == number])
        if len(there) < count:
            named = repr(names[number]) if names else number
            raise TransferlabError(
                f"data.per_class: {count} training examples of each class are wanted, but class {named} has "
                f"{len(there)} (validation examples left out); lower it, or set data.train_examples."
            )
        drawn.append(there[:count])
    return np.concatenate(drawn)


def _held(count: int, protocol: Protocol) -> int:
    """How many of so many examples are held out."""
    size = min(max(2, round(protocol.holdout * count)), MAX_HOLDOUT)
    if count - size < 2:
        raise TransferlabError(
            f"data.holdout: {count} training examples are too few to hold out {size} for validation."
        )
    return size


def selecting(rows: Indices, trained: int, protocol: Protocol) -> Indices:
    """The validation examples that select checkpoints; those of a smaller number are among those of a larger one.

    Args:
        rows: All validation examples.
        trained: Number of training examples.
        protocol: How many, and the seed of the draw.
    """
    most = protocol.validation_examples
    if most == "training":
        most = max(trained, LEAST_SELECTING)
    if most is None or most >= len(rows):
        return rows
    return np.sort(np.random.default_rng(protocol.seed).permutation(rows)[:most])


def name_of(protocol: Protocol, by: str) -> str:
    """The protocol in the column of tables: runs of different ones are never averaged or compared.

    Args:
        protocol: The protocol.
        by: What is kept together; empty or ``example``: nothing.
    """
    kept = f" by {by}" if by not in ("", EXAMPLE) else ""
    few = protocol.validation_examples
    most = "" if few is None else f", at most {'as many as train' if few == 'training' else f'{few:,}'} select"
    if protocol.folds:
        return f"{protocol.folds} folds{kept}{most}"
    return f"{protocol.selection}{kept}{most}"


def _wanted(available: int, protocol: Protocol) -> int:
    if protocol.train_fraction is not None:
        if not 0 < protocol.train_fraction <= 1:
            raise TransferlabError(f"data.train_fraction: {protocol.train_fraction} is not in (0, 1].")
        return max(2, round(protocol.train_fraction * available))
    if protocol.train_examples is not None:
        if not 2 <= protocol.train_examples <= available:
            raise TransferlabError(f"data.train_examples: {protocol.train_examples} is not in 2 .. {available}.")
        return protocol.train_examples
    return available


def sample(count: int, wanted: int | None) -> Indices:
    """Row numbers of a test split that are tested on: all, or some that are the same for every seed.

    Raises:
        TransferlabError: More than there are, or too few.
    """
    if wanted is None:
        return np.arange(count)
    if not 2 <= wanted <= count:
        raise TransferlabError(f"data.test_examples: {wanted} is not in 2 .. {count}.")
    return np.sort(np.random.default_rng(0).permutation(count)[:wanted])


def drawn(rows: Indices, labels: Indices | None, count: int, seed: int) -> Indices:
    """Some rows, stratified where labels are given.

    Args:
        rows: Rows to draw from, more than `count`.
        labels: Class of every row of the split.
        count: How many.
        seed: Of the draw.
    """
    return np.sort(_split(rows, labels, count, seed)[0])


def _split(rows: Indices, labels: Indices | None, first: int, seed: int) -> tuple[Indices, Indices]:
    import_sklearn()
    from sklearn.model_selection import train_test_split

    strata = labels[rows] if labels is not None else None
    if strata is not None:
        counts = np.unique(strata, return_counts=True)[1]
        # stratifying needs two rows of every class and one place for each class on both sides
        if counts.min() < 2 or min(first, len(rows) - first) < len(counts):
            strata = None
    taken, left = train_test_split(rows, train_size=first, random_state=seed, stratify=strata)
    return taken, left
