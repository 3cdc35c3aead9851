"""What a command of training says when it ends: how to continue, how to train on, what to do next."""

import signal
from pathlib import Path
from typing import Any

from transferlab.ground import hints, screen, signals
from transferlab.ground.progress import is_part
from transferlab.record import folder as run_folder


def interrupted(folder: Path) -> str:
    """What to do after a signal, outside of the training steps; empty where nothing is left to do."""
    status = run_folder.read_summary(folder).get("status")
    if status == "finished":
        return ""
    if not (folder / "config.yaml").is_file():
        return "stopped before the run began; the same command starts it."
    return f"stopped; continue with: {hints.resume(folder)}"


def asked() -> BaseException:
    """How a command ends that a signal asked to stop; Lightning would make exit code 1 of a Ctrl-C."""
    return KeyboardInterrupt() if signals.request.received == signal.SIGINT else SystemExit(signals.STOPPED)


def finished(folder: Path, trainer: dict[str, Any]) -> str:
    """That a run is finished, and how to train it further.

    Args:
        folder: The run directory.
        trainer: The settings of its Trainer.
    """
    kept = (folder / "checkpoints" / run_folder.LAST).exists()
    if not kept:
        return f"{folder} is finished; its last.ckpt was not kept (run.keep_last), so it cannot be trained further."
    key = next((key for key in ("max_epochs", "max_steps") if (trainer.get(key) or 0) > 0), "max_epochs")
    longer = f"--trainer.{key} {2 * max(trainer.get(key) or 0, 1)}"
    return f"{folder} is finished. To train it further: {hints.resume(folder, longer)}"


def show_next(folder: Path, root: Path) -> None:
    """Prints the commands that follow a training; nothing where it is a part of another command.

    Args:
        folder: The run directory.
        root: The folder of all runs.
    """
    if is_part():
        return
    commands = {
        "compare with other runs": hints.over_runs("compare", root),
        "report in the browser": hints.over_runs("report", root),
        "predict": hints.predict(folder),
    }
    terminal = screen.console()
    terminal.print()
    terminal.print(screen.facts(commands, "next"))
