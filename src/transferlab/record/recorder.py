"""The callback that writes the record of a run and shows it."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from transferlab.ground.hardware import peak_memory_mb
from transferlab.record import folder as run_folder
from transferlab.record import predictions, report, stopping, texts
from transferlab.record.environment import environment
from transferlab.record.facts import describe
from transferlab.record.latency import latency_ms
from transferlab.strategies.base import Strategy
from transferlab.tasks import Batch, TaskDataModule


class RunRecorder(Callback):
    """Writes ``summary.json``, ``environment.json`` and predictions; prints header and result.

    Args:
        folder: The run folder.
        identity: What the run is: experiment, strategy, seed, tags.
    """

    def __init__(self, folder: Path, identity: dict[str, Any]) -> None:
        self.folder = folder
        self.summary: dict[str, Any] = dict(identity)
        self.screen = report.console()
        self.started = time.perf_counter()
        self.samples = 0
        self.tokens: Any = 0
        self.train_s = 0.0
        self.earlier_s = 0.0
        self._entered = 0.0
        self._lines: dict[str, list[predictions.Record]] = {}
        self._data: TaskDataModule | None = None

    # before training ----------------------------------------------------------------------------------------------

    def open(self, model: Strategy, data: TaskDataModule, training: bool = False) -> None:
        """Creates the folder, or goes on in that of an earlier run; fills in what is known, and prints the header.

        Args:
            model: What is trained or evaluated.
            data: Its rows.
            training: Whether the run is going to be trained, anew or further.
        """
        self._data = data
        path = self.folder / "summary.json"
        known = path.is_file()
        if not known:
            # reads the test rows maybe; what is wrong with them shows before there is a folder
            self.summary |= describe(model, data)
        run_folder.create(self.folder)
        if known:
            self.summary = json.loads(path.read_text(encoding="utf-8"))
            if training:
                self.summary.pop("error", None)
                self._write("running")
        else:
            self._write("running")
            run_folder.write_json(self.folder / "environment.json", environment())
        self.header()

    def header(self) -> None:
        """Prints what is about to run."""
        title = f"{self.summary['experiment']} (seed {self.summary['seed']})"
        self._show(report.facts(report.header_rows(self.summary, self.folder), title))

    def before(self, metrics: dict[str, float]) -> None:
        """Notes the validation metrics of the untrained head."""
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return
        self.summary["before"] = metrics
        self._write("running")

    # during training ----------------------------------------------------------------------------------------------

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Starts the clock of a step."""
        self._entered = time.perf_counter() if not self._entered else self._entered

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Counts examples and real tokens; a tensor sum, so that no step waits for the device."""
        self.samples += len(batch.index)
        self.tokens = self.tokens + batch.attention_mask.sum()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the training clock."""
        self._stop_clock()

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stops the training clock."""
        self._stop_clock()

    def state_dict(self) -> dict[str, float]:
        """What the run has cost so far, for the next start to go on from."""
        running = time.perf_counter() - self._entered if self._entered else 0.0
        return {
            "samples": self.samples,
            "tokens": int(self.tokens),
            "train_s": self.train_s + running,
            "wall_s": self.wall_s,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from there."""
        self.samples, self.tokens = state_dict["samples"], state_dict["tokens"]
        self.train_s, self.earlier_s = state_dict["train_s"], state_dict["wall_s"]

    @property
    def wall_s(self) -> float:
        """Seconds of this start and of those before, up to the checkpoint that was gone on from."""
        return self.earlier_s + time.perf_counter() - self.started

    def _stop_clock(self) -> None:
        if self._entered:
            self.train_s += time.perf_counter() - self._entered
            self._entered = 0.0

    def on_fit_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Notes the cost."""
        if not trainer.is_global_zero:
            return
        world = trainer.world_size
        seconds = max(self.train_s, 1e-9)
        self.summary["perf"] |= {
            "wall_s": round(self.wall_s, 2),
            "train_s": round(self.train_s, 2),
            "samples_s": round(world * self.samples / seconds, 2),
            "tokens_s": round(world * float(self.tokens) / seconds, 1),
            "step_ms": round(1000 * seconds / max(trainer.global_step, 1), 3),
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "peak_mem_mb": round(peak_memory_mb(), 1),
        }
        if end := stopping.ended(trainer):
            self.summary["early_stopping"] = {**(self.summary.get("early_stopping") or {}), **end}
        best = trainer.checkpoint_callback
        if isinstance(best, ModelCheckpoint) and Path(best.best_model_path).is_file():
            self.summary["checkpoint_mb"] = round(Path(best.best_model_path).stat().st_size / 2**20, 3)
        self._write("trained")

    # after training -----------------------------------------------------------------------------------------------

    def after(self, metrics: dict[str, float]) -> None:
        """Notes the validation metrics of the best checkpoint."""
        if rank_zero_only.rank:  # type: ignore[attr-defined]
            return
        self.summary["after"] = metrics
        self.summary["metrics"] |= metrics

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
        """Writes the predictions of the selected checkpoint, and the layer mix that it learned."""
        if not _selected(trainer):
            return
        assert isinstance(pl_module, Strategy)
        self._gather(trainer)
        lines = self._lines.pop("validation", [])
        if trainer.is_global_zero:
            predictions.write(self.folder / "predictions" / "validation.jsonl", lines)
            if (mix := pl_module.encoder.mix) is not None:
                self.summary["layer_mix"] = {"weights": mix.weights.tolist(), "gamma": float(mix.gamma)}

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
        self._gather(trainer)
        if not trainer.is_global_zero:
            return
        self.summary["metrics"] |= {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("test")}
        main = self._lines.get("test", [])
        self.summary["per_class"] = report.per_class(pl_module.task, main)
        self.summary["test"] = predictions.facts(main) | {"latency_ms": self._latency_ms(trainer, pl_module)}
        assert self._data is not None
        texts.write(self.folder, self._data, self._lines)
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
        assert self._data is not None
        name = self._data.predicted.names[dataloader_idx]
        self._lines.setdefault(name, []).extend(predictions.records(pl_module.task, outputs, None))

    def on_predict_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Writes predictions."""
        self._gather(trainer)
        if not trainer.is_global_zero:
            return
        rows = {}
        for name, lines in self._lines.items():
            path = self.folder / "predictions" / f"{name}.jsonl"
            predictions.write(path, lines)
            rows[str(path)] = f"{len(lines)} predictions"
        if self._data is not None and (missing := self._data.predicted.missing):
            rows["not predicted"] = f"{', '.join(missing)}: the data has no such split"
        self._show(report.facts(rows, "predicted"))

    def _gather(self, trainer: L.Trainer) -> None:
        if trainer.world_size == 1:
            return
        parts: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(parts, self._lines)
        self._lines = {split: [line for part in parts for line in part.get(split, [])] for split in parts[0]}

    def result(self) -> None:
        """Prints before and after, test metrics, the per-class report and costs."""
        if self.summary.get("per_class"):
            self._show(report.class_table(self.summary["per_class"], "test, per class"))
        rows = report.result_rows(self.summary) | {"run folder": str(self.folder)}
        self._show(report.facts(rows, f"{self.summary['experiment']}: result"))

    def on_exception(self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException) -> None:
        """Marks the run as failed or interrupted."""
        # what happens before the directory is opened concerns another run in it, maybe
        if trainer.is_global_zero and self._data is not None and self.folder.is_dir():
            self.summary["error"] = f"{type(exception).__name__}: {exception}".strip()
            # what went wrong is a full disk, maybe
            with contextlib.suppress(OSError):
                self._write("interrupted" if isinstance(exception, KeyboardInterrupt | SystemExit) else "failed")

    def _show(self, renderable: Any) -> None:
        self.screen.print()
        self.screen.print(renderable)

    def _write(self, status: str) -> None:
        self.summary["status"] = status
        # NaN is not JSON; a reader that is not Python would refuse the whole file
        clean = json.loads(json.dumps(self.summary, default=str), parse_constant=lambda _: None)
        run_folder.write_json(self.folder / "summary.json", clean)


def _selected(trainer: L.Trainer) -> bool:
    """Whether a checkpoint is validated, and not the weights before or in the middle of training."""
    return trainer.state.fn == "validate" and trainer.ckpt_path is not None
