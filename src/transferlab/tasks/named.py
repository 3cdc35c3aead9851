"""Tasks by name: those of the user's ``configs/task``, then those of the table. Imports no torch."""

from dataclasses import fields
from typing import Any

from transferlab.config import experiments, shipped, trees
from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks import splits
from transferlab.tasks.spec import Source
from transferlab.tasks.table import TASKS, lookup

LISTS = ("text", "labels", "metrics", "test", "predict")
"""Keys of a source that are tuples."""


def own_keys(task: str) -> dict[str, Any] | None:
    """The keys of `data` in the user's ``configs/task/<task>.yaml``; None where there is no such file of theirs.

    Raises:
        TransferlabError: A file that cannot be read, or that holds no data of a task.
    """
    path = shipped.find(f"configs/task/{task}.yaml")
    if not task or path is None or not shipped.is_own(path):
        return None
    data = trees.expand(path).get("data")
    keys = data.get("init_args") if isinstance(data, dict) else None
    if not isinstance(keys, dict):
        raise TransferlabError(f"{path}: data.init_args: no keys of a task stand here.")
    return keys


def refuse_unknown(task: str, key: str) -> None:
    """Refuses a name that neither the table nor the user's ``configs/task`` has.

    Args:
        task: The name.
        key: What named it, as the error says.

    Raises:
        TransferlabError: No such task; lists near matches.
    """
    known = list(dict.fromkeys([*experiments.tasks(), *TASKS]))
    if task not in known:
        raise TransferlabError(
            f"{key}: no task named {task!r}{near(task, known)}. Known are {', '.join(known)}; your own stand in "
            "configs/task/NAME.yaml."
        )


def source_of(task: str, key: str = "data.text.task") -> Source:
    """Where the rows of a task lie: as the user's file of its name says, else as the table does.

    Args:
        task: Its name.
        key: What named it, as errors say.

    Raises:
        TransferlabError: No such task, or keys of a source that are not there.
    """
    refuse_unknown(task, key)
    keys = own_keys(task)
    if keys and keys.get("source"):
        return splits.complete(read_source(keys["source"]))
    return lookup(str((keys or {}).get("task") or task))


def read_source(given: Any) -> Source:
    """A source as a file writes it, with lists for tuples.

    Raises:
        TransferlabError: A key that is none of a source.
    """
    known = [field.name for field in fields(Source)]
    if not isinstance(given, dict):
        raise TransferlabError(f"data.source: keys belong here, such as {{files: {{train: FILE}}}}, not {given!r}.")
    for key in given:
        if key not in known:
            raise TransferlabError(f"data.source: no key {key!r}{near(key, known)}.")
    texts = {key: value for key, value in given.items() if value is not None}
    for key in LISTS:
        if key in texts:
            values = texts[key] if isinstance(texts[key], list | tuple) else [texts[key]]
            texts[key] = tuple(str(value) for value in values)
    if "label" in texts:
        texts["label"] = str(texts["label"])
    return Source(**texts)
