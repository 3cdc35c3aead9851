"""Which task each step trains on, and on which of its examples: a pure function of (seed, epoch)."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from transferlab.tasks import Batch
from transferlab.tasks.batching import BucketBatchSampler

Array = np.ndarray[Any, Any]


class TaskBatch(NamedTuple):
    """A batch of one of several tasks.

    Attributes:
        task: Its name.
        batch: Examples of that task.
    """

    task: str
    batch: Batch

    @property
    def index(self) -> Tensor:  # type: ignore[override]  # nobody looks up a tensor in a batch
        """Row number of each example in its split ``[batch]``."""
        return self.batch.index

    @property
    def attention_mask(self) -> Tensor:
        """1 for tokens, 0 for padding ``[rows, length]``."""
        return self.batch.attention_mask

    def to(self, device: torch.device) -> "TaskBatch":
        """The same batch on a device."""
        return TaskBatch(self.task, self.batch.to(device))


def shares(sizes: Sequence[int], alpha: float) -> Array:
    """The share of steps of each task, ``p_i = n_i^alpha / sum_j n_j^alpha``.

    At 1 every example of all tasks counts the same, at 0 every task; 0.5 is what multi-task models often take
    (Devlin 2018, multilingual BERT: 0.7; Stickland and Murray 2019, https://arxiv.org/abs/1902.02671, section 4.1:
    from 1 to 0.2 over the training).

    Args:
        sizes: Training examples of each task.
        alpha: The exponent.

    Returns:
        ``[tasks]``, of sum 1.
    """
    powers = np.asarray(sizes, dtype=np.float64) ** alpha
    return np.asarray(powers / powers.sum())


def divided(total: int, parts: Array) -> list[int]:
    """A number of steps divided by shares: rounded down, what is left to the largest rests, at least 1 each.

    Args:
        total: Steps of all tasks together.
        parts: Their shares ``[tasks]``.
    """
    exact = parts * max(total, len(parts))
    counts = np.floor(exact).astype(int)
    rest = round(float(exact.sum())) - int(counts.sum())
    counts[np.argsort(-(exact - counts), kind="stable")[:rest]] += 1
    while (counts == 0).any():
        counts[counts.argmax()] -= 1
        counts[counts.argmin()] += 1
    return [int(count) for count in counts]


class Mixed(Sampler[tuple[int, list[int]]]):
    """Batches of several tasks in random order, each task as often in every epoch.

    The batches of a task follow those of its own sampler, from one epoch to the next: all its examples are seen before
    one comes again, whether that takes many epochs or a part of one. So a place is a number of steps, and a run that
    resumes goes on behind it.

    Args:
        samplers: Training batches of each task.
        steps: Batches of each task in an epoch, for each process.
        seed: Seed of the order.
    """

    def __init__(self, samplers: Sequence[BucketBatchSampler], steps: Sequence[int], seed: int = 0) -> None:
        self.samplers, self.steps, self.seed = samplers, list(steps), seed
        self.epoch, self._begun = 0, (0, 0)
        self._plans: dict[int, tuple[int, list[list[int]]]] = {}

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, start: int) -> None:
        """Leaves out the first `start` batches of one epoch; it still counts as long as any other."""
        if start:
            BucketBatchSampler.check_place(start, len(self))
        self.epoch, self._begun = epoch, (epoch, start)

    def __len__(self) -> int:
        return sum(self.steps)

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        begun, start = self._begun
        start = start if begun == self.epoch else 0
        order = np.random.default_rng((self.seed, self.epoch)).permutation(
            np.repeat(range(len(self.steps)), self.steps)
        )
        taken = [self.epoch * count for count in self.steps]
        for place, task in enumerate(order.tolist()):
            number, taken[task] = taken[task], taken[task] + 1
            if place >= start:
                yield task, self._batch(task, number)

    def _batch(self, task: int, number: int) -> list[int]:
        """Batch `number` of a task, counted over all its own epochs."""
        sampler = self.samplers[task]
        epoch, place = divmod(number, len(sampler))
        known, plan = self._plans.get(task, (-1, []))
        if known != epoch:
            sampler.set_epoch(epoch)
            plan = [rows.tolist() for rows in sampler.plan()[sampler.rank :: sampler.world_size]]
            self._plans[task] = epoch, plan
        return plan[place]


class View(Dataset[TaskBatch]):
    """Makes the batch of what `Mixed` names.

    Args:
        names: Names of the tasks.
        parts: For each one what makes a batch of row numbers.
    """

    def __init__(self, names: Sequence[str], parts: Sequence[Any]) -> None:
        self.names, self.parts = names, parts

    def __getitem__(self, what: tuple[int, list[int]]) -> TaskBatch:
        task, rows = what
        return TaskBatch(self.names[task], self.parts[task].__getitems__(rows))
