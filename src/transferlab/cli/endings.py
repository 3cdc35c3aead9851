"""What a command of training says when it ends: how to continue, how to train on, what to do next."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.utilities import rank_zero_only

from transferlab.analysis import keeping as entries
from transferlab.analysis.comparison import gained
from transferlab.ground import hints, screen, signals
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import is_part
from transferlab.record import folder as run_folder
from transferlab.record.config import RunConfig
from transferlab.record.recorder import RunRecorder
from transferlab.training import lock, network


def interrupted(folder: Path) -> str:
    """What to do after a signal, outside of the training steps; empty where nothing is left to do."""
    status = run_folder.read_summary(folder).get("status")
    if status == "finished":
        return ""
    if not (folder / "config.yaml").is_file() and hints.whole(folder) == folder:
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


def conclude(folder: Path, run: RunConfig, tested: bool) -> None:
    """What is left of a training: drops what is not kept, tells what an update gained, and what to do next.

    Args:
        folder: The run directory.
        run: The group of keys.
        tested: Whether the best checkpoint was tested.
    """
    if not run.keep_last:
        run_folder.drop_last(folder)
    entries.keep(folder)
    if run.start and tested:
        gained.show(folder)
    show_next(folder, Path(run.root))


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


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Says of an error that what was trained is kept, so that mending its cause and resuming loses nothing.

    Args:
        folder: The run directory, with a checkpoint to resume from.

    Raises:
        TransferlabError: What went wrong, and that.
    """
    told = f"What was trained is kept: mend this and resume, which loses nothing: {hints.resume(folder)}"
    try:
        yield
    except TransferlabError as error:
        raise TransferlabError(f"{str(error).rstrip('.')}. {told}") from error
    except Exception:
        if not rank_zero_only.rank:  # type: ignore[attr-defined]
            print(told, file=sys.stderr, flush=True)
        raise


def failed(recorder: RunRecorder, error: Exception) -> None:
    """Marks a run as failed where the Trainer, which tells the recorder, was not at work."""
    if not rank_zero_only.rank and recorder.summary.get("status") in {"running", "trained"}:  # type: ignore[attr-defined]
        recorder.failed(error)


def ended_by(recorder: RunRecorder, codes: list[int]) -> None:
    """Says which other process of a run has ended and that this one goes with it.

    Args:
        recorder: That of the run.
        codes: See `transferlab.training.network.ended`.
    """
    reason = TransferlabError(f"{network.ended(codes)}. Start it again with: {hints.resume(recorder.folder)}")
    recorder.failed(reason)
    print(f"error: {reason}", file=sys.stderr, flush=True)
    lock.release(recorder.folder)
