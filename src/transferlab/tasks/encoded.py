"""Tokenised splits: ragged arrays of numpy. Imports no torch; `transferlab.tasks.batch` makes batches of them."""

import hashlib
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.config.places import cache_folder

if TYPE_CHECKING:
    from transferlab.tasks.batch import Batch, Shape

IGNORE = -100
"""Label of a padded word; it enters no loss and no metric."""
AT_ONCE = 2048
"""Tokens that a processor reads at once, padding included, where nobody learns from them: what a layer makes of more of
them leaves its caches, so that long texts take up to twice as long."""
HELD = 2**20
"""Bytes of an array that grows in memory, at most."""


class Ragged(NamedTuple):
    """Rows of unequal length in one flat array: row i is ``values[offsets[i]:offsets[i + 1]]``."""

    values: np.ndarray[Any, Any]
    offsets: np.ndarray[Any, Any]

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]]) -> "Ragged":
        """Rows of integers as one array."""
        values = np.fromiter(chain.from_iterable(rows), dtype=np.int64)
        return cls(values, np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64))

    def row(self, number: int) -> np.ndarray[Any, Any]:
        """Returns row `number` as a view."""
        return self.values[self.offsets[number] : self.offsets[number + 1]]

    @property
    def lengths(self) -> np.ndarray[Any, Any]:
        """Length of every row ``[rows]``."""
        lengths: np.ndarray[Any, Any] = np.diff(self.offsets)
        return lengths

    def followed_by(self, other: "Ragged") -> "Ragged":
        """These rows and then those of another one."""
        offsets = np.concatenate([self.offsets, other.offsets[1:] + self.offsets[-1]])
        return Ragged(np.concatenate([self.values, other.values]), offsets)


class Growing:
    """Rows of numbers that are added one by one; each number has as many bytes as in a `Ragged`.

    What is longer than `HELD` bytes lies in a file without a name under the folder of caches, so that the memory which
    tokenising takes does not grow with the number of texts.

    Args:
        code: Which numbers, as in `array`: ``i`` for 32 bits, ``B`` for bytes.
    """

    def __init__(self, code: str = "i") -> None:
        self._values, self._offsets = Spilled(code), Spilled("q")
        self._offsets.add([0])

    def add(self, row: "Sequence[int] | np.ndarray[Any, Any] | bytes") -> None:
        """Adds a row."""
        self._values.add(row)
        self._offsets.add([self._values.count])

    def ragged(self) -> Ragged:
        """All rows."""
        return Ragged(self._values.array(), self._offsets.array())


class Spilled:
    """A flat array that grows: in memory up to `HELD` bytes, then in a file.

    Args:
        code: See `Growing`.
    """

    def __init__(self, code: str) -> None:
        self.count = 0
        self._held = array(code)
        self._file: IO[bytes] | None = None

    def add(self, values: "Sequence[int] | np.ndarray[Any, Any] | bytes") -> None:
        """Adds numbers at the end."""
        known = values if isinstance(values, bytes) else np.asarray(values, dtype=self._held.typecode).tobytes()
        self._held.frombytes(known)
        self.count += len(known) // self._held.itemsize
        if len(self._held) * self._held.itemsize > HELD:
            self._write()

    def array(self) -> np.ndarray[Any, Any]:
        """All numbers: without a copy where they are held, else memory-mapped."""
        if self._file is None:
            # an empty buffer is no array
            held = self._held or array(self._held.typecode, [0])
            return np.frombuffer(held, dtype=held.typecode)[: self.count]
        self._write()
        return np.memmap(self._file, dtype=self._held.typecode, mode="r", shape=(self.count,))

    def _write(self) -> None:
        if self._file is None:
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the arrays on it
        self._held.tofile(self._file)
        self._file.flush()
        del self._held[:]


@dataclass(frozen=True)
class EncodedSplit:
    """A tokenised split.

    Attributes:
        ids: Token ids, special tokens included; with `windows` the windows of a document one after the other.
        types: Segment numbers beside `ids`.
        labels: ``[rows]`` array, for tagging one ragged row per sentence, for texts the tokens of each target; None
            without labels.
        words: For tagging, the position of each word's first piece, -1 where it was cut off.
        windows: Lengths of the windows of each document, or of the two texts of each pair.
        pad_id: Token id of padding.
        fingerprint: Names the token ids by all that decides them.
        origin: Where the rows were read from.
        names: Label names, by class number.
        version: Names texts and labels by their content; empty where that is not known.
        weighted: Whether a window counts by its tokens.
        facts: What was seen when the rows were read and tokenised, for people: ``words`` that cannot be read.
        ranges: For relations, the ranges of tokens of each row, see `transferlab.tasks.batch.Batch`, flat.
        spots: For questions, first and last character of each word in its context, two numbers a word.
        golds: For questions with answers, first and last character of each gold answer, two numbers an answer.
        texts: For questions, the different contexts in UTF-8; for texts, the right outputs of each row as a JSON list.
        contexts: For questions, the number of each one's context ``[rows]``.
        left: For texts, whether batches are padded on the left, where a decoder goes on writing; None for other kinds.
    """

    ids: Ragged
    types: Ragged | None
    labels: "np.ndarray[Any, Any] | Ragged | None"
    words: Ragged | None
    windows: Ragged | None
    pad_id: int
    fingerprint: str
    origin: str = ""
    names: tuple[str, ...] = ()
    version: str = ""
    weighted: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    ranges: Ragged | None = None
    spots: Ragged | None = None
    golds: Ragged | None = None
    texts: Ragged | None = None
    contexts: np.ndarray[Any, Any] | None = None
    left: bool | None = None

    def __len__(self) -> int:
        return len(self.ids.offsets) - 1

    def collate(self, rows: Sequence[int], ids: bool = True) -> "Batch":
        """Pads the given rows to their longest into one batch; `ids` False leaves out what only an encoder reads."""
        from transferlab.tasks import batch

        return batch.collate(self, rows, ids)

    def pack(self, rows: Sequence[int], shape: "Shape | None" = None) -> "Batch":
        """Lays the given rows one after the other into a packed batch.

        Args:
            rows: Row numbers.
            shape: Fill up to this shape with padding tokens, in sequences of their own that nobody reads; None leaves
                the batch as long as it is.
        """
        from transferlab.tasks import batch

        return batch.pack(self, rows, shape)


def stacked(parts: Sequence[Ragged]) -> Ragged:
    """The rows of all parts, one part behind the other."""
    lengths = np.concatenate([np.zeros(1, np.int64), *(part.lengths for part in parts)])
    return Ragged(np.concatenate([part.values for part in parts]), np.cumsum(lengths))


def joined(first: EncodedSplit, second: EncodedSplit) -> EncodedSplit:
    """The rows of one split and then those of another that was read and tokenised alike; facts are left out."""

    def both(name: str) -> Any:
        one, other = getattr(first, name), getattr(second, name)
        if one is None or other is None:
            return None
        return one.followed_by(other) if isinstance(one, Ragged) else np.concatenate([one, other])

    names = f"{first.fingerprint} {second.fingerprint}"
    return replace(
        first,
        **{name: both(name) for name in ("ids", "types", "labels", "words", "windows")},
        fingerprint=hashlib.sha256(names.encode()).hexdigest()[:32],
        version="",
        facts={},
    )
