"""Changed copies of the training examples of a task, as rows and as tokens."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from transferlab.config.places import files_state
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import kept
from transferlab.tasks.augmentation import wordnet
from transferlab.tasks.augmentation.copies import (
    Copy,
    changed,
    changed_sentence,
    key_of,
    mentions_of,
    tagged,
    without_known,
)
from transferlab.tasks.augmentation.edits import BLANK, WITH_SYNONYMS, Known, Tokens
from transferlab.tasks.augmentation.settings import Augment, Unlabelled
from transferlab.tasks.checks import check_text
from transferlab.tasks.encoded import EncodedSplit, joined
from transferlab.tasks.labels import encode_labels
from transferlab.tasks.reading.arrow import concatenate
from transferlab.tasks.reading.cells import check_texts
from transferlab.tasks.reading.files import read_path
from transferlab.tasks.rows import TaskRows
from transferlab.tasks.sources import Rows
from transferlab.tasks.spec import Source
from transferlab.tasks.tokenization import encode_split

Array = np.ndarray[Any, Any]
COPIES = "copies of training examples"
TRAINED = "training examples and copies"
UNLABELLED = "unlabelled texts"
"""Names of what is no split of the data."""
AUGMENT_FILE, UNLABELLED_FILE = "data.augment.file", "data.unlabelled.file"
NO_WORDNET = (
    "there is no WordNet: pip install 'transferlab[robustness]', or name the folder with its files in "
    f"{wordnet.VARIABLE}"
)


class Copied(TaskRows):
    """The rows of a task with copies of those that train; the other parts stay as they are.

    Attributes:
        augment: The copies; None: none.
        unlabelled: The texts without labels; None: none.
    """

    augment: Augment | None
    unlabelled: Unlabelled | None

    def training_rows(self) -> tuple[str, Array]:
        """What a strategy trains on: the training examples, and their copies behind them."""
        split, rows = self.part_rows("train")
        if self.augment is None or not (self.augment.copies or self.augment.file):
            return split, rows
        first, count = self._count(split), self._count(COPIES)
        return TRAINED, np.concatenate([rows, np.arange(first, first + count)])

    def rows(self, split: str) -> Rows:
        """The rows of a split, or the copies."""
        if split in (COPIES, TRAINED) and split not in self._rows:
            self._rows[split] = self._copied() if split == COPIES else self._joined()
        return self._rows[split] if split in (COPIES, TRAINED) else super().rows(split)

    def encoded(self, split: str) -> EncodedSplit:
        """A tokenised split, or what is added, tokenised."""
        if split == TRAINED and split not in self._encoded:
            self._encoded[split] = joined(self.encoded(self.source.train), self.encoded(COPIES))
        return super().encoded(split)

    def _encode(self, split: str) -> EncodedSplit:
        if split not in (COPIES, UNLABELLED):
            return super()._encode(split)
        tokenizer = load_tokenizer(self.encoder, words=self.source.kind == "tagging")
        rows = _masked(self.rows(split), self.source, tokenizer.mask_token or tokenizer.unk_token or "_")
        labels = self.labels if split == COPIES else None
        return encode_split(rows, self.source, labels, tokenizer, self.reading)

    def _name(self, split: str) -> str | None:
        if split not in (COPIES, TRAINED, UNLABELLED):
            return super()._name(split)
        base = super()._name(self.source.train)
        if base is None or split == TRAINED:
            return None
        asked = [None if one is None else asdict(one) for one in (self.augment, self.unlabelled)]
        rows = hashlib.sha256(np.ascontiguousarray(self.part_rows("train")[1]).tobytes()).hexdigest()
        return kept.name_of(base, split, asked, self.protocol.seed, rows, self.version, self._resources())

    def _resources(self) -> list[Any]:
        """Names what lies outside of the data by its state on disk."""
        asked = {AUGMENT_FILE: self.augment, UNLABELLED_FILE: self.unlabelled}
        files = [(one.file, key) for key, one in asked.items() if one is not None and one.file]
        states = [
            [file, stat.st_size, stat.st_mtime_ns] for file, key in files for stat in [_present(file, key).stat()]
        ]
        place = wordnet.folder() if self._wants_synonyms else None
        return [*states, place and [str(place), files_state(place)]]

    @cached_property
    def _methods(self) -> tuple[str, ...]:
        """The methods of which there is all that they need."""
        if self.augment is None:
            return ()
        wanted = self.augment.of(self.source.kind, self.spec.entities)
        found = tuple(name for name in wanted if name not in WITH_SYNONYMS or wordnet.folder())
        if wanted and not found:
            raise TransferlabError(f"data.augment.methods: {' and '.join(wanted)} want synonyms, and {NO_WORDNET}.")
        return found

    @property
    def _wants_synonyms(self) -> bool:
        return any(name in WITH_SYNONYMS for name in self._methods)

    def _skipped(self) -> list[str]:
        """Methods that were left out, in words."""
        assert self.augment is not None
        left = [n for n in self.augment.of(self.source.kind, self.spec.entities) if n not in self._methods]
        return [f"augmentation: {' and '.join(left)} skipped: {NO_WORDNET}"] if left else []

    def _known(self, mentions: Mapping[str, Any] | None = None) -> Known:
        assert self.augment is not None
        place = wordnet.folder() if self._wants_synonyms else None
        return Known(self.augment.rate, wordnet.synonyms(place) if place else {}, mentions or {})

    def _copied(self) -> Rows:
        """Copies of the training examples, and of no others."""
        assert self.augment is not None
        split, numbers = self.part_rows("train")
        read = self.rows(split)
        own = read._replace(rows=read.rows.select(numbers), lines=None)
        check_text(own, self.source)
        names, count = self.source.text, self.augment.copies
        cells = list(zip(*(own.rows[name][:] for name in names), strict=True))
        if self.source.kind == "tagging":
            made: Iterator[Copy] = self._sentences(own, [sentence for (sentence,) in cells])
        else:
            made = self._texts(cells, count)
        known = dict.fromkeys(map(key_of, cells), "a training text") | self._held_back()
        paraphrases, idle = self._paraphrases(cells)
        copies, left = without_known(chain(made, paraphrases), known)
        if not copies:
            raise TransferlabError(
                "data.augment: no copy differs from the texts that are there already; take other methods, or leave it "
                "out."
            )
        notes = [_told(len(copies), len(cells), left), *self._skipped(), *idle]
        return as_rows(own, copies, self.source)._replace(origin=f"copies of {read.origin}", notes=tuple(notes))

    def _texts(self, cells: Sequence[Any], count: int) -> Iterator[Copy]:
        """So many copies of each example, as far as one can be made."""
        known = self._known()
        for origin, texts in enumerate(cells):
            for number in range(count if self._methods else 0):
                found = changed(texts, number, self._methods, self.protocol.seed, known)
                if found is not None:
                    yield Copy(origin, found)

    def _sentences(self, own: Rows, sentences: Sequence[Any]) -> Iterator[Copy]:
        """The same of tagged sentences."""
        assert self.augment is not None
        flat = encode_labels(own, self.source, self.labels)
        ends = np.cumsum([len(words) for words in sentences])
        tags = own.rows[self.source.label][:]
        tokens: list[Tokens] = []
        for words, cells, end in zip(sentences, tags, ends, strict=True):
            numbers = flat[end - len(words) : end]
            tokens.append(tagged(words, cells, [self.spec.labels[tag] for tag in numbers], self.spec.entities))
        known = self._known(mentions_of(tokens) if "entities" in self._methods else None)
        for origin, sentence in enumerate(tokens):
            for number in range(self.augment.copies):
                found = changed_sentence(sentence, number, self._methods, self.protocol.seed, known)
                if found is not None:
                    yield Copy(origin, ([token.word for token in found],), [token.tag for token in found])

    def _paraphrases(self, cells: Sequence[Any]) -> tuple[list[Copy], list[str]]:
        """Copies that the user's file has, and what of it is not used."""
        assert self.augment is not None
        if not self.augment.file:
            return [], []
        read = read_texts(self.augment.file, self.source, AUGMENT_FILE)
        new = tuple(f"new_{name}" for name in self.source.text)
        require(read, (*self.source.text, *new), AUGMENT_FILE)
        for name in new:
            check_texts([cell or "" for cell in read.rows[name][:]], name, False, read.place)
        origins = {key_of(one): number for number, one in enumerate(cells)}
        found, idle = [], 0
        for row in read.rows:
            origin = origins.get(key_of(row[name] or "" for name in self.source.text))
            cells_of = tuple(row[name] or row[old] for name, old in zip(new, self.source.text, strict=True))
            idle += origin is None
            if origin is not None:
                found.append(Copy(origin, cells_of))
        note = f"augmentation: {idle:,} rows of {self.augment.file} are of no training example and are not used"
        return found, [note] if idle else []

    def _joined(self) -> Rows:
        read, copies = self.rows(self.source.train), self.rows(COPIES)
        return Rows(concatenate([read.rows, copies.rows]), read.origin, split=TRAINED)

    def _held_back(self) -> dict[str, str]:
        """The texts of validation and test sets, by `key_of`, to what they are."""
        parts = [("validation", *self.part_rows("validation"))]
        parts += [("test", split, self._tests(split)) for split in self.source.test]
        return {key: f"a {what} text" for what, split, rows in parts for key in self._keys(split, rows)}

    def _tests(self, split: str) -> Array:
        """All rows of a test split, whichever are tested on; of folds those of the fold."""
        return self.test_rows(split) if self.protocol.folds else np.arange(self._count(split))

    def _keys(self, split: str, rows: Array) -> Iterator[str]:
        read = self.rows(split).rows.select(rows)
        return map(key_of, zip(*(read[name][:] for name in self.source.text), strict=True))


