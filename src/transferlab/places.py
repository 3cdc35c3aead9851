"""Folders that stand for a name on the Hub."""

import os
from pathlib import Path


def local_folder(name: str, variable: str) -> Path | None:
    """The folder that stands for a Hub name: the path itself, or one of that name under ``$variable``.

    The last part of the name is enough: ``glue`` for ``nyu-mll/glue``.
    """
    candidates = [Path(name)]
    if root := os.environ.get(variable):
        candidates += [Path(root) / name, Path(root) / name.rsplit("/", 1)[-1]]
    return next((path for path in candidates if path.is_dir()), None)
