"""Loggers that write files into the run directory: one series a run, over all its starts."""

from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers import TensorBoardLogger as LightningTensorBoard
from lightning.pytorch.utilities import rank_zero_only

from transferlab.record import history
from transferlab.tracking.metrics_log import MetricsLog

__all__ = ["TensorBoardLogger"]
"""What a configuration can name."""


class TensorBoardLogger(LightningTensorBoard):
    """Lightning's, with one event file for each start of a run, and hyperparameters beside the final metrics.

    Lightning closes the file after each of training, validation and test, and writes ``hp_metric: -1`` in the place of
    a result.

    Args:
        save_dir: Filled in: the run directory.
        name: Filled in.
        version: Filled in.
    """

    def __init__(self, save_dir: str, name: str | None = "tensorboard", version: str | int | None = "") -> None:
        super().__init__(save_dir, name=name, version=version, default_hp_metric=False)

    def finalize(self, status: str) -> None:
        """Writes what is open; the file is closed by `finish`, or where a run fails."""
        if status == "success" and self._experiment is not None:
            self.experiment.flush()
        else:
            super().finalize(status)

    def finish(self, facts: dict[str, Any], metrics: dict[str, float]) -> None:
        """Adds the run to the table of runs, by hyperparameters and final metrics, and closes the file."""
        self.log_hyperparams(facts, metrics)
        super().finalize("success")


class Replay(Callback):
    """Gives file loggers what a resumed run logged before, so that they hold one whole series.

    Args:
        folder: The run directory.
        log: The log that goes back with a checkpoint.
    """

    def __init__(self, folder: Path, log: MetricsLog) -> None:
        self.folder = folder
        self.metrics = log

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Logs the lines of ``metrics.jsonl`` once more, as the checkpoint left it."""
        loggers = [one for one in trainer.loggers if isinstance(one, TensorBoardLogger | CSVLogger)]
        if not (trainer.is_global_zero and loggers):
            return
        for row in [*history.rows(self.folder), self.metrics.state()["row"]]:
            values = {name: value for name, value in row.items() if name != "step" and value is not None}
            for logger in loggers if values else []:
                logger.log_metrics(values, step=row["step"])


@rank_zero_only
def remove_events(folder: Path) -> None:
    """Removes the event files of earlier starts, whose series `Replay` writes anew.

    The first process alone does: when the others are started it writes already.
    """
    for path in (folder / "tensorboard").glob("events.out.tfevents.*"):
        path.unlink(missing_ok=True)
