"""Places that runs write to: whether they can, and how much room there is."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from transferlab.config.places import cache_folder
from transferlab.launch.doctor.finding import NOTE, OK, WRONG, Finding

LEAST, ENOUGH = 1.0, 10.0
"""GB (10**9 bytes) below which a run will fail, and several will: a checkpoint of BERT-base takes 0.4 and more."""


def places() -> Iterator[Finding]:
    """Run directories, the feature cache, the Hub's cache, and temporary files."""
    wanted = os.environ.get("TMPDIR")
    if wanted and not Path(wanted).is_dir():
        yield Finding("TMPDIR", NOTE, f"{wanted} is no folder", "make it, or unset TMPDIR")
    yield place("run directories", Path("runs"), "start in a folder of yours, or give --run.root FOLDER")
    yield place("cache", cache_folder(), "set TRANSFERLAB_CACHE to a folder of yours")
    yield place("Hub's cache", _hub_home(), "set HF_HOME to a folder of yours")
    try:
        temporary = Path(tempfile.gettempdir())
    except FileNotFoundError:
        yield Finding("temporary files", WRONG, "no folder can be written", "set TMPDIR to a folder of yours")
    else:
        yield place("temporary files", temporary, "set TMPDIR to a folder of yours")


def _hub_home() -> Path:
    # as huggingface_hub has it, whose import would take seconds
    default = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HOME") or default).expanduser()


def place(what: str, folder: Path, remedy: str) -> Finding:
    """Whether a folder, which may not be there yet, can be written, and the room on its disk.

    Args:
        what: What lies there.
        folder: The folder.
        remedy: What to do where it cannot be used.
    """
    folder = folder.absolute()
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=there) as probe:
            probe.write(b"transferlab")
            probe.flush()
    except OSError as error:
        return Finding(what, WRONG, f"{folder} cannot be written: {error.strerror}", remedy)
    free = shutil.disk_usage(there).free / 1e9
    text = f"{folder}, {free:,.0f} GB free" if free >= ENOUGH else f"{folder}, only {free:.1f} GB free"
    if free >= ENOUGH:
        return Finding(what, OK, text)
    return Finding(what, NOTE if free >= LEAST else WRONG, text, f"remove what is not needed, or {remedy}")
