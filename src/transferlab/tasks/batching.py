"""Which examples share a batch: length-bucketed, the order a pure function of (seed, epoch, world size)."""

from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from transferlab.errors import TransferlabError


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of examples of similar length.

    Training: the permutation of the epoch is cut into windows of `window` batches, each window is sorted by length and
    cut into batches, and the batches are shuffled. So an example meets new neighbours every epoch while little padding
    is left. Every rank gets the same number of batches: the plan is filled up with its own first batches.
    Evaluation (`shuffle=False`): all examples, longest first, each exactly once over all ranks, in smaller batches
    where otherwise a rank would get none.

    Args:
        lengths: Tokens of every example ``[examples]``.
        batch_size: Examples per batch and rank.
        shuffle: True for training.
        seed: Seed of the order.
        window: Batches per window.
        rank: Number of this process.
        world_size: Number of processes.

    Raises:
        TransferlabError: Fewer rows to evaluate than processes.
    """

    def __init__(
        self,
        lengths: np.ndarray[Any, Any],
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        window: int = 50,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.lengths = np.asarray(lengths)
        if not shuffle:
            if len(self.lengths) < world_size:
                raise TransferlabError(
                    f"{len(self.lengths)} rows to evaluate on are too few for {world_size} processes, since each needs "
                    "one; lower trainer.devices or trainer.num_nodes."
                )
            # Lightning skips the loop on a rank without batches, and the others would wait for its metrics for ever
            batch_size = min(batch_size, len(self.lengths) // world_size)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.window = window
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    @property
    def sampler(self) -> "BucketBatchSampler":
        """Itself: Lightning calls `set_epoch` on ``batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch

    def plan(self) -> list[np.ndarray[Any, Any]]:
        """The batches of all ranks in this epoch, in order."""
        if not self.shuffle:
            return self._cut(np.argsort(-self.lengths, kind="stable"))
        generator = np.random.default_rng((self.seed, self.epoch))
        order = generator.permutation(len(self.lengths))
        span = self.window * self.batch_size * self.world_size
        batches: list[np.ndarray[Any, Any]] = []
        for start in range(0, len(order), span):
            window = order[start : start + span]
            batches += self._cut(window[np.argsort(-self.lengths[window], kind="stable")])
        batches = [batches[i] for i in generator.permutation(len(batches))]
        return batches + list(islice(cycle(batches), -len(batches) % self.world_size))

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.plan()[self.rank :: self.world_size]:
            yield batch.tolist()

    def __len__(self) -> int:
        if not self.shuffle:
            total = -(-len(self.lengths) // self.batch_size)
            return len(range(self.rank, total, self.world_size))
        span = self.window * self.batch_size * self.world_size
        full, rest = divmod(len(self.lengths), span)
        total = full * self.window * self.world_size + -(-rest // self.batch_size)
        return -(-total // self.world_size)

    def _cut(self, order: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
        return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
