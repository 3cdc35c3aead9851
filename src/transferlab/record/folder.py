"""One folder holds everything of a run: ``runs/<experiment>/<run id>/``."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transferlab.config.places import NAME, NAMES, find_run
from transferlab.ground import hints
from transferlab.ground.contents import content
from transferlab.ground.errors import TransferlabError, closest, did_you_mean
from transferlab.record.shape import fault

LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
"""In the folder of checkpoints: what a run resumes from, and the one before."""
RETESTS, RESULT = "retests", "result.json"
"""``retests/<time>-<command>/result.json``, beside it ``predictions/``: what was evaluated beside the record."""
FORMS = "forms"
"""``forms/<run>-<form>/``: what was made of a finished run, such as a quantised model, as a setting of its own."""
STAGES = "stages"
"""``stages/<number>_<task>/<run>/``: the runs of a sequence of tasks, one for each task that was learned."""
OWN = frozenset({".read", "checkpoints", "predictions", RETESTS, STAGES})
"""Folders of a run that hold no runs."""
VARIABLE = "TRANSFERLAB_RUN_DIR"
"""Tells the further processes of a DDP run the folder that the first one chose."""


def choose(root: Path, experiment: str, seed: int) -> Path:
    """Names the folder of a new run; every process of the run gets the same name.

    Nothing is created yet, so a mistake in the input leaves nothing behind.

    Raises:
        TransferlabError: The name of the experiment is not one plain part of a path.
    """
    if given := os.environ.get(VARIABLE):
        return Path(given)
    if not NAME.fullmatch(experiment):
        raise TransferlabError(f"run.experiment: {experiment!r} is no name; {NAMES}.")
    job = os.environ.get("SLURM_JOB_ID") or os.environ.get("TORCHELASTIC_RUN_ID")
    folder = root / experiment / (f"job{job}-s{seed}" if job else new_id(seed))
    os.environ[VARIABLE] = str(folder.absolute())
    return folder


def new_id(seed: int) -> str:
    """A run id that no other run has, not even one that began in the same second."""
    # who only reads runs does without it
    import secrets

    return f"{time.strftime('%Y%m%d-%H%M%S')}-s{seed}-{secrets.token_hex(2)}"


def create(folder: Path) -> None:
    """Makes the folder of a run.

    Raises:
        TransferlabError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "checkpoints").mkdir(exist_ok=True)
        probe = folder / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise TransferlabError(f"run.root: cannot write the run directory {folder}: {error.strerror}") from error


def write_json(path: Path, content: Any) -> None:
    """Writes a JSON file whole or not at all; a number that is none, which JSON does not know, becomes null."""
    clean = json.loads(json.dumps(content, default=str), parse_constant=lambda _: None)
    write_text(path, json.dumps(clean, indent=2) + "\n")


def write_text(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError:
        # a full disk, maybe
        temporary.unlink(missing_ok=True)
        raise


def drop_last(folder: Path) -> None:
    """Removes what a run could be trained on from; ``best.ckpt`` stays."""
    for name in (LAST, PREVIOUS):
        remove(folder / "checkpoints" / name)


def remove(path: Path) -> None:
    """Removes a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of a run; empty where there is none, or none that can be read."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return summary if isinstance(summary, dict) else {}


def whole_summary(folder: Path) -> dict[str, Any]:
    """The summary of a run that is continued.

    Raises:
        TransferlabError: It is damaged.
    """
    path = f"{folder}{os.sep}summary.json"
    try:
        summary: dict[str, Any] = json.loads(content(path).decode("utf-8"))
        wrong = fault(summary)
    except (OSError, ValueError, RecursionError) as error:
        wrong = str(error) or type(error).__name__
    if wrong:
        raise TransferlabError(f"{path} is damaged ({wrong}). Put back a copy of it, or start a new run.")
    return summary


def retests(folder: Path | str) -> Iterator[tuple[Path, dict[str, Any]]]:
    """The entries of a run beside its record, oldest first, with their results; unreadable ones are left out."""
    if not os.path.isdir(f"{folder}{os.sep}{RETESTS}"):
        return
    for path in sorted(Path(folder, RETESTS).glob(f"*/{RESULT}")):
        with contextlib.suppress(OSError, ValueError):
            found = json.loads(path.read_text(encoding="utf-8"))
            if isinstance(found, dict):
                yield path.parent, found


def find(run: str, root: Path = Path("runs")) -> Path:
    """The folder of a run: a path, ``experiment`` (its newest run), ``experiment/id`` or the bare id.

    Raises:
        TransferlabError: No such run.
    """
    if found := find_run(run, root):
        return found
    runs = sorted(root.glob("*/*/summary.json"), key=lambda path: -path.stat().st_mtime)
    known = list(dict.fromkeys(name for path in runs for name in (path.parents[1].name, path.parent.name)))
    if not known:
        raise TransferlabError(f"no run {run!r}: there are no runs under {root}/ yet. `transferlab fit` makes them.")
    hint = did_you_mean(closest(run, known, 0.6)) or f". The newest are {', '.join(known[:4:2])}"
    raise TransferlabError(f"no run {run!r} under {root}/{hint}. `transferlab compare` lists the runs.")


def is_form(folder: Path) -> bool:
    """Whether a folder holds what was made of a run; an experiment may have the same name as the folder of forms."""
    return folder.parent.name == FORMS and (folder.parent.parent / "summary.json").is_file()


def _places(root: Path) -> Iterator[str]:
    """The run directories below a folder; links are not followed, and what cannot be read is passed over.

    Faster than a pattern of pathlib, which asks of every file what it is, and than `os.walk`, which asks of every
    folder whether it is a link: one look into each folder is all.
    """
    waiting = [os.fspath(root)]
    while waiting:
        place = waiting.pop()
        try:
            with os.scandir(place) as entries:
                inside = list(entries)
        except OSError:
            continue
        is_run = any(entry.name == "summary.json" and not entry.is_dir() for entry in inside)
        if is_run:
            yield place
        for entry in inside:
            # of a run directory nothing else holds runs, and there are thousands
            if entry.is_dir(follow_symlinks=False) and not (is_run and entry.name in OWN):
                waiting.append(entry.path)


def summaries(root: Path, forms: bool = False, pretraining: bool = False) -> Iterator[tuple[Path, dict[str, Any]]]:
    """All run directories below `root` with their summaries; unreadable ones come with status ``unreadable``.

    Args:
        root: A folder of runs, or a run directory.
        forms: Whether what was made of a run, see `FORMS`, stands beside the runs.
        pretraining: Whether the runs of pretraining are wanted, and only these; they have no task to compare in. Nor
            has a run of several tasks, which leaves one for each of them.
    """
    # in the order of paths, of which each comparison would take their parts anew
    for folder in map(Path, sorted(_places(root), key=lambda place: place.split(os.sep))):
        if not forms and is_form(folder):
            continue
        try:
            summary = whole_summary(folder)
        except TransferlabError as error:
            summary = {"experiment": folder.parent.name, "status": "unreadable", "error": str(error)}
        kind = summary.get("kind")
        if (kind == hints.PRETRAINING) == pretraining and kind != hints.MULTITASK:
            yield folder, summary
