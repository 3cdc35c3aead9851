"""Which rows train, which select checkpoints, which test: the protocol that makes numbers trustworthy."""

from typing import Any, Literal, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.spec import Source

Selection = Literal["holdout", "official"]
Indices = np.ndarray[Any, Any]
MAX_HOLDOUT = 2000


class Protocol(NamedTuple):
    """Which rows train and which select.

    Attributes:
        selection: ``holdout``: checkpoints are selected on rows that are never tested on. ``official``: on the
            official validation split, as papers do; for GLUE that is also the test.
        holdout: Part of the training examples held out where a task has no validation split of its own; at most
            2,000.
        train_fraction: Part of the remaining training examples to train on.
        train_examples: Number of the remaining training examples to train on.
        seed: Seed of the holdout and of the sub-sample.
    """

    selection: Selection = "holdout"
    holdout: float = 0.1
    train_fraction: float | None = None
    train_examples: int | None = None
    seed: int = 0


def validation_split(source: Source, selection: Selection) -> str:
    """The split that selects checkpoints; empty when it is carved from the training examples."""
    if selection == "official":
        return source.validation or (source.test[0] if source.test else "")
    return source.validation


def carve(labels: Indices | None, count: int, protocol: Protocol, carve_validation: bool) -> tuple[Indices, Indices]:
    """Splits the training examples into (train, validation), stratified by `labels` where they are given.

    The validation part depends on the seed alone, so runs with another label fraction select on the same rows.

    Raises:
        TransferlabError: Both or impossible sub-sample sizes.
    """
    if protocol.train_fraction is not None and protocol.train_examples is not None:
        raise TransferlabError("data.train_fraction and data.train_examples exclude each other; set one of them.")
    train, validation = np.arange(count), np.arange(0)
    if carve_validation:
        if not 0 < protocol.holdout < 1:
            raise TransferlabError(f"data.holdout: {protocol.holdout} is not in (0, 1).")
        size = min(max(2, round(protocol.holdout * count)), MAX_HOLDOUT)
        if count - size < 2:
            raise TransferlabError(
                f"data.holdout: {count} training examples are too few to hold out {size} for validation."
            )
        train, validation = _split(train, labels, count - size, protocol.seed)
    wanted = _wanted(len(train), protocol)
    if wanted < len(train):
        train, _ = _split(train, labels, wanted, protocol.seed)
    return np.sort(train), np.sort(validation)


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


def _split(rows: Indices, labels: Indices | None, first: int, seed: int) -> tuple[Indices, Indices]:
    from sklearn.model_selection import train_test_split

    strata = labels[rows] if labels is not None else None
    if strata is not None:
        counts = np.unique(strata, return_counts=True)[1]
        # stratifying needs two rows of every class and one place for each class on both sides
        if counts.min() < 2 or min(first, len(rows) - first) < len(counts):
            strata = None
    taken, left = train_test_split(rows, train_size=first, random_state=seed, stratify=strata)
    return taken, left
