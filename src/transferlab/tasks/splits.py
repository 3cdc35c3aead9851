"""Which splits of a source train, select and test: by their names where none is named, and nothing without effect."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from transferlab.config.experiments import name_of_data
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.selection import Protocol, validation_split
from transferlab.tasks.sources import split_names
from transferlab.tasks.spec import Kind, Source
from transferlab.tasks.together import EXAMPLE, refuse_unfit

HOLDOUT = Protocol().holdout
OF_ONE_KIND: dict[str, tuple[Kind, str]] = {
    "label_delimiter": ("multilabel", "multilabel tasks"),
    "label_columns": ("multilabel", "multilabel tasks"),
    "negative": ("relation", "tasks of relations"),
    "intent": ("slots", "tasks of intents and slots"),
    "language": ("text", "tasks whose texts are written"),
    "document": ("text", "tasks whose texts are written"),
    "skip_empty": ("text", "tasks whose texts are written"),
}
"""Keys of a source that one kind has, and what its tasks are called."""


class Predicted(NamedTuple):
    """Splits to predict.

    Attributes:
        splits: Their names, ``split`` or ``config/split``.
        names: What each is called in file names: ``predict``, ``predict_2``, ... by its place among the task's splits
            to predict, so that a split that is not there moves no other; ``predict_<split>`` for one that is not of
            them.
        missing: Splits of the task that the data does not have.
    """

    splits: list[str]
    names: list[str]
    missing: list[str]


def predicted(source: Source, chosen: tuple[str, ...] | None, at_hand: Callable[[str], bool]) -> Predicted:
    """Which splits to predict.

    Args:
        source: The task.
        chosen: What the user named; None: those of the task that the data has.
        at_hand: Whether a split need not be read.

    Raises:
        TransferlabError: One that the user named is not there, or none of the task's is.
    """
    of_task = source.predict or source.test
    wanted = of_task if chosen is None else chosen
    missing = [split for split in wanted if not at_hand(split) and not _exists(source, split)]
    if missing and (chosen is not None or len(missing) == len(wanted)):
        listed = ", ".join(split_names(source))
        raise TransferlabError(f"data.predict: the data has no split {' or '.join(missing)}. It has {listed}.")
    splits = [split for split in wanted if split not in missing]
    return Predicted(splits, [_file_name(split, of_task) for split in splits], missing)


def _exists(source: Source, split: str) -> bool:
    config, _, name = split.rpartition("/")
    try:
        return name in split_names(replace(source, config=config) if config else source)
    except TransferlabError:
        # a configuration that a copy lacks; that all of the data is out of reach shows where rows are read
        return False


def _file_name(split: str, of_task: tuple[str, ...]) -> str:
    if split not in of_task:
        return f"predict_{split.replace('/', '_')}"
    return file_name(of_task.index(split))


def file_name(number: int) -> str:
    """The stem of a file of predictions: ``predict``, ``predict_2``, ``predict_3``."""
    return "predict" if number == 0 else f"predict_{number + 1}"


def complete(source: Source) -> Source:
    """The source with the splits called ``validation`` and ``test``, where it has them and names no others.

    Raises:
        TransferlabError: The data set is not to be found; keys that exclude each other.
    """
    _check(source)
    if source.files or source.path == "embedded" or (source.validation and source.test):
        # files name their splits themselves
        return source
    there = split_names(source)
    used = {source.train, source.validation, *source.test, *source.predict}
    found = {name: name in there and name not in used for name in ("validation", "test")}
    return replace(
        source,
        validation=source.validation or ("validation" if found["validation"] else ""),
        test=source.test or (("test",) if found["test"] else ()),
    )


def unused(source: Source) -> tuple[str, ...]:
    """Splits of a source that nothing reads."""
    used = {source.train, source.validation, *source.test, *source.predict}
    return tuple(name for name in split_names(source) if name not in used)


def _check(source: Source) -> None:
    if not (source.path or source.files):
        raise TransferlabError("data.source: give either `path` (Hub name or folder) or `files`.")
    if source.path and source.files:
        raise TransferlabError("data.source: `path` and `files` exclude each other; leave one of them out.")
    for key in ("config", "revision"):
        if source.files and getattr(source, key):
            raise TransferlabError(f"data.source.{key}: this has no effect on `files`; leave it out.")
    for key, (kind, what) in OF_ONE_KIND.items():
        if source.kind != kind and getattr(source, key) not in (None, *(("",) if kind == "multilabel" else ())):
            raise TransferlabError(f"data.source.{key}: only {what} have it; set data.source.kind: {kind}.")
    most = KINDS[source.kind].texts
    if not KINDS[source.kind].least <= len(source.text) <= most:
        single = "one column with the marked texts" if KINDS[source.kind].marked else "one column with the words"
        several = "one or two columns" if KINDS[source.kind].least == 1 else "the columns of question and context"
        wanted = single if most == 1 else several
        raise TransferlabError(f"data.source.text: name {wanted}, not {len(source.text)}.")
    if source.labels and not KINDS[source.kind].named:
        raise TransferlabError(f"data.source.labels: {source.kind} has no label names; leave it out.")


def refuse_idle(source: Source, protocol: Protocol, test_examples: int | None) -> None:
    """Refuses keys that would change nothing.

    Raises:
        TransferlabError: Names the key and the remedy.
    """
    if test_examples is not None and not source.test:
        raise TransferlabError(
            f"data.test_examples: there is no test split to take them from ({_there(source)}); name one in "
            "data.source.test, or leave the key out."
        )
    if protocol.selection == "official" and not (source.validation or source.test):
        raise TransferlabError(
            f"data.selection: official selects on a validation or test split, and there is none ({_there(source)}); "
            "name one in data.source.validation, or use holdout."
        )
    if protocol.holdout != HOLDOUT and source.validation:
        raise TransferlabError(
            f"data.holdout: nothing is carved, since split {source.validation!r} selects; leave the key out."
        )


def refuse_idle_groups(source: Source, protocol: Protocol) -> None:
    """Refuses a `data.holdout_by` that would change nothing or cannot be.

    Raises:
        TransferlabError: Names the key and the remedy.
    """
    selects, by = validation_split(source, protocol.selection), protocol.holdout_by
    if by not in (None, EXAMPLE) and selects and not protocol.folds:
        raise TransferlabError(
            f"data.holdout_by: nothing is held out, since split {selects!r} selects; leave the key out."
        )
    refuse_unfit(source, by)


def folded(protocol: Protocol, folds: int | None, fold: int | None, test_examples: int | None) -> Protocol:
    """The protocol of a fold.

    Raises:
        TransferlabError: A number that there is not, or keys that exclude each other.
    """
    if folds is None:
        raise TransferlabError("data.fold: say of how many folds: set data.folds too.")
    if folds < 2:
        raise TransferlabError(f"data.folds: {folds} is too few; at least 2.")
    if fold is None or not 0 <= fold < folds:
        raise TransferlabError(
            f"data.fold: {fold} is not in 0 .. {folds - 1}. A sweep with `folds: {folds}` runs them all, as does "
            f"`transferlab seeds NAME --folds {folds}`."
        )
    if protocol.selection == "official":
        raise TransferlabError("data.folds: a fold of the training split is tested on, so use data.selection: holdout.")
    if test_examples is not None:
        raise TransferlabError("data.test_examples: with data.folds each fold is tested on as a whole; leave it out.")
    return protocol._replace(folds=folds, fold=fold)


def _there(source: Source) -> str:
    return f"the data has {', '.join(split_names(source))}"


def name_of(source: Source) -> str:
    """The name of a task that was given none.

    Raises:
        TransferlabError: There is no path.
    """
    if not source.path:
        raise TransferlabError("data.task: give the task a name of your own.")
    return name_of_data(source.path, source.config)
