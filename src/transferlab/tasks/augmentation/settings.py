"""What of training texts is copied and how, and which unlabelled texts stand beside them: keys of a config."""

from dataclasses import dataclass
from typing import Literal

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least

Name = Literal["swap", "delete", "insert", "synonyms", "dropout", "marks", "entities"]
"""What a copy may be changed by, see `transferlab.tasks.augmentation.edits`."""
WITHOUT = {
    "qa": "an answer is a place in its text, which a change would move",
    "text": "an output may repeat words of its input, which a change would take away",
    "relation": "the marks of two entities must stay where they are",
    "slots": "the tags of its words would not move with them",
}
"""Kinds whose texts are not changed, with the reason."""


@dataclass(frozen=True)
class Augment:
    """Changed copies of the training texts, which keep their labels (EDA: Wei and Zou 2019).

    https://arxiv.org/abs/1901.11196. A copy is a function of seed, number and texts alone, so the same on every
    machine, in every epoch and after a restart. Texts of the validation and test sets are never copied, and a copy that
    happens to equal one of them is left out.

    Attributes:
        methods: One of them, drawn for each copy, changes it. ``swap``: two words change places; ``delete``: words are
            left out; ``insert``: synonyms of words are put in somewhere; ``synonyms``: words are exchanged for one;
            ``dropout``: words become the mask of the tokenizer; ``marks``: punctuation is put in (AEDA, Karimi et al.
            2021, https://arxiv.org/abs/2108.13230); ``entities``: for tagging, an entity is exchanged for another one
            of its type among the training examples (Dai and Adel 2020, https://arxiv.org/abs/2010.11683). null:
            ``swap`` and ``delete``, for tagging of entities ``entities``, with `file` none.
        copies: Copies of each training example; 0 leaves the methods to the unlabelled texts alone.
        rate: alpha, the share of words that are changed; at least one is.
        file: Paraphrases of training texts, such as translations there and back: a file with the text columns of the
            task and for each a column ``new_NAME``. All those of training examples become copies too.
    """

    methods: tuple[Name, ...] | None = None
    copies: int = 1
    rate: float = 0.1
    file: str | None = None

    def __post_init__(self) -> None:
        at_least(0, data__augment__copies=self.copies)
        if not 0 < self.rate < 1:
            raise TransferlabError(f"data.augment.rate: {self.rate} is not in (0, 1).")
        if self.methods is not None and not self.methods and not self.file:
            raise TransferlabError("data.augment.methods: name one, or give paraphrases in data.augment.file.")

    def of(self, kind: str, entities: bool) -> tuple[Name, ...]:
        """The methods for a kind of task.

        Args:
            kind: The kind.
            entities: Whether its tags mark entities.

        Raises:
            TransferlabError: One that the kind cannot have.
        """
        usual: tuple[Name, ...] = ("entities",) if entities else ("swap", "delete")
        chosen = (() if self.file else usual) if self.methods is None else tuple(dict.fromkeys(self.methods))
        if "entities" in chosen and not entities:
            raise TransferlabError("data.augment.methods: entities is for tagging whose tags mark entities; take swap.")
        if "marks" in chosen and kind == "tagging":
            raise TransferlabError("data.augment.methods: marks would need tags of their own; take delete or dropout.")
        return chosen


@dataclass(frozen=True)
class Unlabelled:
    """Texts without labels, of which each training step reads a batch too; for a teacher, or for consistency training.

    Texts of the training, validation and test sets are left out by content, blanks and capitals aside.

    Attributes:
        file: CSV, TSV, JSON or Parquet with the text columns of the task.
        split: Instead of `file`, a split of the task's data; that of training stands for those of its rows that no part
            of the run has.
        examples: Number of texts, drawn by the seed; null: all.
        batch_size: Texts a step and process; null: as many as training examples.
    """

    file: str | None = None
    split: str | None = None
    examples: int | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        at_least(1, data__unlabelled__examples=self.examples, data__unlabelled__batch_size=self.batch_size)
        if (self.file is None) == (self.split is None):
            raise TransferlabError("data.unlabelled: give either file or split.")


def refuse_unfit(augment: Augment | None, unlabelled: Unlabelled | None, kind: str) -> None:
    """Refuses what a kind of task cannot have.

    Raises:
        TransferlabError: Names key and reason.
    """
    for key, value in (("augment", augment), ("unlabelled", unlabelled)):
        if value is not None and kind in WITHOUT:
            raise TransferlabError(f"data.{key}: not for {kind}: {WITHOUT[kind]}; leave it out.")
    if augment is None:
        return
    if augment.file and kind == "tagging":
        raise TransferlabError("data.augment.file: not for tagging: the words of a paraphrase have no tags.")
    if not augment.copies and not augment.file and unlabelled is None:
        raise TransferlabError("data.augment.copies: 0 makes no copy; use 1 or more, or leave data.augment out.")
