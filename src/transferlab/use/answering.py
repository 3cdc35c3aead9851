"""Examples in, answers out: the same for a run and for what was exported of it; imports no torch."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.encoded import AT_ONCE
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.kinds.qa import answer_of
from transferlab.tasks.marked import parse
from transferlab.tasks.reading.relations import has_spans, of_cells
from transferlab.tasks.reading.texts import REPLY
from transferlab.tasks.spans import BEST, Spans, merged
from transferlab.tasks.spec import TaskSpec
from transferlab.use.prediction import words as of_words
from transferlab.use.prediction.words import Words, entities

Example = str | Sequence[str] | Mapping[str, Any]
"""A text, two texts or the words of a sentence, or these by the names of their columns."""
Record = dict[str, Any]
Encoded = TypeVar("Encoded")
TOKENS = 16_384
"""Tokens of a batch, padding included, where many at once save time: on a GPU, and where texts are generated."""


def is_chat(cell: Any) -> bool:
    """Whether a cell is a list of messages with ``role`` and ``content``."""
    return isinstance(cell, list) and all(
        isinstance(one, Mapping) and {"role", "content"} <= one.keys() for one in cell
    )


def _refuse_answered(number: int, values: Sequence[Any]) -> None:
    """Refuses a chat that ends with a reply: the model would read the answer that it is asked for."""
    if any(is_chat(value) and value[-1]["role"] == REPLY for value in values):
        raise TransferlabError(
            f"example {number}: the last message is a reply already, by {REPLY!r}; leave it out to have one written."
        )


class Answering(ABC, Generic[Encoded]):
    """A model that answers new texts.

    Args:
        task: Its kind and labels.
        text: Names of the text columns.
        batch_size: Texts of a batch, at most.
    """

    def __init__(self, task: TaskSpec, text: Sequence[str], batch_size: int = 64) -> None:
        self.task = task
        self.text = tuple(text)
        self.batch_size = batch_size
        self.n_best = BEST
        """Answers to a question that are kept."""

    @abstractmethod
    def encode(self, columns: Mapping[str, Sequence[Any]]) -> tuple[Encoded, "np.ndarray[Any, Any]"]:
        """Tokenises texts, for tagging words; returns them, and the number of tokens of each."""

    def unread(self, columns: Mapping[str, Sequence[Any]]) -> str:
        """What of the texts the encoder cannot read, in words; empty where it reads them, or where nobody looked."""
        return ""

    @abstractmethod
    def answer(self, encoded: Encoded, rows: list[int]) -> list[Record]:
        """``id`` (row), ``prediction`` and where there are any ``scores`` of some rows."""

    def __call__(self, example: Example) -> Record:
        """The answer to one example, see `predict`."""
        return self.predict([example])[0]

    def predict(self, examples: Sequence[Example]) -> list[Record]:
        """Answers to examples, in their order.

        Args:
            examples: Each a text; for pairs two texts; for tagging a text, or the list of its words; for relations a
                text with ``<e1>`` and ``<e2>``; or a mapping from the names of the text columns to these, for relations
                a text with ``head`` and ``tail`` beside it too.

        Returns:
            For classification and relations ``prediction`` (the label), ``probability`` (of it), ``margin`` (to the
            second best) and ``probabilities`` (by label). For several labels ``prediction`` (a list) and
            ``probabilities``. For regression ``prediction`` (a number). For texts ``prediction``, ``end`` (``ended``,
            ``cut``, ``endless`` or ``empty``) and ``new_tokens``. For tagging ``words``, ``prediction`` (a tag
            for each) and ``entities`` (``type``, ``start`` and ``end`` in characters of the text, ``text``). For slots
            what classification has, of the intent, and ``words``, ``slots`` (the tags) and ``entities``.

        Raises:
            TransferlabError: An example that is no text; names its number.
        """
        if not examples:
            return []
        if self.task.kind == "qa":
            return self._answered([self._cells(number, example) for number, example in enumerate(examples)])
        cells = [self._cells(number, example) for number, example in enumerate(examples)]
        columns: dict[str, list[Any]] = {name: [row[at] for row in cells] for at, name in enumerate(self.text)}
        split: list[Words] = []
        if self.task.worded:
            split = [of_words.of_cell(cell) for cell in columns[self.text[0]]]
            columns[self.text[0]] = [each.words for each in split]
        encoded, lengths = self.encode(columns)
        answers: list[Record] = [{}] * len(examples)
        for rows in self.batches(lengths):
            for record in self.answer(encoded, rows):
                answers[record["id"]] = self._told(record)
        if self.task.intents:
            answers = [self._spoken(words, answer) for words, answer in zip(split, answers, strict=True)]
        elif split:
            answers = [self._tagged(words, answer) for words, answer in zip(split, answers, strict=True)]
        return answers

    def _answered(self, cells: Sequence[tuple[Any, ...]]) -> list[Record]:
        """Answers to questions; a context of any length is read some windows at a time."""
        columns = dict(zip(self.text, zip(*cells, strict=True), strict=True))
        encoded, lengths = self.encode(columns)
        owners, found = self.owners(encoded), [list[Spans]() for _ in cells]
        for rows in self.batches(lengths):
            for row, spans in zip(rows, self.spans(encoded, rows), strict=True):
                found[owners[row]].append(spans)
        threshold = self.threshold
        return [answer_of(merged(s, self.n_best), cell[1], threshold) for s, cell in zip(found, cells, strict=True)]

    @property
    def threshold(self) -> float:
        """The margin above which a question has no answer."""
        raise NotImplementedError

    def owners(self, encoded: Encoded) -> Sequence[int]:
        """The question that each row belongs to."""
        raise NotImplementedError

    def spans(self, encoded: Encoded, rows: list[int]) -> list[Spans]:
        """The best answers in the windows of some rows."""
        raise NotImplementedError

    def _cells(self, number: int, example: Example) -> tuple[Any, ...]:
        if isinstance(example, Mapping) and KINDS[self.task.kind].marked and has_spans(example):
            try:
                values: tuple[Any, ...] = (of_cells(example, self.text[0]),)
            except TransferlabError as error:
                raise TransferlabError(f"example {number}: {str(error).removesuffix('.')}.") from error
        elif isinstance(example, Mapping):
            missing = [name for name in self.text if name not in example]
            if missing:
                raise TransferlabError(f"example {number}: there is no {missing[0]!r}; it has {', '.join(example)}.")
            values = tuple(example[name] for name in self.text)
        elif len(self.text) == 1 or isinstance(example, str):
            values = (example,)
        else:
            values = tuple(example)
        tagging = self.task.worded
        good = len(values) == len(self.text) and all(
            isinstance(value, str)
            or (self.task.kind == "text" and is_chat(value))
            or (tagging and isinstance(value, Sequence) and all(isinstance(word, str) for word in value))
            for value in values
        )
        if not good or not all(values):
            texts = "a text" if len(self.text) == 1 else f"{len(self.text)} texts"
            want = "a text or a list of words" if tagging else texts
            raise TransferlabError(f"example {number}: {want} (not empty) is wanted, not {str(example)[:60]!r}.")
        _refuse_answered(number, values)
        if KINDS[self.task.kind].marked:
            try:
                parse(values[0])
            except TransferlabError as error:
                raise TransferlabError(f"example {number}: {error}") from error
        return values

    @property
    def at_once(self) -> int:
        """Tokens of a batch, at most; a longer text is a batch of its own."""
        return TOKENS if self.task.kind == "text" else AT_ONCE

    def batches(self, lengths: "np.ndarray[Any, Any]") -> list[list[int]]:
        """Rows of like length together, the longest first; none has more tokens than `at_once` unless one row has."""
        batches: list[list[int]] = []
        longest, most = 0, self.at_once
        for row in np.argsort(-lengths, kind="stable").tolist():
            if not batches or len(batches[-1]) >= self.batch_size or longest * (len(batches[-1]) + 1) > most:
                batches.append([])
                longest = int(lengths[row])
            batches[-1].append(row)
        return batches

    def _told(self, record: Record) -> Record:
        answer: Record = {"prediction": record["prediction"]}
        if self.task.kind == "text":
            return answer | {name: record[name] for name in ("end", "new_tokens")}
        if "intents" in record:
            answer["intents"] = record["intents"]
        scores = record.get("scores")
        if scores and KINDS[self.task.kind].confusion:
            first, second = sorted(scores, reverse=True)[:2]
            answer |= {"probability": first, "margin": float(f"{first - second:.6g}")}
        if scores:
            answer["probabilities"] = dict(zip(self.task.labels, scores, strict=True))
        return answer

    def _tagged(self, words: Words, answer: Record) -> Record:
        tags = answer["prediction"]
        found = entities(words, self.task.spelling.read(tags)) if self.task.entities else []
        return {"words": words.words, "prediction": tags, "entities": found}

    def _spoken(self, words: Words, answer: Record) -> Record:
        """Intent as a class is answered, and slots as entities are."""
        tags, shares = answer["prediction"]["slots"], answer["intents"]
        first, second = sorted([*shares.values(), 0.0], reverse=True)[:2]
        return {
            "prediction": answer["prediction"]["intent"],
            "probability": first,
            "margin": float(f"{first - second:.6g}"),
            "probabilities": shares,
            "words": words.words,
            "slots": tags,
            "entities": entities(words, self.task.spelling.read(tags)),
        }

    def read_from(self, text: Sequence[str]) -> None:
        """Takes the texts from other columns.

        Raises:
            TransferlabError: Another number of columns than the task has.
        """
        if len(text) != len(self.text):
            raise TransferlabError(
                f"--text: {self.task.name} reads {len(self.text)} column(s), {', '.join(self.text)}; {len(text)} given."
            )
        self.text = tuple(text)
