"""What every module that is trained here does alike: the end of the schedule, clipping, a loss that is not finite."""

from typing import Any, cast

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from transferlab.ground.errors import TransferlabError


class Fitted(L.LightningModule):
    """Lightning's hooks of training that do not depend on what is learned."""

    def setup(self, stage: str) -> None:
        """Prepares DDP.

        Position ids and the like never change, and broadcasting them before each forward would hang where ranks
        evaluate unequal numbers of batches.
        """
        self._ddp_params_and_buffers_to_ignore = [name for name, _ in self.named_buffers()]

    def on_fit_start(self) -> None:
        """Turns dropout on: transformers loads encoders in evaluation mode, and Lightning keeps the mode it finds."""
        self.train()

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run.

        Raises:
            TransferlabError: The run has no end.
        """
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise TransferlabError("trainer.max_epochs: the schedule needs an end; set it or trainer.max_steps.")
        return int(steps)

    def check_finite(self, loss: Tensor) -> None:
        """Stops a run whose loss is not finite.

        Raises:
            TransferlabError: It is not; says what helps.
        """
        due = self.global_step % cast(Any, self.trainer).log_every_n_steps == 0
        # reading the value waits for the device, so on a GPU it is read only at the steps that log
        if (due or loss.device.type == "cpu") and not torch.isfinite(loss):
            raise TransferlabError(
                f"The training loss is {loss.item()} at step {self.global_step}. Lower the learning rate "
                "(model.optimizer.lr), clip gradients (trainer.gradient_clip_val), or train in 32-true precision."
            )

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips gradients, with a fused optimizer in bf16 too.

        Lightning refuses that pair because a fused optimizer unscales inside its step; bf16 has nothing to unscale.
        """
        fused = getattr(optimizer, "_step_supports_amp_scaling", False)
        unscaled = getattr(self.trainer.precision_plugin, "scaler", None) is None
        if fused and unscaled and gradient_clip_val and gradient_clip_algorithm in {None, "norm"}:
            nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], gradient_clip_val)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
