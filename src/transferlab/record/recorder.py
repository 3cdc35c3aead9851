"""The callback that writes the record of a run and shows it."""

import contextlib
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from transferlab.ground import screen
from transferlab.record import environment, predictions, report, retest, stopping, texts, thresholds, validated
from transferlab.record import folder as run_folder
from transferlab.record.costs import CostCounter
from transferlab.record.evaluations import Evaluated, Evaluations
from transferlab.record.facts import describe, moved
from transferlab.record.latency import latency_ms
from transferlab.record.record import RunRecord
from transferlab.strategies.base import Strategy
from transferlab.tasks import Batch, TaskDataModule
from transferlab.tasks.kinds import KINDS


class RunRecorder(CostCounter, RunRecord):
    """Writes ``summary.json``, ``environment.json`` and predictions; prints header and result.

    Args:
        folder: The run directory.
        identity: What the run is: experiment, strategy, seed, tags.

    Attributes:
        evaluations: Tells results of record from those beside it.
        view: Summary and folder of what was evaluated last: the run's own, or those of an entry beside the record.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        CostCounter.__init__(self)
        RunRecord.__init__(self, folder, identity)
        self._lines: dict[str, list[predictions.Record]] = {}
        self._data: TaskDataModule | None = None
        self.evaluations = Evaluations()
        self.view: tuple[dict[str, Any], Path] = (self.summary, folder)
        self._writes = False

    # before training ----------------------------------------------------------------------------------------------

    def open(self, model: Strategy, data: TaskDataModule, training: bool = False, resumed: bool = False) -> None:
        """Creates the folder, or opens that of an earlier run; fills in what is known, and prints the header.

        Args:
            model: What is trained or evaluated.
            data: Its rows.
            training: Whether the run is going to be trained, anew or further.
            resumed: Whether that is from a checkpoint; otherwise nothing of an earlier start counts.
        """
        self._data = data
        known = (self.folder / "summary.json").is_file()
        anew = not known or (training and not resumed)
        if anew:
            # reads the test examples maybe; what is wrong with them shows before there is a folder
            self.summary |= describe(model, data)
        else:
            self.summary = run_folder.whole_summary(self.folder)
            if training:
                self.summary["data"] |= moved(self.summary["data"], data)
        if training and model.accepted:
            # before the first step on it: a kill leaves no run that is silent about it
            self.summary["accepted"] = [*self.summary.get("accepted", []), *model.accepted]
        run_folder.create(self.folder)
        # what a training ends with is of record, and so is all of a folder that is new
        self._writes = training or anew
        self.evaluations.begin(all_of_record=self._writes)
        if self._writes:
            self.summary.pop("error", None)
            self._write("running")
            self._note_start(resumed)
        self.view = (self.summary, self.folder)
        self.header()

    def _note_start(self, resumed: bool) -> None:
        earlier = environment.starts(self.folder)
        now = environment.note_start(self.folder, resumed)
        others = environment.other_versions(earlier[-1], now) if earlier and resumed else []
        if others:
            self.screen.print(
                f"resumed under {', '.join(others)}: what follows is not equal, bit for bit, to an uninterrupted run.",
                soft_wrap=True,
            )

    def before(self, metrics: dict[str, float], examples: int | None = None) -> None:
        """Notes the validation metrics of the untrained head, and of how many examples where not of all."""
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return
        self.summary["before"] = metrics
        if examples is not None:
            self.summary["before_examples"] = examples
        self._write("running")

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the cost."""
        if not trainer.is_global_zero:
            return
        self.summary["perf"] |= self.costs(trainer)
        if end := stopping.ended(trainer):
            self.summary["early_stopping"] = {**(self.summary.get("early_stopping") or {}), **end}
        best = trainer.checkpoint_callback
        if isinstance(best, ModelCheckpoint) and Path(best.best_model_path).is_file():
            self.summary["checkpoint_mb"] = round(Path(best.best_model_path).stat().st_size / 2**20, 3)
        self._write("trained")

    # after training -----------------------------------------------------------------------------------------------

    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the predictions of a batch, of the selected checkpoint only."""
        if _selected(trainer):
            assert isinstance(pl_module, Strategy)
            lines = predictions.records(pl_module.task, outputs, batch.labels)
            self._lines.setdefault("validation", []).extend(lines)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes metrics and predictions of the selected checkpoint, and the layer mix that it learned."""
        if not _selected(trainer):
            return
        assert isinstance(pl_module, Strategy)
        lines = self._gathered(trainer)
        if trainer.is_global_zero and not self._beside("validate", trainer, lines):
            self._validated(lines, _metrics(trainer, "val/"), validated.learned(pl_module), pl_module)
            if self.summary["status"] == "finished":
                # no test follows that would write it
                self._write("finished")

    def selected(self, trainer: L.Trainer, model: Strategy, known: validated.Validation, checkpoint: Path) -> None:
        """Takes the validation that a checkpoint was written after as the one of record.

        Args:
            trainer: It has trained the model.
            model: The model, whose weights may be later ones.
            known: What that validation gave in this process.
            checkpoint: The checkpoint.
        """
        self._lines = {"validation": known.lines}
        lines = self._gathered(trainer)
        if trainer.is_global_zero:
            now = self.evaluations.facts("validate", trainer, self._data_of(trainer), lines, checkpoint)
            self.evaluations.of_record("validate", now, self.folder, self.summary)
            self._note("validate", now)
            self._validated(lines, known.metrics, known.learned, model)

    def _validated(
        self, lines: retest.Lines, metrics: dict[str, float], learned: validated.Learned, model: Strategy
    ) -> None:
        found = lines.get("validation", [])
        self.after(metrics)
        predictions.write(predictions.place(self.folder, "validation"), found)
        if learned.thresholds is not None:
            several, values = model.task.labels, learned.thresholds
            known = thresholds.facts(several, values, found) if several else thresholds.of_questions(values, found)
            self.summary["thresholds"] = known
        self.summary |= learned.found

    def on_test_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the predictions of a batch."""
        assert isinstance(pl_module, Strategy)
        lines = predictions.records(pl_module.task, outputs, batch.labels)
        self._lines.setdefault(pl_module.task.tests[dataloader_idx], []).extend(lines)

    def on_test_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes predictions and metrics, prints the result."""
        assert isinstance(pl_module, Strategy)
        lines = self._gathered(trainer)
        if not trainer.is_global_zero:
            return
        main = lines.get("test", [])
        found: dict[str, Any] = {"per_class": report.per_class(pl_module.task, main)}
        found["test"] = predictions.facts(pl_module.task.kind, main) | {
            "latency_ms": self._latency_ms(trainer, pl_module)
        }
        # all test splits were written in that time
        written = sum(map(len, lines.values()))
        share = len(main) / written if written else 0.0
        found["test"] |= predictions.of_texts(pl_module.task, main, share * pl_module.generated_s)
        if parts := KINDS[pl_module.task.kind].parts(main):
            found["test"]["parts"] = parts
        if self._beside("test", trainer, lines, **found):
            return
        self.summary["metrics"] |= _metrics(trainer, "test")
        self.summary |= found
        texts.write(self.folder, self._data_of(trainer), lines)
        self.close()

    @staticmethod
    def _latency_ms(trainer: L.Trainer, model: Strategy) -> float | None:
        data = getattr(trainer, "datamodule", None)
        return latency_ms(trainer, model, data) if isinstance(data, TaskDataModule) else None

    def close(self) -> None:
        """Marks the run as finished and prints the result."""
        if self.summary["status"] != "finished":
            # a test of a finished run says nothing about the cost of training
            self.summary["perf"]["wall_s"] = round(self.wall_s, 2)
        self._write("finished")
        self.result()

    def on_predict_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the predictions of a batch."""
        assert isinstance(pl_module, Strategy)
        name = self._data_of(trainer).predicted.names[dataloader_idx]
        self._lines.setdefault(name, []).extend(predictions.records(pl_module.task, outputs, None))

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes predictions."""
        lines = self._gathered(trainer)
        if not trainer.is_global_zero or self._beside("predict", trainer, lines):
            return
        paths = {name: predictions.place(self.folder, name) for name in lines}
        for name, path in paths.items():
            predictions.write(path, lines[name])
        rows = {str(path): f"{len(lines[name])} predictions" for name, path in paths.items()}
        if missing := self._data_of(trainer).predicted.missing:
            rows["not predicted"] = f"{', '.join(missing)}: the data has no such split"
        self._show(screen.facts(rows, "predicted"))

    def _gathered(self, trainer: L.Trainer) -> dict[str, list[predictions.Record]]:
        """The records of all processes, by the name of their file; the next evaluation starts without any."""
        own, self._lines = self._lines, {}
        if trainer.world_size == 1:
            return own
        parts: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, own)
        return {split: [line for part in parts for line in part.get(split, [])] for split in parts[0]}

    def _beside(
        self, command: str, trainer: L.Trainer, lines: dict[str, list[predictions.Record]], **found: dict[str, Any]
    ) -> bool:
        """Writes a result that is not of record into an entry of its own; returns whether it was one."""
        now = self.evaluations.facts(command, trainer, self._data_of(trainer), lines)
        if self.evaluations.of_record(command, now, self.folder, self.summary):
            self._note(command, now)
            return False
        prefix = {"validate": "val/", "test": "test"}.get(command)
        found["metrics"] = _metrics(trainer, prefix) if prefix else {}
        entry, rows = self.evaluations.keep(now, self.folder, self.summary, lines, found)
        if command == "test":
            texts.write(entry, self._data_of(trainer), lines)
        self.view = (self.summary | found, entry)
        if found.get("per_class"):
            self._show(report.class_table(found["per_class"], "test, per class"))
        self._show(screen.facts(rows, f"{command} beside the record"))
        return True

    def _note(self, command: str, now: Evaluated) -> None:
        self.summary["evaluated"] = {**(self.summary.get("evaluated") or {}), command: now.facts}

    def _data_of(self, trainer: L.Trainer) -> TaskDataModule:
        """What is evaluated, which from Python need not be what the run was opened with."""
        data = getattr(trainer, "datamodule", None)
        found = data if isinstance(data, TaskDataModule) else self._data
        assert found is not None
        return found

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Marks the run as failed or interrupted."""
        # what happens before the directory is opened concerns another run in it, maybe
        # nor does an evaluation that ends early change what is known of a run
        if trainer.is_global_zero:
            self.failed(exception)

    def failed(self, exception: BaseException) -> None:
        """Notes what ended the run, also outside of the Trainer."""
        if self._writes and self.folder.is_dir():
            self.summary["error"] = f"{type(exception).__name__}: {exception}".strip()
            # what went wrong is a full disk, maybe
            with contextlib.suppress(OSError):
                self._write("interrupted" if isinstance(exception, KeyboardInterrupt | SystemExit) else "failed")


def _metrics(trainer: L.Trainer, prefix: str) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}


def _selected(trainer: L.Trainer) -> bool:
    """Whether a checkpoint is validated, and not the weights before or in the middle of training."""
    return trainer.state.fn == "validate" and trainer.ckpt_path is not None
