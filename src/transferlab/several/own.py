"""Tasks of the user's own ``configs/task`` among several: the keys of their files, below those given in place."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transferlab.config import trees
from transferlab.tasks.named import own_keys, refuse_unknown

Tasks = dict[str, dict[str, Any]]


def filled(tasks: Mapping[str, Mapping[str, Any] | None]) -> Tasks:
    """The tasks with the keys that the user's files say of them, as `transferlab fit` reads these.

    Args:
        tasks: Name of each task to the keys that are given in place, which win.

    Raises:
        TransferlabError: No such task, or a file that cannot be read, or that holds no data of a task.
    """
    found = {}
    for name, keys in tasks.items():
        if not {"source", "task"} & set(keys or {}):
            refuse_unknown(name, f"data.tasks.{name}")
        own = own_keys(name) or {}
        if own.get("source") or own.get("task") == name:
            # the name of the file is that of the task
            own = {key: value for key, value in own.items() if key != "task"}
        found[name] = trees.merge(own, dict(keys or {}))
    return found


def filled_once(tasks: Tasks, folder: Path) -> Tasks:
    """The same of a run; one that is resumed keeps what it began with, whatever its files say today."""
    path = folder / "config.yaml"
    saved = trees.read_yaml(path)["data"]["init_args"].get("tasks") if path.is_file() else None
    return tasks if tasks == saved else filled(tasks)
