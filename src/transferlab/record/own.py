"""The record of a run that is not of a single task: header, ``summary.json``, result."""

import contextlib
from abc import abstractmethod
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.utilities import rank_zero_only

from transferlab.ground import screen
from transferlab.record import environment
from transferlab.record import folder as run_folder
from transferlab.record.costs import CostCounter


class OwnRecorder(CostCounter):
    """Writes ``summary.json`` and ``environment.json``; prints header and result. A subclass says what is in them.

    Args:
        folder: The run directory.
        identity: What the run is: experiment, strategy, seed, tags.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        super().__init__()
        self.folder = folder
        self.summary: dict[str, Any] = dict(identity)
        self.screen = screen.console()
        self._writes = False

    @abstractmethod
    def described(self, model: Any, data: Any) -> dict[str, Any]:
        """What is known before training, as it stands in ``summary.json``."""

    @abstractmethod
    def header_rows(self) -> dict[str, str]:
        """What is about to run, by name."""

    @abstractmethod
    def result_rows(self) -> dict[str, str]:
        """The lines printed at the end of a run."""

    @property
    def view(self) -> tuple[dict[str, Any], Path]:
        """Summary and folder."""
        return self.summary, self.folder

    def open(self, model: Any, data: Any, resumed: bool) -> None:
        """Creates the folder, or opens that of an earlier start, and prints the header."""
        if resumed:
            self.summary = run_folder.whole_summary(self.folder)
        else:
            self.summary |= self.described(model, data)
        run_folder.create(self.folder)
        self._writes = True
        self.summary.pop("error", None)
        self._write("running")
        environment.note_start(self.folder, resumed)
        title = f"{self.summary['experiment']} (seed {self.summary['seed']})"
        self._show(screen.facts(self.header_rows(), title))

    def before(self, metrics: dict[str, float]) -> None:
        """Notes the metrics before training."""
        if not rank_zero_only.rank:  # type: ignore[attr-defined]
            self.summary["before"] = metrics
            self._write("running")

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the cost."""
        if trainer.is_global_zero:
            self.summary["perf"] |= self.costs(trainer)
            self._write("trained")

    def after(self, best: dict[str, float]) -> None:
        """Notes the metrics of the checkpoint that is left."""
        found = {name.replace("best/", "val/", 1): value for name, value in best.items()}
        self.summary["best_step"] = int(found.pop("val/step", 0))
        self.summary["after"] = found
        self.summary["metrics"] |= found

    def close(self) -> None:
        """Marks the run as finished and prints the result."""
        self.summary["perf"]["wall_s"] = round(self.wall_s, 2)
        self._write("finished")
        self._show(screen.facts(self.result_rows(), f"{self.summary['experiment']}: result"))

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Marks the run as failed or interrupted."""
        if trainer.is_global_zero:
            self.failed(exception)

    def failed(self, exception: BaseException) -> None:
        """Notes what ended the run, also outside of the Trainer."""
        if self._writes and self.folder.is_dir():
            self.summary["error"] = f"{type(exception).__name__}: {exception}".strip()
            # what went wrong is a full disk, maybe
            with contextlib.suppress(OSError):
                self._write("interrupted" if isinstance(exception, KeyboardInterrupt | SystemExit) else "failed")

    def _show(self, renderable: Any) -> None:
        self.screen.print()
        self.screen.print(renderable)

    def _write(self, status: str) -> None:
        self.summary["status"] = status
        run_folder.write_json(self.folder / "summary.json", self.summary)
