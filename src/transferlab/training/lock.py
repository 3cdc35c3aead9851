"""One process at a time trains in a run directory."""

import atexit
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from transferlab.ground import queue
from transferlab.ground.errors import TransferlabError
from transferlab.record.folder import write_json

NAME = "run.lock"


def acquire(folder: Path) -> None:
    """Takes a run directory for this process until it ends; a lock that a dead process left is taken over.

    Args:
        folder: The run directory; it must exist.

    Raises:
        TransferlabError: Another process trains there, or the folder cannot be written.
    """
    path, mine = folder / NAME, identity()
    try:
        # between reading and writing nobody else may read
        with FileLock(folder / f".{NAME}.guard", timeout=30):
            holder = _read(path)
            if holder is not None and holder != mine and lives(holder, mine):
                raise TransferlabError(
                    f"{folder} is being trained in by process {holder['pid']} on {holder['host']}, started "
                    f"{holder['started']}" + (f" in job {holder['job']}" if holder["job"] else "") + ". Wait for it or "
                    f"stop it; if it is gone, delete {path}."
                )
            write_json(path, mine)
    except OSError as error:
        raise TransferlabError(f"cannot lock the run directory {folder}: {error.strerror or error}") from error
    atexit.register(release, folder)


def release(folder: Path) -> None:
    """Gives a run directory back, if it is this process that holds it."""
    path = folder / NAME
    if _read(path) == identity():
        path.unlink(missing_ok=True)


def taken(folder: Path) -> bool:
    """Whether another process may be training in a run directory."""
    holder, mine = _read(folder / NAME), identity()
    return holder is not None and holder != mine and lives(holder, mine)


def lives(holder: dict[str, Any], mine: dict[str, Any]) -> bool:
    """Whether the process that holds a lock may still be there.

    On another host only Slurm can tell; of a job that was requeued the earlier part has ended.
    """
    if holder["host"] != mine["host"]:
        return not holder["job"] or (holder["job"] != mine["job"] and queue.may_live(holder["job"]))
    try:
        os.kill(holder["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    # the number of a dead process is given to another one some day
    return bool(_birth(holder["pid"]) == holder["birth"])


def identity() -> dict[str, Any]:
    """What tells this process from all others, on this host or another."""
    global _started
    _started = _started or time.strftime("%Y-%m-%d %H:%M:%S")
    pid = os.getpid()
    return {
        "host": socket.gethostname(),
        "pid": pid,
        "birth": _birth(pid),
        "started": _started,
        "job": os.environ.get("SLURM_JOB_ID", ""),
    }


_started = ""


def _birth(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where /proc does not tell, or for a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    keys = ("host", "pid", "birth", "started", "job")
    return {key: holder[key] for key in keys} if isinstance(holder, dict) and all(k in holder for k in keys) else None
