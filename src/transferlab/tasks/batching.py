"""Which examples share a batch, and in which order: a pure function of (seed, epoch, world size)."""

from collections.abc import Iterator
from functools import cached_property
from itertools import cycle, islice
from typing import Any

import numpy as np
from torch.utils.data import Sampler

from transferlab.config.renamed import FIRST_BUCKET
from transferlab.ground.errors import TransferlabError

PLANNED = 10
"""Epochs whose plans are made in advance to learn how many batches an epoch needs under a token budget."""
WINDOW = FIRST_BUCKET
"""Batches per window, unless another number is given."""

Array = np.ndarray[Any, Any]


class BucketBatchSampler(Sampler[list[int]]):
    """Batches of examples of similar length, or for packed rows of examples in random order.

    Training: the permutation of the epoch is cut into windows of `window` batches, each window is sorted by length and
    cut into batches, and the batches are shuffled. So an example meets new neighbours every epoch while little padding
    is left. Packed rows have no padding to avoid: there the permutation itself is cut. Every rank gets the same number
    of batches: the plan is filled up with its own first batches.
    Evaluation (`shuffle=False`): all examples, longest first, each exactly once over all ranks, in smaller batches
    where otherwise a rank would get none, or fewer than another.

    With `max_tokens` a batch closes when the next example would exceed the budget, or at `batch_size` examples. How
    many batches that makes depends on the order, but the schedule needs one number for all epochs: the most that any of
    the first `PLANNED` epochs needs. An epoch that needs fewer halves its largest batches. A later one that would need
    more takes the batches of one of the first epochs, with every example exchanged for a random one of the same length.

    Args:
        lengths: Tokens of every example ``[examples]``.
        batch_size: Examples per batch and rank; with `max_tokens` an upper bound.
        shuffle: True for training.
        seed: Seed of the order.
        window: Batches per window.
        rank: Number of this process.
        world_size: Number of processes.
        max_tokens: Token budget per batch and rank: rows times the longest of them, packed the real tokens.
        packed: Whether batches are packed rows.
        at_once: Token budget too, but one that an example may exceed alone.
        classes: The class of every example ``[examples]``: each epoch has as many examples as there are, in equal
            numbers of every class; those of small classes come again, of large ones a random part. None: each once.

    Raises:
        TransferlabError: Fewer rows to evaluate than processes, or an example that exceeds the budget alone.
    """

    def __init__(
        self,
        lengths: Array,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        window: int = WINDOW,
        rank: int = 0,
        world_size: int = 1,
        max_tokens: int | None = None,
        packed: bool = False,
        at_once: int | None = None,
        classes: Array | None = None,
    ) -> None:
        self.lengths = np.asarray(lengths)
        if not shuffle:
            if len(self.lengths) < world_size:
                raise TransferlabError(
                    f"{len(self.lengths)} examples to evaluate on are too few for {world_size} processes, since each "
                    "needs one; lower trainer.devices or trainer.num_nodes."
                )
            # Lightning skips the loop on a rank without batches, and the others would wait for its metrics for ever
            batch_size = min(batch_size, len(self.lengths) // world_size)
        if max_tokens is not None and self.lengths.max(initial=0) > max_tokens:
            raise TransferlabError(
                f"data.max_tokens: {max_tokens} is less than the {self.lengths.max()} tokens of the longest example; "
                "raise it, or lower data.max_length."
            )
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.window = window
        self.rank = rank
        self.world_size = world_size
        self.max_tokens = max_tokens
        self.budget = min((tokens for tokens in (max_tokens, at_once) if tokens is not None), default=None)
        self.packed = packed
        self.classes = classes
        self.epoch = 0
        self._begun = (0, 0)

    @property
    def sampler(self) -> "BucketBatchSampler":
        """Itself: Lightning calls `set_epoch` on ``batch_sampler.sampler``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the order of an epoch."""
        self.epoch = epoch

    def resume(self, epoch: int, start: int) -> None:
        """Leaves out the first batches of one epoch; it still counts as long as any other.

        Args:
            epoch: The epoch that was begun.
            start: Batches of this process that were done in it.

        Raises:
            TransferlabError: An epoch has fewer batches than that by now.
        """
        if start:
            self.check_place(start, len(self))
        self.epoch, self._begun = epoch, (epoch, start)

    @staticmethod
    def check_place(start: int, batches: int) -> None:
        """Checks that an epoch of that many batches can be resumed behind its first `start`.

        Raises:
            TransferlabError: It has fewer, since the examples changed.
        """
        if start > batches:
            raise TransferlabError(
                f"data: the checkpoint was written after {start} batches of an epoch, which has {batches} by now; "
                "start a new run."
            )

    def plan(self) -> list[Array]:
        """The batches of all ranks in this epoch, in order."""
        if not self.shuffle:
            batches = self._cut(self._longest_first(np.arange(len(self.lengths))))
            # split weights are gathered in every forward, so the ranks need equally many
            even = len(batches) + -len(batches) % self.world_size
            return halved(batches, even) if even <= len(self.lengths) else batches
        batches = self._draw(self.epoch)
        if len(batches) > self._count:
            batches = self._exchanged(self._draw(self.epoch % PLANNED))
        batches = halved(batches, self._count)
        return batches + list(islice(cycle(batches), -len(batches) % self.world_size))

    def __iter__(self) -> Iterator[list[int]]:
        begun, start = self._begun
        for batch in self.plan()[self.rank :: self.world_size][start if begun == self.epoch else 0 :]:
            yield batch.tolist()

    def __len__(self) -> int:
        if not self.shuffle:
            return len(range(self.rank, self._count, self.world_size))
        return -(-self._count // self.world_size)

    @cached_property
    def _count(self) -> int:
        """Batches of all ranks in every epoch, before training is filled up."""
        if not self.shuffle:
            return len(self.plan())
        return max(len(self._draw(epoch)) for epoch in range(PLANNED if self.max_tokens else 1))

    def _draw(self, epoch: int) -> list[Array]:
        generator = np.random.default_rng((self.seed, epoch))
        order = self._permuted(generator)
        if self.packed:
            return self._cut(order)
        batch_size = self.batch_size
        if self.max_tokens:
            # a window is to hold `window` batches of the size that the budget makes
            batch_size = min(batch_size, max(1, int(self.max_tokens / self.lengths.mean())))
        span = self.window * batch_size * self.world_size
        batches: list[Array] = []
        for start in range(0, len(order), span):
            batches += self._cut(self._longest_first(order[start : start + span]))
        return [batches[i] for i in generator.permutation(len(batches))]

    def _permuted(self, generator: np.random.Generator) -> Array:
        """All examples in random order, or as many in equal numbers of every class."""
        if self.classes is None:
            return generator.permutation(len(self.lengths))
        names = generator.permutation(np.unique(self.classes))
        sizes = [len(part) for part in np.array_split(self.lengths, len(names))]
        drawn = [_dealt(generator, np.flatnonzero(self.classes == c), n) for c, n in zip(names, sizes, strict=True)]
        return generator.permutation(np.concatenate(drawn))

    def _longest_first(self, rows: Array) -> Array:
        return rows[np.argsort(-self.lengths[rows], kind="stable")]

    def _cut(self, order: Array) -> list[Array]:
        """Cuts an order into batches; where they are padded, the first example of each is its longest."""
        if self.budget is None:
            return [order[start : start + self.batch_size] for start in range(0, len(order), self.batch_size)]
        lengths = self.lengths[order]
        ends = np.cumsum(lengths)
        batches, start = [], 0
        while start < len(order):
            if self.packed:
                fit = int(np.searchsorted(ends, ends[start] - lengths[start] + self.budget, side="right")) - start
            else:
                fit = self.budget // max(int(lengths[start]), 1)
            batches.append(order[start : start + min(max(fit, 1), self.batch_size)])
            start += len(batches[-1])
        return batches

    def _exchanged(self, batches: list[Array]) -> list[Array]:
        """The same lengths in other batches' order, each example exchanged for a random one of its length."""
        generator = np.random.default_rng((self.seed, self.epoch))
        twin = np.empty(len(self.lengths), dtype=np.int64)
        # where classes are balanced, for one of its class
        alike = (self.lengths,) if self.classes is None else (self.lengths, self.classes)
        shuffled = np.lexsort((generator.permutation(len(self.lengths)), *alike))
        twin[np.lexsort((np.arange(len(self.lengths)), *alike))] = shuffled
        return [twin[batches[i]] for i in generator.permutation(len(batches))]


def _dealt(generator: np.random.Generator, rows: Array, count: int) -> Array:
    """That many of some rows in random order, each as often as any other, give or take one."""
    rounds = [generator.permutation(rows) for _ in range(-(-count // len(rows)))]
    return np.concatenate(rounds)[:count]


def halved(batches: list[Array], count: int) -> list[Array]:
    """Halves the batch of most examples until there are `count` batches; there must be as many examples."""
    batches = list(batches)
    while len(batches) < count:
        largest = max(range(len(batches)), key=lambda number: len(batches[number]))
        middle = -(-len(batches[largest]) // 2)
        batches[largest : largest + 1] = [batches[largest][:middle], batches[largest][middle:]]
    return batches


def place_in_epoch(trainer: Any) -> dict[str, int]:
    """Where a Trainer is in the training examples: the epoch, and how many of its batches each process has done."""
    epoch, batches = trainer.fit_loop.epoch_progress.current, trainer.fit_loop.epoch_loop.batch_progress
    inside = epoch.started > epoch.processed
    return {"epoch": epoch.processed, "batch": batches.current.ready if inside else 0}
