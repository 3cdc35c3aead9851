"""Commands that a user can type next, in the words of what was typed: ``make`` or ``transferlab``."""

import json
import os
import shlex
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError

MAKE = "TRANSFERLAB_MAKE"
"""Set by the Makefile, so that its users read its targets."""
RUNS = Path("runs")
PRETRAINING, MULTITASK = "pretraining", "multitask"
"""The kinds of runs that are of no single task, in their summaries: one that reads no labels, one of several tasks."""
COMMANDS = {PRETRAINING: "pretrain", MULTITASK: "multitask"}
"""What such a run is trained by."""
SEQUENCE, PLAN = "sequence", "sequence.json"
"""The command that learns tasks one after the other, and the file of what was asked for in its run directory."""


def typed(make: str, plain: str) -> str:
    """One of two ways to type the same command."""
    return make if os.environ.get(MAKE) else plain


def name_of(run: Path) -> str:
    """The shortest word for a run that any command takes: its ID where it lies under ``runs/``, else its directory."""
    usual = run.absolute().parent.parent == RUNS.absolute()
    return run.name if usual else shlex.quote(str(run))


def resume(run: Path, more: str = "") -> str:
    """Continues a run, with further keys maybe."""
    run = whole(run)
    name, arguments = name_of(run), f" ARGS='{more}'" if more else ""
    before = command_of(run)
    make = "resume" if before == "fit" else before
    return typed(f"make {make} RUN={name}{arguments}", f"transferlab {before} --resume {name}{more and f' {more}'}")


def resume_there(run: Path) -> str:
    """The same by its path, wherever it is typed."""
    run = whole(run)
    return f"transferlab {command_of(run)} --resume {run}"


def whole(run: Path) -> Path:
    """The sequence of tasks that a run is a stage of, which is what can be resumed; else the run itself."""
    above = run.absolute().parents[2:3]
    return next((folder for folder in above if (folder / PLAN).is_file()), run)


def command_of(run: Path) -> str:
    """The command that trains a run and resumes it."""
    return SEQUENCE if (run / PLAN).is_file() else COMMANDS.get(_kind(run), "fit")


def refuse_without_task(run: Path) -> None:
    """Refuses a run that has no single task which it could be asked about: a pretraining, several tasks, a sequence.

    Raises:
        TransferlabError: Says what the run is, and what to name instead.
    """
    command = command_of(run)
    if command == "fit":
        return
    each = [one["run"] for one in (_summary(run).get("tasks") or {}).values() if one.get("run")]
    known = f": {', '.join(each)}" if each else ", which it leaves when it is complete"
    said = {
        "pretrain": f"is a pretraining, which has no task; a run on a task starts from it: --encoder.name {run}",
        "multitask": f"is a run of several tasks; name that of one task{known}",
        SEQUENCE: "is a sequence of tasks, which leaves scores and no run of a task",
    }
    raise TransferlabError(f"{run} {said[command]}.")


def is_pretraining(run: Path) -> bool:
    """Whether a run directory is that of a pretraining; not where its summary cannot be read."""
    return _kind(run) == PRETRAINING


def _kind(run: Path) -> str:
    return str(_summary(run).get("kind") or "")


def _summary(run: Path) -> dict[str, Any]:
    try:
        known = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def predict(run: Path) -> str:
    """Predicts with a run."""
    return typed(f"make predict RUN={name_of(run)}", f"transferlab predict --run {name_of(run)}")


def over_runs(command: str, root: Path) -> str:
    """A command that reads all runs under a folder: ``compare``, ``report``."""
    place = "" if root.absolute() == RUNS.absolute() else shlex.quote(str(root))
    return typed(f"make {command}{place and f' ARGS={place}'}", f"transferlab {command}{place and f' {place}'}")
