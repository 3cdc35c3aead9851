"""Several teachers as one: logits whose distribution is the weighted mean of theirs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from transferlab.tasks.batch import Attached, Batch
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    import numpy as np


def mean_logits(task: TaskSpec, logits: Sequence[Tensor], weights: Sequence[float], temperature: float) -> Tensor:
    """Returns logits z with ``softmax(z / T) = sum_k w_k softmax(z_k / T)``, the weights brought to a sum of 1.

    So a student that imitates z at T imitates the mean of the teachers (You et al. 2017,
    https://doi.org/10.1145/3097983.3098135, here weighted). Several labels: ``sigmoid`` in the place of the softmax;
    regression: the weighted mean; slots: tags and intents have a softmax each.

    Args:
        task: Names kind and labels.
        logits: Of each teacher, shaped alike, the classes last.
        weights: Of each teacher.
        temperature: T.

    Returns:
        Logits in float32.
    """
    if task.intents:
        two = zip(*(one.tensor_split([len(task.tags)], -1) for one in logits), strict=True)
        tags = task._replace(kind="tagging", labels=task.tags)
        return torch.cat([mean_logits(tags, one, weights, temperature) for one in two], -1)
    stacked = torch.stack([one.float() for one in logits])
    shares = torch.tensor(weights, device=stacked.device) / sum(weights)
    shares = shares.view(-1, *[1] * (stacked.ndim - 1))
    if task.kind == "regression":
        return (shares * stacked).sum(0)
    soft = stacked / temperature
    if task.kind == "multilabel":
        yes, no = ((shares.log() + torch.nn.functional.logsigmoid(sign * soft)).logsumexp(0) for sign in (1, -1))
        return temperature * (yes - no)
    return temperature * (shares.log() + soft.log_softmax(-1)).logsumexp(0)


class Combined:
    """The cached logits of several teachers, combined where a batch is made.

    Args:
        parts: The logits of each.
        weights: Of each.
        task: Names kind and labels.
        temperature: T of `mean_logits`.
    """

    def __init__(self, parts: Sequence[Any], weights: Sequence[float], task: TaskSpec, temperature: float) -> None:
        self.parts: Sequence[Attached] = parts
        self.weights, self.task, self.temperature = weights, task, temperature
        self.name = "+".join(f"{part.name} x {weight:g}" for part, weight in zip(parts, weights, strict=True))

    @property
    def offsets(self) -> "np.ndarray[Any, Any] | None":
        """Where each row starts in flat values; None for one vector a row."""
        return self.parts[0].offsets

    def of(self, batch: Batch) -> Tensor:
        """The combined logits of a batch."""
        return mean_logits(self.task, [part.of(batch) for part in self.parts], self.weights, self.temperature)
