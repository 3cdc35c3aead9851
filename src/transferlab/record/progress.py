"""Where a training run is: a history of validations that stays on the screen, and the time left."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from lightning.pytorch.trainer.states import TrainerFn
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from transferlab.ground.progress import EVERY, clock
from transferlab.record.pace import Pace, length
from transferlab.record.validated import improves
from transferlab.strategies.base import Strategy


class RunProgress(ProgressBar):
    """A line for each validation, and on a terminal below them a bar with the time left for the whole training.

    Elsewhere a line at most every 30 seconds takes the place of the bar, and the lines of validations say what is left.

    Args:
        bars: Whether to draw bars.
    """

    def __init__(self, bars: bool) -> None:
        super().__init__()
        self.bars, self.is_enabled = bars, True
        self.pace = Pace()
        self.best = ""
        self._live: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._begun: dict[str, float] = {}
        self._told = time.monotonic()

    def disable(self) -> None:
        """Shows nothing from here on."""
        self.is_enabled = False

    def enable(self) -> None:
        """Shows it again."""
        self.is_enabled = True

    # training -----------------------------------------------------------------------------------------------------

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of the run, and the bar."""
        self.pace.start()
        self._show("training", _place(trainer, 0), length(trainer).done, length(trainer).total)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Moves the bar, or prints a line where one is due."""
        self.pace.batch()
        whole = length(trainer, batch_idx + 1)
        # reading a loss waits for the device
        due = batch_idx % trainer.log_every_n_steps == 0 if self.bars else self._due  # type: ignore[attr-defined]
        loss = _loss(trainer) if due else ""
        left = _left(self.pace.left(whole.total - whole.done, whole.validations))
        self._show("training", _place(trainer, batch_idx + 1), whole.done, whole.total, left, loss)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the bar away."""
        self._stop()

    # validation ---------------------------------------------------------------------------------------------------

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts the clock of a validation."""
        self.pace.start_validation()

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Moves the bar of the validation."""
        what = "validation" if _fitting(trainer) else f"validation, {self._name(trainer).split(' (')[0]}"
        self._count("validation", what, batch_idx + 1, trainer.num_val_batches, dataloader_idx)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Adds a line to the history."""
        self.pace.end_validation()
        self._remove("validation")
        if not _fitting(trainer):
            self._stop()
        if trainer.sanity_checking or not self.is_enabled:
            return
        label = self._name(trainer)
        if _fitting(trainer) and improves(trainer):
            self.best = label
        found = {name: float(value) for name, value in trainer.callback_metrics.items()}
        self._add(label, found, _primary(pl_module), self._times(trainer) if _fitting(trainer) else "")

    def selected(self, metrics: dict[str, float], primary: str) -> None:
        """Adds the line of the best checkpoint, whose validation is known from training."""
        if self.is_enabled:
            self._add(self._best_name, metrics, primary, "")

    def _add(self, label: str, found: dict[str, float], primary: str, end: str) -> None:
        values = [f"{name} {found[name]:.4f}" for name in _order(found, primary)]
        print(_fitted(label, values, end, Console().width if self.bars else None), flush=True)
        self._told = time.monotonic()

    def _name(self, trainer: L.Trainer) -> str:
        if _fitting(trainer):
            batch = trainer.fit_loop.epoch_loop.batch_idx + 1
            inside = f", batch {batch}" if batch < trainer.num_training_batches else ""
            return f"{_epoch(trainer)}{inside}"
        if not trainer.ckpt_path:
            some = getattr(getattr(trainer, "datamodule", None), "validated", None)
            return "untrained model" + (f" ({some} examples)" if some else "")
        return self._best_name

    @property
    def _best_name(self) -> str:
        return f"best checkpoint ({self.best})" if self.best else "best checkpoint"

    def _times(self, trainer: L.Trainer) -> str:
        whole = length(trainer, trainer.fit_loop.epoch_loop.batch_idx + 1)
        left = self.pace.left(whole.total - whole.done, whole.validations)
        # on a terminal the bar tells what is left
        ended = left is None or self._live or whole.done >= whole.total
        return clock(self.pace.seconds) + ("" if ended else f", {_left(left)}")

    # test and prediction ------------------------------------------------------------------------------------------

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Moves the bar of the test."""
        self._count("test", "test", batch_idx + 1, trainer.num_test_batches, dataloader_idx)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the bar away."""
        self._stop()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Moves the bar of a prediction."""
        self._count("prediction", "prediction", batch_idx + 1, trainer.num_predict_batches, dataloader_idx)

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Takes the bar away."""
        self._stop()

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Takes the bar away, so that what is said now stands alone."""
        self._stop()

    def teardown(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Takes the bar away."""
        self._stop()

    # the screen ---------------------------------------------------------------------------------------------------

    def _count(self, key: str, what: str, done: int, totals: Any, loader: int) -> None:
        """Shows how many batches of all loaders are done, and what the others take at that pace."""
        counts = totals if isinstance(totals, list) else [totals]
        done, total, now = sum(counts[:loader]) + done, sum(counts), time.monotonic()
        begun = self._begun.setdefault(key, now)
        # the first one ended when its clock began
        left = _left((now - begun) / (done - 1) * (total - done)) if done > 1 else ""
        # while training, the bar of the training tells what is left
        self._show(key, what, done, total, "" if "training" in self._tasks else left)

    def _show(self, key: str, what: str, done: float, total: float, left: str = "", note: str = "") -> None:
        if not self.is_enabled:
            return
        if not self.bars:
            self._tell(key, what, done, total, left, note)
            return
        self._live = self._live or _bars()
        if key not in self._tasks:
            self._tasks[key] = self._live.add_task(what, total=None, left="", note="")
        known: dict[str, Any] = {"note": note} if note else {}
        known |= {"total": total} if total < float("inf") else {}
        self._live.update(self._tasks[key], description=what, completed=done, left=left, **known)

    @property
    def _due(self) -> bool:
        return time.monotonic() - self._told >= EVERY

    def _tell(self, key: str, what: str, done: float, total: float, left: str, note: str) -> None:
        if self._due and 0 < done < total:
            self._told = time.monotonic()
            # a place in the training names its batch
            counted = "" if key == "training" or total == float("inf") else f"batch {done:.0f}/{total:.0f}"
            print("  ".join(filter(None, (what, counted, note, left))), flush=True)

    def _remove(self, key: str) -> None:
        self._begun.pop(key, None)
        if self._live and key in self._tasks:
            self._live.remove_task(self._tasks.pop(key))

    def _stop(self) -> None:
        if self._live:
            self._live.stop()
        self._live, self._tasks, self._begun = None, {}, {}


WIDTH = len("untrained model")
"""Of the names in the history."""


def _bars() -> Progress:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[left]}"),
        TextColumn("{task.fields[note]}", style="dim"),
    )
    live = Progress(*columns, console=Console(), transient=True, refresh_per_second=4, expand=True)
    live.start()
    # a killed process could not bring it back
    live.console.show_cursor(True)
    return live


def _primary(module: Any) -> str:
    """The metric that leads: that of the task, or of an objective without one."""
    return str(module.task.primary if isinstance(module, Strategy) else module.primary)


def _fitting(trainer: L.Trainer) -> bool:
    return trainer.state.fn == TrainerFn.FITTING


def _epoch(trainer: L.Trainer) -> str:
    last = trainer.max_epochs
    return f"epoch {trainer.current_epoch + 1}" + (f"/{last}" if last and last > 0 else "")


def _place(trainer: L.Trainer, done: int) -> str:
    count = trainer.num_training_batches
    return f"{_epoch(trainer)}  batch {done}" + ("" if count == float("inf") else f"/{count}")


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f"{clock(seconds)} left"


def _loss(trainer: L.Trainer) -> str:
    value = trainer.callback_metrics.get("train/loss")
    return "" if value is None else f"loss {float(value):.4f}"


def _fitted(label: str, values: list[str], end: str, width: int | None) -> str:
    """A line of the history; a narrow terminal gets as many of its values as fit, the leading one always."""
    while True:
        line = "  ".join(filter(None, (f"{label:<{WIDTH}}", *values, end)))
        if width is None or len(line) < width or len(values) < 2:
            return line
        values = values[:-1]


def _order(found: dict[str, float], primary: str) -> list[str]:
    """Names of metrics: the leading one, the others of the validation, and last the losses."""
    first, losses = f"val/{primary}", [name for name in ("val/loss", "train/loss") if name in found]
    others = [name for name in found if name.startswith("val/") and name not in {first, "val/primary", *losses}]
    return [*([first] if first in found else []), *others, *losses]
