"""What training costs: examples, tokens, seconds and memory, counted over all starts of a run."""

import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from transferlab.ground.memory import peak_memory_mb
from transferlab.tasks import Batch


class CostCounter(Callback):
    """Counts what training costs; validation and what lies between the epochs are left out."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.samples = 0
        self.tokens: Any = 0
        self.train_s = 0.0
        self.earlier_s = 0.0
        self._entered = 0.0

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
        """Continues from there."""
        self.samples, self.tokens = state_dict["samples"], state_dict["tokens"]
        self.train_s, self.earlier_s = state_dict["train_s"], state_dict["wall_s"]

    @property
    def wall_s(self) -> float:
        """Seconds of this start and of those before, up to the checkpoint that was resumed from."""
        return self.earlier_s + time.perf_counter() - self.started

    def _stop_clock(self) -> None:
        if self._entered:
            self.train_s += time.perf_counter() - self._entered
            self._entered = 0.0

    def costs(self, trainer: L.Trainer) -> dict[str, float]:
        """Seconds, throughput of all processes together, optimizer steps, and peak memory in MB of 2**20 bytes."""
        world = trainer.world_size
        seconds = max(self.train_s, 1e-9)
        return {
            "wall_s": round(self.wall_s, 2),
            "train_s": round(self.train_s, 2),
            "samples_s": round(world * self.samples / seconds, 2),
            "tokens_s": round(world * float(self.tokens) / seconds, 1),
            "step_ms": round(1000 * seconds / max(trainer.global_step, 1), 3),
            "steps": trainer.global_step,
            "epochs": trainer.current_epoch,
            "peak_mem_mb": round(peak_memory_mb(), 1),
        }
