"""Unlabelled texts beside the training examples of a task, as rows and as tokens."""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.augmentation.copies import Copy, changed, without_known
from transferlab.tasks.checks import check_text
from transferlab.tasks.copied import (
    COPIES,
    UNLABELLED,
    UNLABELLED_FILE,
    Array,
    Copied,
    as_rows,
    left_out,
    read_texts,
    require,
)
from transferlab.tasks.selection import carve
from transferlab.tasks.sources import Rows, read_split


class Added(Copied):
    """The rows of a task with all that is added to its training: copies, and texts without labels."""

    def unlabelled_rows(self) -> int:
        """Number of unlabelled texts; their copies stand behind them, once for each copy all of them."""
        if self.unlabelled is None:
            return 0
        return len(self.encoded(UNLABELLED)) // (1 + self.unlabelled_copies)

    @property
    def unlabelled_copies(self) -> int:
        """Copies of each unlabelled text."""
        return 0 if self.augment is None or self.source.kind == "tagging" else max(1, self.augment.copies)

    def rows(self, split: str) -> Rows:
        """The rows of a split, or of what is added."""
        if split == UNLABELLED and split not in self._rows:
            self._rows[split] = self._without_labels()
        return self._rows[split] if split == UNLABELLED else super().rows(split)

    @property
    def fingerprint(self) -> str:
        """As `TaskRows.fingerprint`, with what is added."""
        found = super().fingerprint
        added = [self._encoded[split].fingerprint for split in (COPIES, UNLABELLED) if split in self._encoded]
        return hashlib.sha256(" ".join([found, *added]).encode()).hexdigest()[:32] if found and added else found

    def _without_labels(self) -> Rows:
        """The unlabelled texts that stand in no part of the run, each once, and their copies."""
        assert self.unlabelled is not None
        asked, names, train = self.unlabelled, self.source.text, self.source.train
        if asked.file:
            read = read_texts(asked.file, self.source, UNLABELLED_FILE)
        elif asked.split == train:
            read = self.rows(train)
            read = read._replace(rows=read.rows.select(self._left_over()))
        else:
            read = read_split(self.source, asked.split or "")
        require(read, names, "data.unlabelled")
        read = read._replace(rows=read.rows.select_columns(list(names)), lines=None, split=asked.split or "")
        check_text(read, self.source)
        # another split stands for new data, of which no training text is part, whichever of them this run trains on
        whole = asked.split and asked.split != train
        own = np.arange(self._count(train)) if whole else self.part_rows("train")[1]
        known = dict.fromkeys(self._keys(train, own), "a training text") | self._held_back()
        cells = zip(*(read.rows[name][:] for name in names), strict=True)
        pool, left = without_known((Copy(number, one) for number, one in enumerate(cells)), known)
        if asked.examples is not None and asked.examples > len(pool):
            raise TransferlabError(f"data.unlabelled.examples: {asked.examples} texts are wanted, {len(pool)} are new.")
        order = np.random.default_rng(self.protocol.seed).permutation(len(pool))[: asked.examples]
        drawn = [pool[number] for number in np.sort(order)]
        if not drawn:
            raise TransferlabError(f"data.unlabelled: {read.origin} has no text that the run does not know already.")
        notes = [f"{len(drawn):,} unlabelled texts{left_out(left)}", *(self._skipped() if self.augment else [])]
        return as_rows(read, [*drawn, *self._moved(drawn)], self.source)._replace(notes=tuple(notes))

    def _moved(self, drawn: Sequence[Copy]) -> Iterator[Copy]:
        """Copies of unlabelled texts; a text that no draw changes stands for its own copy."""
        known = self._known() if self.unlabelled_copies else None
        for number in range(self.unlabelled_copies):
            assert known is not None
            if not self._methods:
                raise TransferlabError("data.augment.methods: unlabelled texts have no paraphrases; name a method.")
            for one in drawn:
                found = changed(one.cells, number, self._methods, self.protocol.seed, known)
                yield one if found is None else one._replace(cells=found)

    def _left_over(self) -> Array:
        """Examples of the training split in no part of the run, though a larger sample of it would have them."""
        selects = self.part_rows("validation")[0] != self.source.train
        whole = self.protocol._replace(train_fraction=None, train_examples=None, per_class=None)
        strata, groups = self._divided()
        tested = self.test_rows(self.source.train) if self.protocol.folds else None
        rows = carve(strata, self._count(self.source.train), whole, not selects, groups, tested)[0]
        return np.setdiff1d(rows, self.part_rows("train")[1])
