"""The gradient of an optimizer step is that of a mean over all its examples, however they came."""

from typing import Any

import torch
from torch import Tensor, nn

from transferlab.tasks import Batch
from transferlab.tasks.batch import IGNORE


def counts(batch: Batch, per_example: bool = False) -> Tensor:
    """What each example counts in a mean loss, ``[batch]``.

    1; for tagging the number of words that the encoder saw, for questions the number of windows that are trained on,
    for texts the number of tokens of the target.

    Args:
        batch: Has labels.
        per_example: Whether each example counts 1 all the same.
    """
    assert batch.labels is not None
    if batch.targets is not None:
        return (batch.labels != IGNORE).sum(-1)
    if batch.words is None or per_example:
        return torch.ones(len(batch.labels), dtype=torch.long, device=batch.labels.device)
    if batch.passages is not None:
        return ((batch.labels != IGNORE) & (batch.labels % 2 == 1)).sum(-1)
    return ((batch.labels != IGNORE) & (batch.words >= 0)).sum(-1)


def counted(batch: Batch, per_example: bool = False) -> Tensor:
    """Number of what the loss of a batch is a mean over, a scalar; see `counts`."""
    return counts(batch, per_example).sum()


class StepMean:
    """Divides the gradient of an optimizer step by the number of examples in the whole step.

    A step may gather several batches (``trainer.accumulate_grad_batches``, the last step of an epoch fewer of them) on
    several processes, with unequal numbers of examples, for tagging of words. Lightning divides the loss of each batch
    by the number of batches that a full step has, and DDP takes the mean over processes. That is a mean of means, and
    an incomplete step learns at a fraction of the rate. Here each batch adds the sum over its examples, and before the
    step the gradient is divided by the number of examples in all batches of all processes:
    ``grad = sum_b n_b grad(mean_b) / sum_b n_b``. A term that is no mean over examples, such as a penalty, keeps its
    weight, since the ``n_b`` add up to what is divided by.

    A step of one batch on one process is left as it is, to the bit.

    Args:
        per_example: Whether the loss is a mean over examples though words have labels.
    """

    def __init__(self, per_example: bool = False) -> None:
        self.per_example = per_example
        self._count: Tensor | None = None
        self._sum: Tensor | None = None

    def add(self, loss: Tensor, batch: Batch, trainer: Any) -> tuple[Tensor, Tensor]:
        """Adds a batch to the step.

        Args:
            loss: Mean over what `counted` counts, a scalar.
            batch: The batch.
            trainer: Tells how many batches and processes make a step.

        Returns:
            What is to be differentiated, and the mean over the batches of this step so far on this process.
        """
        batches = trainer.accumulate_grad_batches
        if batches == 1 and trainer.world_size == 1:
            return loss, loss
        count = counted(batch, self.per_example)
        total = loss * count
        self._count = count if self._count is None else self._count + count
        self._sum = total.detach() if self._sum is None else self._sum + total.detach()
        # Lightning divides by the number of batches of a full step
        return total * batches, self._sum / self._count.clamp(min=1)

    def finish(self, module: nn.Module, trainer: Any) -> None:
        """Divides the gradients by the number of examples in the step; DDP has divided them by the processes."""
        if self._count is None:
            return
        count = self._count.to(torch.float32)
        if trainer.world_size > 1:
            count = trainer.strategy.reduce(count, reduce_op="sum")
        factor = trainer.world_size / count.clamp(min=1)
        gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
        for gradient in gradients:
            gradient.mul_(factor)
        self._count = self._sum = None
