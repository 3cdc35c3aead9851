"""What a command makes of a folder of runs, kept as long as nothing changes that it may have read.

To know that, nothing is opened but the entry itself: it names the files of the runs, and each is asked for its size
and its times. It imports little, so that a table that was shown before is there at once.
"""

import hashlib
import json
import marshal
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.analysis.comparison import kept
from transferlab.config.places import cache_folder

SUMMARY, PREDICTIONS = "summary.json", "predictions"
UNREAD = frozenset({kept.FOLDER, "checkpoints"})
"""Folders of a run of which no table tells anything."""
MOST = 200_000
"""Files and folders below which something is kept: an entry names them all."""
LEFT = {".shown": 32, ".tests": 512}
"""How many entries stay, the newest; see `kept.again` for the others."""


class Noted(NamedTuple):
    """What an entry depends on.

    Attributes:
        above: Folders that hold no run themselves, relative to the root, each with the names of those inside.
        runs: Run directories, relative to the root, each with the files and folders inside, relative to it.
        others: Files elsewhere: the code, and runs that configurations name.
    """

    above: dict[str, list[str]]
    runs: dict[str, list[str]]
    others: list[str]


class _Untold(Exception):
    """There is too much below the root, or it goes on behind a link."""


def unchanged(command: str, root: Path, asked: Any, predictions: Sequence[str], make: Callable[[], bytes]) -> bytes:
    """What `make` returns, which is called where something changed since it was kept.

    Args:
        command: What is made.
        root: The folder of runs.
        asked: All else that it depends on, in values that JSON knows.
        predictions: Names of the files of predictions that it reads.
        make: What it raises passes through.
    """
    key = json.dumps([command, str(root), os.path.abspath(root), asked, sys.version]).encode()
    path = os.path.join(cache_folder(), "read", f"{hashlib.sha256(key).hexdigest()[:32]}.shown")
    found = kept.open_entry(path)
    if found and (noted := _parse(found[1])) and found[0] == _digest(key, _states(root, noted)):
        return found[2]
    began = time.time_ns()
    noted = _look(f"{root}", predictions)
    states = _states(root, noted) if noted else None
    _forget()
    with kept.seen(states or {}):
        payload = make()
    if noted and states is not None:
        noted = noted._replace(others=_others())
        states |= {place: kept.state(place) for place in noted.others}
        if kept.settled([*states.values()], began):
            about = json.dumps(noted, separators=(",", ":")).encode()
            kept.write_entry((path, path), _digest(key, states), about, payload)
            _prune(Path(path).parent)
    return payload


def _forget() -> None:
    """Lets this process read anew what it remembers of runs: it may be older than the times of the files."""
    from transferlab.analysis.comparison import configs, software
    from transferlab.record import setting

    for remembered in (configs.deciding, software.environment_of, software.versions_of):
        remembered.cache_clear()
    setting.NAMED.clear()


def _parse(text: bytes) -> Noted | None:
    try:
        return Noted(*json.loads(text))
    except (ValueError, TypeError):
        return None


def _digest(key: bytes, states: "dict[str, kept.State] | None") -> bytes:
    # of numbers alone: a form that says the same of equal ones
    return hashlib.sha256(key + marshal.dumps(states and [*states.values()], 2)).hexdigest().encode()


def _look(root: str, predictions: Sequence[str]) -> Noted | None:
    """What is below a folder of runs; None where it cannot be told."""
    noted, waiting = Noted({}, {}, []), ["."]
    try:
        while waiting:
            inside = waiting.pop()
            with os.scandir(f"{root}{os.sep}{inside}") as entries:
                found = sorted(entries, key=lambda entry: entry.name)
            if any(entry.name == SUMMARY for entry in found):
                noted.runs[inside] = _files(found, "", predictions)
            else:
                noted.above[inside] = [entry.name for entry in found if entry.is_dir()]
                # as the search for runs, which follows no link
                waiting += [f"{inside}{os.sep}{one.name}" for one in found if one.is_dir(follow_symlinks=False)]
            if len(noted.above) + sum(map(len, noted.runs.values())) > MOST:
                return None
    except (OSError, _Untold):
        return None
    return noted


def _files(entries: Iterable["os.DirEntry[str]"], prefix: str, predictions: Sequence[str]) -> list[str]:
    """Files and folders of a run directory that may be read.

    Raises:
        _Untold: A link leads to a folder, in which nothing would be noticed.
    """
    found: list[str] = []
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.name in UNREAD:
            continue
        if not entry.is_dir():
            found.append(name)
        elif entry.is_symlink():
            raise _Untold(name)
        elif entry.name == PREDICTIONS:
            found += [f"{name}{os.sep}{file}" for file in predictions]
        else:
            with os.scandir(entry.path) as below:
                found += [name, *_files(below, f"{name}{os.sep}", predictions)]
    return found


def _states(root: Path, noted: Noted) -> "dict[str, kept.State] | None":
    """Sizes and times of what was noted, by path; None where other folders or runs are there."""
    for inside, names in noted.above.items():
        if _folders(os.path.join(root, inside)) != names:
            return None
    places = []
    for inside, names in noted.runs.items():
        # as a path of pathlib would be written, under which the entries of runs look for it
        run = f"{root}{inside[1:]}"
        places += [run, *[f"{run}{os.sep}{name}" for name in names]]
    return {place: kept.state(place) for place in (*places, *noted.others)}


def _folders(place: str) -> list[str] | None:
    """The names of the folders in one, but none where it is a run by now."""
    try:
        with os.scandir(place) as entries:
            found = list(entries)
    except OSError:
        return None
    if any(entry.name == SUMMARY for entry in found):
        return None
    return sorted(entry.name for entry in found if entry.is_dir())


def _others() -> list[str]:
    """The code that is loaded by now, and what was read of runs that configurations name."""
    from transferlab.record import setting

    modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "transferlab"]
    modules += [module for module in [sys.modules.get("numpy")] if module]
    code = sorted({str(file) for module in modules if (file := getattr(module, "__file__", None))})
    sheet = Path(__file__).parents[1] / "page" / "sheet.css"
    named = [os.path.join(path, file) for path in setting.NAMED for file in (SUMMARY, "config.yaml")]
    return [*code, str(sheet), *map(os.path.abspath, named)]


def _prune(folder: Path) -> None:
    """Removes old entries: each folder of runs and each question leaves one."""
    try:
        for suffix, count in LEFT.items():
            for path in sorted(folder.glob(f"*{suffix}"), key=lambda path: -path.stat().st_mtime_ns)[count:]:
                path.unlink(missing_ok=True)
    except OSError:
        # another command prunes too
        return
