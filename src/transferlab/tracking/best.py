"""The best validation so far, logged as ``best/<metric>`` and ``best/step``."""

import math
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.trainer.states import TrainerFn


class BestValues(Callback):
    """Logs the values of the best validation so far after each validation; they are kept over restarts.

    Of equal values the first counts, as with the checkpoint.

    Args:
        monitor: Name of the metric that selects.
        mode: ``max`` or ``min``.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor = monitor
        self.sign = 1.0 if mode == "max" else -1.0
        self.score = -math.inf
        self.values: dict[str, float] = {}

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Compares and logs; ``best/step`` is the number of optimizer steps done."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        score = self.sign * metrics.get(self.monitor, math.nan)
        if score > self.score:
            self.score = score
            found = {name.replace("val/", "best/", 1): v for name, v in metrics.items() if name.startswith("val/")}
            self.values = found | {"best/step": float(trainer.global_step)}
        # the step that Lightning logs this validation under
        step = trainer.fit_loop.epoch_loop._batches_that_stepped
        for logger in trainer.loggers if self.values else []:
            logger.log_metrics(self.values, step=step)

    def state_dict(self) -> dict[str, Any]:
        """The best so far."""
        return {"score": self.score, "values": self.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from there."""
        self.score, self.values = state_dict["score"], state_dict["values"]
