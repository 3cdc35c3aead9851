"""A run that can be stopped or killed at any step and goes on as if nothing had happened.

What makes it exact: the order of batches is a function of the epoch (`transferlab.tasks.batching`), a checkpoint holds
the place in it (`TaskDataModule.state_dict`), and every batch has random numbers of its own, so that no generator's
state need be kept.
"""

import contextlib
import hashlib
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.trainer.states import TrainerFn

from transferlab.config.renamed import BUCKET, FIRST_MEANT, HOLDOUT_BY, STEADY
from transferlab.ground import hints, signals
from transferlab.record.folder import LAST
from transferlab.record.setting import flat
from transferlab.tasks import Batch
from transferlab.tracking.metrics_log import MetricsLog
from transferlab.tracking.wandb_logger import WandbLogger
from transferlab.training import inside, lock, network


class Stopped(SystemExit):
    """A run was asked to stop, has saved, and has said how to continue."""


LOST = 1
"""Exit status where another process of the run is gone."""

FREE = (
    "checkpoint.dirpath",
    "ckpt_path",
    "config",
    "data.init_args.max_unknown",
    "data.init_args.num_workers",
    "data.init_args.predict",
    "run.accept_changed_base",
    "run.accept_changed_data",
    "run.checkpoint_every_minutes",
    "run.checkpoint_every_steps",
    "run.keep_last",
    "run.log_checkpoint",
    "run.root",
    "run.tags",
    "run.test",
    "trainer.default_root_dir",
    "trainer.enable_checkpointing",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.max_epochs",
    "trainer.max_steps",
    "trainer.max_time",
    "trainer.min_epochs",
    "trainer.min_steps",
    "trainer.profiler",
    "trainer.strategy.init_args.timeout",
    "weights_only",
)
"""Keys that may change when a run goes on: how long it is, where it lies, what is shown."""


def differences(saved: dict[str, Any], given: dict[str, Any]) -> list[str]:
    """Keys with different values that must be the same for a run to go on."""
    one, other = (_with_default(flat(tree)) for tree in (saved, given))
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    return [key for key in keys if not any(key == free or key.startswith(f"{free}.") for free in FREE)]


def _with_default(keys: dict[str, Any]) -> dict[str, Any]:
    """Without what a configuration that lacks the key says too.

    Where nothing is held out, a run names nothing that is kept together: the same as each example by itself. Without
    regularisers their group is empty.
    """
    same = (HOLDOUT_BY, STEADY, BUCKET)
    return {key: value for key, value in keys.items() if key not in same or value != FIRST_MEANT[key]}


def seed_batch(seed: int, rank: int, number: int) -> None:
    """Seeds the generators of torch, numpy and Python for a batch.

    Args:
        seed: Seed of the run.
        rank: Number of the process.
        number: Number of the batch, counted over all epochs.
    """
    digest = hashlib.blake2b(f"{seed} {rank} {number}".encode(), digest_size=8).digest()
    value = int.from_bytes(digest, "big")
    if torch.accelerator.is_available():
        torch.manual_seed(value)
    else:
        # the other way formats a traceback per kind of accelerator, in case one is started later
        torch.default_generator.manual_seed(value)
    np.random.seed(value % 2**32)
    random.seed(value)


