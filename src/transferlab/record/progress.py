"""Progress of training as lines."""

from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from transferlab.tasks import Batch


class LineProgress(Callback):
    """Progress as plain lines, for output that is not a terminal: about ten lines an epoch."""

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Prints a line every tenth of an epoch."""
        if not trainer.is_global_zero:
            return
        total = int(trainer.num_training_batches)
        done = batch_idx + 1
        if done * 10 // total > batch_idx * 10 // total:
            loss = float(trainer.callback_metrics.get("train/loss", float("nan")))
            print(f"epoch {trainer.current_epoch + 1} batch {done}/{total} train/loss {loss:.4f}", flush=True)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Prints the validation metrics."""
        if not trainer.is_global_zero:
            return
        values = {
            k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/") and k != "val/primary"
        }
        print("validation " + " ".join(f"{name} {value:.4f}" for name, value in values.items()), flush=True)
