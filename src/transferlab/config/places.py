"""Folders that stand for a name: data sets and encoders on the Hub, runs."""

import functools
import importlib.util
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from transferlab.ground.progress import is_first_process, on_terminal, waiting


def cache_folder() -> Path:
    """``$TRANSFERLAB_CACHE``, else ``~/.cache/transferlab``."""
    return Path(os.environ.get("TRANSFERLAB_CACHE") or Path.home() / ".cache" / "transferlab")


def files_state(folder: Path, suffixes: tuple[str, ...] = ()) -> list[tuple[str, int, int]]:
    """What is in a folder without reading it: name, bytes and time of change (nanoseconds) of each file."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.is_file() and (not suffixes or path.suffix in suffixes):
            facts = path.stat()
            found.append((str(path.relative_to(folder)), facts.st_size, facts.st_mtime_ns))
    return found


NAME = re.compile(r"[^\W_][\w.+=,@ -]{0,150}")
"""Of an experiment, a sweep or a search: one plain part of a path, which no shell takes for more."""
NAMES = "use letters, digits and . _ - + = , @ only, with a letter or digit first"


PACKAGES = {"aclsum": ("aclsum", "dataset")}
"""Data sets that a Python package carries: name to module and folder in it."""


def local_folder(name: str, variable: str) -> Path | None:
    """The folder that stands for a Hub name: the path itself, one of that name under ``$variable``, or in a package.

    The last part of the name is enough: ``glue`` for ``nyu-mll/glue``.
    """
    candidates = [Path(name)]
    if root := os.environ.get(variable):
        candidates += [Path(root) / name, Path(root) / name.rsplit("/", 1)[-1]]
    module, inside = PACKAGES.get(name, ("", "")) if variable == "TRANSFERLAB_DATA" else ("", "")
    if module and (spec := importlib.util.find_spec(module)):
        candidates += [Path(place) / inside for place in spec.submodule_search_locations or ()]
    return next((path for path in candidates if path.is_dir()), None)


def no_such_root(variable: str) -> str:
    """Says that a variable names a folder that is not there; empty where it does, or is not set."""
    root = os.environ.get(variable)
    return f" (${variable} is {root}, and there is no such folder)" if root and not Path(root).is_dir() else ""


def find_run(run: str, root: Path = Path("runs")) -> Path | None:
    """The folder of a run: a path, ``experiment`` (its newest run), ``experiment/id`` or the bare id; None without."""
    try:
        for candidate in (Path(run), root / run, *root.glob(f"*/{run}")):
            if (candidate / "summary.json").is_file():
                return candidate
            inside = sorted(candidate.glob("*/summary.json"), key=lambda path: path.stat().st_mtime)
            if inside:
                return inside[-1].parent
    except (OSError, ValueError):
        # a name that no file can have: too long, or with a NUL character
        return None
    return None


@functools.cache
def reach_hub() -> bool:
    """Asks the Hub once whether it is there; when not, its libraries go offline instead of trying for a minute."""
    import huggingface_hub.constants

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return False
    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=5)
    except Exception:  # whatever the HTTP library of this release raises
        import datasets

        huggingface_hub.constants.HF_HUB_OFFLINE = True
        datasets.config.HF_HUB_OFFLINE = True
        return False
    return True


@contextmanager
def from_hub(kind: Literal["models", "datasets"], name: str, what: str) -> Iterator[None]:
    """Tells of a download while it lasts: the Hub's bars on a terminal, elsewhere a line every 30 seconds.

    Args:
        kind: What is downloaded.
        name: Its name on the Hub.
        what: What is done, in words.
    """
    if on_terminal(sys.stderr) or not is_first_process():
        yield
        return
    import huggingface_hub.constants

    folder = Path(huggingface_hub.constants.HF_HUB_CACHE) / f"{kind}--{name.replace('/', '--')}" / "blobs"
    with waiting(what, lambda: sum(size for _, size, _ in files_state(folder)) / 2**20):
        yield
