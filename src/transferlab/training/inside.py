"""Everything that resuming takes from inside Lightning, in one place, since a new release may change it.

Tried with lightning 2.6.6; `tests/test_resume.py` fails where a release behaves otherwise.
"""

import datetime
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import lightning as L
import torch
from lightning.fabric.strategies.launchers.subprocess_script import _ChildProcessObserver

from transferlab.ground import signals
from transferlab.ground.progress import is_first_process, waiting


def between_steps(trainer: L.Trainer) -> bool:
    """Whether the batch that just ended was neither one of accumulated gradients nor one that validation follows."""
    loop: Any = trainer.fit_loop.epoch_loop
    followed = loop._num_ready_batches_reached() or loop._should_check_val_fx(trainer.fit_loop._data_fetcher)
    return not (followed or loop._should_accumulate())


def log_step_now(trainer: L.Trainer) -> None:
    """Logs what the batch that just ended gave, which Lightning does only after its hooks."""
    trainer._logger_connector.update_train_step_metrics()


def log_evaluation(trainer: L.Trainer, values: dict[str, float]) -> None:
    """Logs what an evaluation after the training would."""
    trainer._logger_connector.log_metrics({name: torch.tensor(value) for name, value in values.items()})


def restore_validation(trainer: L.Trainer, values: dict[str, float]) -> None:
    """Puts back the last validation's metrics, which a run that ends within an epoch looks at once more."""
    trainer._logger_connector._callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})


def leave_epoch_behind(trainer: L.Trainer) -> None:
    """Begins the next epoch where the checkpoint was written at the end of one.

    Where `trainer.max_steps` is set Lightning would go through the end of that epoch once more.
    """
    loop = trainer.fit_loop
    # Lightning declares a tracker that knows less than the one it uses
    epochs: Any = loop.epoch_progress
    if loop.restarting and epochs.current.processed == epochs.current.ready:
        epochs.current.completed, epochs.total.completed = epochs.current.processed, epochs.total.processed
        loop.reset_restart_stage()
        loop._restarting = False
        loop.epoch_loop.restarting = False


def install_no_signal_handlers(trainer: Any) -> None:
    """Keeps Lightning's handlers out: they save in the middle of a step; see `transferlab.ground.signals`."""
    trainer._signal_connector.register_signal_handlers = lambda: None


def tell_of_waiting(trainer: L.Trainer) -> None:
    """Says whom the start waits for: Lightning asks every process to come, and says nothing until all have.

    A `trainer.num_nodes` given by mistake would wait for half an hour without a word.
    """
    if trainer.world_size == 1:
        return
    strategy: Any = trainer.strategy
    gather = strategy.setup_environment
    what = f"waiting for all {trainer.world_size} processes"
    if trainer.num_nodes > 1:
        what += f"; each of {trainer.num_nodes} nodes must run this command"

    def setup_environment() -> None:
        # later calls find all of them there
        strategy.setup_environment = gather
        line = "stopped while waiting for the other processes; the same command starts again."
        with waiting(what) if is_first_process() else nullcontext(), signals.ending(line=line):
            gather()

    strategy.setup_environment = setup_environment


def timeout_of(strategy: Any) -> datetime.timedelta | None:
    """How long the Trainer's strategy waits for an answer of another process."""
    timeout: datetime.timedelta | None = getattr(strategy, "_timeout", None)
    return timeout


def when_a_process_ends(tell: Callable[[list[int]], None]) -> None:
    """Calls a function once a process that the Trainer started has ended with an error.

    Lightning looks every five seconds, and would kill all processes, this one too, without a word.

    Args:
        tell: Gets the exit codes of the others that have ended, by number from 1; a thread other than the main one
            calls it.
    """
    kill = _ChildProcessObserver._terminate_all

    def terminate(observer: Any) -> None:
        try:
            tell([process.returncode or 0 for process in observer._child_processes])
        finally:
            kill(observer)

    _ChildProcessObserver._terminate_all = terminate  # type: ignore[method-assign, assignment]