class Resumable(Checkpoint):
    """Writes ``last.ckpt`` by steps, by minutes and at the end of each epoch, and stops a run that is asked to.

    A checkpoint is written between two optimizer steps only, and never between a step and the validation that follows
    it: then the next step or the end of the epoch is waited for.

    It must stand behind all other callbacks, so that what they note at the end of an epoch is in the checkpoint.

    Args:
        folder: The run directory.
        seed: Seed of the run.
        every_steps: Optimizer steps between two checkpoints; None for no such rule.
        every_minutes: Minutes between two checkpoints; None for no such rule.
        metrics: The log that goes back with a checkpoint.
    """

    def __init__(
        self, folder: Path, seed: int, every_steps: int | None, every_minutes: float | None, metrics: MetricsLog
    ) -> None:
        self.folder = folder
        self.seed = seed
        self.every_steps = every_steps
        self.every_minutes = every_minutes
        self.metrics = metrics
        self._validation: dict[str, float] = {}
        self._saved_step = 0
        self._saved_time = 0.0
        self._group: Any = None

    # going on -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adds what Lightning forgets: that early stopping has spoken, the last validation, the log's state."""
        checkpoint["resume"] = {
            "should_stop": trainer.should_stop,
            "validation": {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")},
            "metrics": self.metrics.state(),
        }

    def on_load_checkpoint(self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]) -> None:
        """Restores it."""
        if trainer.state.fn == TrainerFn.FITTING and (state := checkpoint.get("resume")):
            trainer.should_stop = state["should_stop"]
            self._validation = state.get("validation", {})
            self.metrics.restore(state["metrics"])

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes over the signals, and starts the count to the next checkpoint."""
        inside.leave_epoch_behind(trainer)
        inside.restore_validation(trainer, self._validation)
        self._saved_step, self._saved_time = trainer.global_step, time.monotonic()
        if trainer.world_size > 1 and self._group is None:
            # on the processor: to read an answer from the GPU would hold up every step
            self._group = torch.distributed.new_group(backend="gloo", timeout=inside.timeout_of(trainer.strategy))
        if signals.request.installed:
            signals.install()
            signals.request.deferred = True

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Gives the batch its random numbers."""
        seed_batch(self.seed, trainer.global_rank, trainer.fit_loop.total_batch_idx)

    # saving and stopping ------------------------------------------------------------------------------------------

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Saves and stops between two steps, if it is time."""
        if not inside.between_steps(trainer):
            return
        due, stop = self._agree(trainer)
        if due or stop:
            # the loss of this step is logged only after this hook; to log it twice changes nothing
            inside.log_step_now(trainer)
            self._save(trainer)
        if stop:
            self._stop(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Saves after the validation at the end of an epoch."""
        self._save(trainer)
        if self._agree(trainer)[1]:
            self._stop(trainer, pl_module)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Gives the signals back: from here on nothing is lost by ending at once."""
        stop = self._agree(trainer)[1]
        signals.request.deferred = False
        if stop:
            self._stop(trainer, pl_module)

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Gives the signals back; ends the process where another one is gone, since it would be waited for again."""
        signals.request.deferred = False
        timeout = inside.timeout_of(trainer.strategy)
        if trainer.world_size > 1 and (reason := network.lost(exception, timeout)):
            print(
                f"error: {reason} (step {trainer.global_step}, process {trainer.global_rank}). Continue from the "
                f"last checkpoint with: {hints.resume(self.folder)}",
                file=sys.stderr,
                flush=True,
            )
            with contextlib.suppress(Exception):
                self.metrics.finalize("failed")
            self._leave(trainer, LOST)

    def _leave(self, trainer: L.Trainer, status: int) -> None:
        """Ends this process at once: to shut down the process group in order would wait for the others."""
        if trainer.is_global_zero:
            lock.release(self.folder)
        # those that this process has started, were they stopped, would stay for ever
        launcher: Any = trainer.strategy.launcher
        if status == LOST and hasattr(launcher, "kill"):
            launcher.kill(signal.SIGKILL)
        sys.stdout.flush()
        os._exit(status)

    def _agree(self, trainer: L.Trainer) -> tuple[bool, int]:
        """Whether a checkpoint is due, and the signal that any process got: the same answer in all of them."""
        steps, seconds = trainer.global_step - self._saved_step, time.monotonic() - self._saved_time
        due = self.every_steps is not None and steps >= self.every_steps
        due |= self.every_minutes is not None and seconds >= 60 * self.every_minutes
        if trainer.world_size == 1:
            return due, signals.request.received
        answers = torch.tensor([int(due), signals.request.received])
        torch.distributed.all_reduce(answers, torch.distributed.ReduceOp.MAX, group=self._group)
        return bool(answers[0]), int(answers[1])

    def _save(self, trainer: L.Trainer) -> None:
        trainer.save_checkpoint(self.folder / "checkpoints" / LAST)
        self._saved_step, self._saved_time = trainer.global_step, time.monotonic()

    def _stop(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            print(
                f"stopped at step {trainer.global_step}, nothing is lost; continue with: {hints.resume(self.folder)}",
                flush=True,
            )
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    # whoever stops a run does not wait for long
                    logger.close(signals.STOPPED, timeout=20)
        stopped = Stopped(signals.STOPPED)
        if trainer.world_size > 1:
            # Lightning kills the first process as soon as it sees that another one has ended with an error
            for callback in trainer.callbacks:  # type: ignore[attr-defined]
                callback.on_exception(trainer, pl_module, stopped)
            trainer.strategy.barrier()
            self._leave(trainer, signals.STOPPED)
        raise stopped
