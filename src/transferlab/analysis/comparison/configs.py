"""The configurations of runs, kept in JSON: reading YAML takes ten times as long as all else that is done with one."""

import functools
import json
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison import kept
from transferlab.config.renamed import as_meant
from transferlab.record import setting

FILE = "config.yaml"


@functools.cache
def deciding(folder: str) -> dict[str, Any]:
    """The keys that decide the result of a run, see `transferlab.record.setting.deciding`; empty without any."""
    return setting.deciding(of_folder(folder))


def of_folder(folder: str) -> setting.Tree:
    """The configuration of a run directory; empty where there is none that can be read."""
    try:
        tree: setting.Tree = as_meant(json.loads(kept.kept(folder, "config", [FILE], "1", _as_json)))
        return tree
    except (OSError, ValueError, TypeError):
        return setting.of_folder(Path(folder))


def _as_json(sources: kept.Sources) -> bytes:
    if sources[0] is None:
        raise FileNotFoundError(FILE)
    tree = setting.parse(sources[0].decode("utf-8"))
    text = json.dumps(tree)
    if json.loads(text) != tree or "NaN" in text:
        raise TypeError("a date, or a key that is no text")
    return text.encode()
