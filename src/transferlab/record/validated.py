"""The validation that selected the best checkpoint, kept while training, so that no checkpoint is evaluated twice."""

from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor

from transferlab.record import predictions
from transferlab.strategies import content
from transferlab.strategies.base import Strategy
from transferlab.tasks import Batch, TaskSpec


class Learned(NamedTuple):
    """What the weights of a checkpoint tell, beside its predictions.

    Attributes:
        thresholds: For multilabel the probability from which each label is given; None for other kinds.
        found: ``findings`` and ``layer_mix`` of the summary, where there are any.
    """

    thresholds: list[float] | None
    found: dict[str, Any]


class Validation(NamedTuple):
    """A validation while training.

    Attributes:
        step: Optimizer steps done when it began.
        metrics: ``val/<metric>``.
        lines: A record for each example that this process validated.
        learned: What the weights tell.
    """

    step: int
    metrics: dict[str, float]
    lines: list[predictions.Record]
    learned: Learned


def learned(model: Strategy) -> Learned:
    """What the weights of a model tell now."""
    found: dict[str, Any] = {}
    if findings := model.findings():
        found["findings"] = findings
    if (mix := model.encoder.mix) is not None:
        found["layer_mix"] = {"weights": mix.weights.tolist(), "gamma": float(mix.gamma)}
    return Learned(None if model.thresholds is None else model.thresholds.tolist(), found)


def improves(trainer: L.Trainer) -> bool:
    """Whether this validation gives the best checkpoint so far; the callback that keeps it comes later."""
    keeper = trainer.checkpoint_callback
    if not isinstance(keeper, ModelCheckpoint) or keeper.monitor not in trainer.callback_metrics:
        return False
    value, best = trainer.callback_metrics[keeper.monitor], keeper.best_model_score
    return best is None or bool(value > best if keeper.mode == "max" else value < best)


class BestValidation(Callback):
    """Keeps the validation of the best checkpoint that this start has written."""

    def __init__(self) -> None:
        self._parts: list[tuple[dict[str, Tensor], Tensor | None]] = []
        self._best: Validation | None = None

    def of(self, checkpoint: Path) -> Validation | None:
        """The validation that a checkpoint was written after; None where an earlier start wrote it.

        Args:
            checkpoint: A file that this run wrote.

        Raises:
            TransferlabError: It is damaged.
        """
        if self._best is None:
            return None
        return self._best if content.read(checkpoint).get("global_step") == self._best.step else None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Starts without any example."""
        self._parts = []

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps what a batch gave; nothing is read from the device yet, since most validations are not the best."""
        if _training(trainer):
            self._parts.append((outputs, batch.labels))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keeps the validation if it is the best one so far."""
        parts, self._parts = self._parts, []
        if not _training(trainer) or not improves(trainer):
            return
        assert isinstance(pl_module, Strategy)
        task: TaskSpec = pl_module.task
        lines = [line for outputs, labels in parts for line in predictions.records(task, outputs, labels)]
        metrics = {name: float(v) for name, v in trainer.callback_metrics.items() if name.startswith("val/")}
        self._best = Validation(trainer.global_step, metrics, lines, learned(pl_module))


def _training(trainer: L.Trainer) -> bool:
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
