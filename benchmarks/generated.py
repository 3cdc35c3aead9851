"""Rows that are made up: token ids at random, as long as those of a real task. Needs no tokenizer and no files."""

import copy
from typing import Any, Literal, NamedTuple

import numpy as np

from transferlab.encoders import EncoderConfig
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.batch import EncodedSplit, Ragged

Array = np.ndarray[Any, Any]


class Lengths(NamedTuple):
    """Log-normal lengths in wordpieces, special tokens included, cut at the longest.

    Attributes:
        mean: Mean after the cut.
        spread: Standard deviation of the logarithm.
        longest: Tokens at which rows are cut.
    """

    mean: float
    spread: float
    longest: int


# means, spreads and cuts measured on the training splits with an uncased BERT vocabulary
LENGTHS = {"sst2": Lengths(13.2, 0.67, 128), "imdb": Lengths(264.0, 0.67, 512)}
FIRST_ID = 1000
"""Ids below it stand for special tokens and unused places in BERT's vocabulary."""


def draw_lengths(shape: Lengths, rows: int, seed: int) -> Array:
    """Draws a length for each row; the location is searched for so that the mean after the cut is right."""
    normal = np.random.default_rng(seed).standard_normal(rows) * shape.spread
    low, high = 0.0, np.log(4.0 * shape.longest)
    for _ in range(40):
        middle = (low + high) / 2
        mean = np.clip(np.exp(normal + middle), 3, shape.longest).mean()
        low, high = (middle, high) if mean < shape.mean else (low, middle)
    drawn: Array = np.clip(np.round(np.exp(normal + low)), 3, shape.longest).astype(np.int64)
    return drawn


def make_split(lengths: Array, vocabulary: int, seed: int) -> EncodedSplit:
    """Random token ids of given lengths, with two classes at random."""
    generator = np.random.default_rng(seed)
    first = min(FIRST_ID, vocabulary // 2)
    ids = generator.integers(first, vocabulary, int(lengths.sum()))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    labels = generator.integers(0, 2, len(lengths))
    return EncodedSplit(Ragged(ids, offsets), None, labels, None, None, 0, f"generated {lengths.sum()} {seed}")


class GeneratedData(TaskDataModule):
    """A data module on generated rows; its last 64 select.

    Args:
        encoder: Which encoder reads them; its tokenizer is not looked for.
        split: What `make_split` returns.
        options: Arguments of `TaskDataModule`.
    """

    def __init__(self, encoder: EncoderConfig, split: EncodedSplit, **options: Any) -> None:
        # a source must name something; of this one no split is looked for, and nothing is read
        source = Source(path="embedded", config="sentences", labels=("0", "1"), metrics=("accuracy",))
        super().__init__("generated", encoder, source, **options)
        self._encoded = {"train": split}
        rows = np.arange(len(split))
        select = min(64, len(split) // 2)
        self._parts = (rows[:-select], rows[-select:])

    def part_rows(self, part: Literal["train", "validation"]) -> tuple[str, Array]:
        """The rows that train, or that select."""
        assert self._parts is not None
        return "train", self._parts[part == "validation"]

    def train_labels(self) -> Array:
        """Class numbers of all rows."""
        labels: Any = self._encoded["train"].labels
        return np.asarray(labels)

    def with_encoder(self, encoder: EncoderConfig, apart: bool = False, case: bool = False) -> "GeneratedData":
        """The same token ids for another encoder of the same vocabulary; they have neither pairs nor capitals."""
        other = copy.copy(self)
        other.encoder, other.attached = encoder, {}
        return other
