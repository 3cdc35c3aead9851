"""Commands that a user can type next, in the words of what was typed: ``make`` or ``transferlab``."""

import json
import os
import shlex
from pathlib import Path

MAKE = "TRANSFERLAB_MAKE"
"""Set by the Makefile, so that its users read its targets."""
RUNS = Path("runs")
PRETRAINING, MULTITASK = "pretraining", "multitask"
"""The kinds of runs that are of no single task, in their summaries: one that reads no labels, one of several tasks."""
COMMANDS = {PRETRAINING: "pretrain", MULTITASK: "multitask"}
"""What such a run is trained by."""


def typed(make: str, plain: str) -> str:
    """One of two ways to type the same command."""
    return make if os.environ.get(MAKE) else plain


def name_of(run: Path) -> str:
    """The shortest word for a run that any command takes: its ID where it lies under ``runs/``, else its directory."""
    usual = run.absolute().parent.parent == RUNS.absolute()
    return run.name if usual else shlex.quote(str(run))


def resume(run: Path, more: str = "") -> str:
    """Continues a run, with further keys maybe."""
    name, arguments = name_of(run), f" ARGS='{more}'" if more else ""
    own = COMMANDS.get(_kind(run), "")
    before, make = (own, own) if own else ("fit", "resume")
    return typed(f"make {make} RUN={name}{arguments}", f"transferlab {before} --resume {name}{more and f' {more}'}")


def is_pretraining(run: Path) -> bool:
    """Whether a run directory is that of a pretraining; not where its summary cannot be read."""
    return _kind(run) == PRETRAINING


def _kind(run: Path) -> str:
    try:
        known = json.loads((run / "summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(known.get("kind")) if isinstance(known, dict) else ""


def predict(run: Path) -> str:
    """Predicts with a run."""
    return typed(f"make predict RUN={name_of(run)}", f"transferlab predict --run {name_of(run)}")


def over_runs(command: str, root: Path) -> str:
    """A command that reads all runs under a folder: ``compare``, ``report``."""
    place = "" if root.absolute() == RUNS.absolute() else shlex.quote(str(root))
    return typed(f"make {command}{place and f' ARGS={place}'}", f"transferlab {command}{place and f' {place}'}")
