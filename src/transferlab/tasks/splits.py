"""Which splits of a source train, select and test: by their names where none is named, and nothing without effect."""

from dataclasses import replace

from transferlab.config.experiments import name_of_data
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.selection import Protocol
from transferlab.tasks.sources import split_names
from transferlab.tasks.spec import Source

HOLDOUT = Protocol().holdout


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
    most = 1 if source.kind == "tagging" else 2
    if not 1 <= len(source.text) <= most:
        wanted = "one column with the words" if most == 1 else "one or two columns"
        raise TransferlabError(f"data.source.text: name {wanted}, not {len(source.text)}.")
    if source.kind == "regression" and source.labels:
        raise TransferlabError("data.source.labels: regression has no label names; leave it out.")


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