def _told(copies: int, examples: int, left: Counter[str]) -> str:
    return f"augmentation: {copies:,} copies of {examples:,} training examples{left_out(left)}"


def left_out(left: Counter[str]) -> str:
    """How many texts were left out by what they equal, in words."""
    counts = ", ".join(f"{count:,} that equal {what}" for what, count in sorted(left.items()))
    return f"; left out: {counts}" if counts else ""


def _present(file: str, key: str) -> Path:
    if not Path(file).is_file():
        raise TransferlabError(f"{key}: no such file: {file}")
    return Path(file)


def read_texts(file: str, source: Source, key: str) -> Rows:
    """The rows of a file of texts without labels.

    Raises:
        TransferlabError: Names `key`: no such file, or one that cannot be read.
    """
    path = _present(file, key)
    try:
        return read_path(source, path, labelled=False)
    except TransferlabError as error:
        raise TransferlabError(f"{key}: {error}") from error


def require(read: Rows, names: Sequence[str], key: str) -> None:
    """Checks that a file has these columns.

    Raises:
        TransferlabError: Names key, file and column.
    """
    if missing := [name for name in names if name not in read.rows.column_names]:
        known = ", ".join(read.rows.column_names)
        raise TransferlabError(f"{key}: {read.origin} has no column {missing[0]!r}; it has {known}.")


def as_rows(read: Rows, copies: Sequence[Copy], source: Source) -> Rows:
    """Copies as rows with all columns of what they were made of."""
    taken = read.rows.select(copy.origin for copy in copies)
    for number, name in enumerate(source.text):
        taken = taken.set_column(name, [copy.cells[number] for copy in copies])
    if copies[0].tags is not None:
        taken = taken.set_column(source.label, [copy.tags for copy in copies])
    return Rows(taken, read.origin)


def _masked(rows: Rows, source: Source, mask: str) -> Rows:
    """The rows with the tokenizer's mask where words were dropped."""

    def fill(cell: str | list[str]) -> str | list[str]:
        return cell.replace(BLANK, mask) if isinstance(cell, str) else [word.replace(BLANK, mask) for word in cell]

    marked = rows.rows
    for name in source.text:
        marked = marked.set_column(name, list(map(fill, marked[name])))
    return rows._replace(rows=marked)
