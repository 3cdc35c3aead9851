"""Test texts of a task that stand in a corpus, found by content."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from transferlab.tasks import splits
from transferlab.tasks.inspection.plain import as_text, words_of
from transferlab.tasks.named import source_of
from transferlab.tasks.sources import identity, read_split

ANCHOR = 8
"""Words that begin a test text which is looked for inside of documents; a shorter one is found as a whole only."""
KEY = "data.without"
PRIME = np.uint64(0x9E3779B97F4A7C15)
Array = np.ndarray[Any, Any]


def key_of(words: str) -> bytes:
    """Names a text by its words, whatever their case, punctuation and blanks: 8 bytes."""
    return hashlib.blake2b(words.replace(" ", "").encode(), digest_size=8).digest()


class TestTexts:
    """The test texts of tasks, and what of them a document holds.

    A document is one of them where it has the same words, and holds one of them where the words of a test text of at
    least `ANCHOR` words stand in it one after the other; case and punctuation do not count.

    Args:
        tasks: Names of tasks; their test splits, and their splits to predict where these are named.
    """

    __test__ = False

    def __init__(self, tasks: Sequence[str]) -> None:
        self.names: list[str] = []
        self._whole: dict[bytes, int] = {}
        self._begin: dict[int, list[tuple[int, int, int]]] = {}
        for task in tasks:
            source = splits.complete(source_of(task, KEY))
            for split in source.test:
                self.names.append(f"{task}/{split}")
                rows = read_split(source, split).rows
                for column in source.text:
                    for cell in rows[column]:
                        self._add(words_of(as_text(cell)), len(self.names) - 1)
        self._anchors = np.array(sorted(self._begin), dtype=np.uint64)

    def _add(self, words: str, number: int) -> None:
        if words:
            self._whole.setdefault(key_of(words), number)
        if len(numbers := _numbers(words)) >= ANCHOR:
            found = self._begin.setdefault(int(_rolled(numbers)[0]), [])
            found.append((len(numbers), _sum_of(numbers), number))

    def __len__(self) -> int:
        return len(self._whole)

    def found(self, words: str) -> int | None:
        """Which of `names` a document belongs to; None where it holds no test text.

        Args:
            words: The document as `words_of` gives it.
        """
        if (number := self._whole.get(key_of(words))) is not None:
            return number
        if not len(self._anchors) or len(numbers := _numbers(words)) < ANCHOR:
            return None
        rolled = _rolled(numbers)
        places = np.searchsorted(self._anchors, rolled).clip(max=len(self._anchors) - 1)
        for at in np.flatnonzero(self._anchors[places] == rolled):
            for length, total, split in self._begin[int(rolled[at])]:
                if at + length <= len(numbers) and _sum_of(numbers[at : at + length]) == total:
                    return split
        return None


def identities(tasks: Sequence[str]) -> list[Any]:
    """Names the test texts of tasks without reading them."""
    found = {task: source_of(task, KEY) for task in tasks}
    return [[task, identity(source), asdict(source)] for task, source in found.items()]


def _numbers(words: str) -> Array:
    """A number for each word ``[words]``, the same within a process."""
    return np.fromiter((hash(word) for word in words.split()), dtype=np.int64).view(np.uint64)


def _rolled(numbers: Array) -> Array:
    """A number for each `ANCHOR` words in a row ``[words - ANCHOR + 1]``."""
    total = np.zeros(len(numbers) - ANCHOR + 1, dtype=np.uint64)
    for place in range(ANCHOR):
        total = total * PRIME + numbers[place : len(numbers) - ANCHOR + 1 + place]
    return total


def _sum_of(numbers: Array) -> int:
    """A number for words in their order."""
    weights = PRIME * (2 * np.arange(len(numbers), dtype=np.uint64) + np.uint64(1))
    mixed = (numbers ^ (numbers >> np.uint64(31))) * weights
    return int(np.bitwise_xor.reduce(mixed))
