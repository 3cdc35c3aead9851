"""From questions and contexts to tokens: windows, and the labels of their tokens."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.tasks import squad
from transferlab.tasks.ceiling import Seen
from transferlab.tasks.encoded import IGNORE, EncodedSplit, Growing
from transferlab.tasks.reading.questions import ends_of
from transferlab.tasks.windows import (
    NONE,
    Array,
    Frame,
    Layout,
    Piece,
    check_room,
    frame_of,
    pieces,
    places,
    tokens_of,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHUNK = 1000
"""Questions that are tokenised at once."""
FIRST, LAST = 1, 2
"""A token that an answer begins with, ends with; both add up."""
FLAGS = 4
"""A label is that many times the number of its window, plus what the token is."""
Answers = Sequence[Sequence[Mapping[str, Any]]]
Rows = dict[str, list[Any]]


class Asked(NamedTuple):
    """Questions; columns are read some rows at a time, so they may lie on disk.

    Attributes:
        questions: Their texts.
        contexts: The text of each.
        answers: The gold answers of each, checked; None without.
    """

    questions: Sequence[str]
    contexts: Sequence[str]
    answers: Answers | None = None


class Reader(NamedTuple):
    """A tokenizer, as far as questions need one; that of `transformers` or one alone.

    Attributes:
        read: Encodings of texts, with ids and offsets, without special tokens.
        frame: What stands around a question and a context.
        pad_id: Token id of padding.
    """

    read: Callable[[list[str]], Sequence[Any]]
    frame: Frame
    pad_id: int


def reader_of(tokenizer: "PreTrainedTokenizerFast") -> Reader:
    """A tokenizer of transformers as a reader of questions."""

    def read(texts: list[str]) -> Sequence[Any]:
        return (
            tokenizer(texts, add_special_tokens=False, truncation=False, padding=False, verbose=False).encodings or ()
        )

    return Reader(read, frame_of(tokenizer), int(tokenizer.pad_token_id or 0))


class Context(NamedTuple):
    """A context as tokens.

    Attributes:
        text: What is read.
        ids: Token ids without special ones.
        spots: Where they stand in the text, ``[tokens, 2]``.
        number: Its number among the different ones.
    """

    text: str
    ids: list[int]
    spots: Array
    number: int


class Encoding:
    """Questions as they are tokenised, some at a time; nothing but numbers and the different contexts is held.

    Args:
        given: The questions.
        reader: The encoder's tokenizer.
        layout: How long windows are.
        negatives: See `encode`.
        most: See `encode`.
        place: Names a question in messages.
    """

    def __init__(
        self,
        given: Asked,
        reader: Reader,
        layout: Layout,
        negatives: int | None,
        most: int | None,
        place: Callable[[int], str],
    ) -> None:
        self.given, self.reader, self.layout = given, reader, layout
        self.negatives, self.most, self.place = negatives, most, place
        self.parts: defaultdict[str, Growing] = defaultdict(Growing)
        self.texts = Growing("B")
        self.numbers: dict[bytes, int] = {}
        self.by_character = False
        self.seen = Seen()
        self.owners: list[int] = []
        self.contexts: list[int] = []

    def chunk(self, numbers: Rows) -> Rows:
        """Tokenises the questions of some neighbouring rows."""
        rows = numbers["rows"]
        part = slice(rows[0], rows[-1] + 1)
        questions, contexts = list(self.given.questions[part]), list(self.given.contexts[part])
        answers = None if self.given.answers is None else list(self.given.answers[part])
        asked = [one.ids for one in self.reader.read(questions)]
        lengths = [len(ids) for ids in asked]
        check_room(lengths, self.reader.frame, self.layout, lambda number: self.place(rows[number]))
        some = list(dict.fromkeys(contexts))
        encodings = zip(self.reader.read(some), some, strict=True)
        read = {text: Context(text, one.ids, places(one.offsets, text), self._number(text)) for one, text in encodings}
        for number, (row, ids) in enumerate(zip(rows, asked, strict=True)):
            context = read[contexts[number]]
            found = pieces(ids, context.ids, self.reader.frame, self.layout)
            self._add(found, context, row)
            if answers is not None:
                self._label(found, context, answers[number], row)
        return numbers

    def _number(self, text: str) -> int:
        """The number of a context, which is kept where it is new."""
        encoded = text.encode()
        key = hashlib.blake2b(encoded, digest_size=16).digest()
        if key not in self.numbers:
            self.numbers[key] = len(self.numbers)
            self.texts.add(encoded)
            self.by_character = self.by_character or squad.by_character(text)
        return self.numbers[key]

    def _add(self, found: list[Piece], context: Context, row: int) -> None:
        """Adds the windows of a question, at most so many to a row of the split."""
        most = self.most or len(found)
        for start in range(0, len(found), most):
            self._add_row(found[start : start + most], context.spots)
            self.owners.append(row)
            self.contexts.append(context.number)

    def _add_row(self, found: list[Piece], places_: Array) -> None:
        base, words, spots = 0, [], []
        for piece in found:
            words += [base + position for position in piece.words]
            spots += [np.full((1, 2), NONE), places_[piece.first : piece.first + piece.length]]
            base += len(piece.ids)
        self.parts["ids"].add([token for piece in found for token in piece.ids])
        self.parts["windows"].add([len(piece.ids) for piece in found])
        self.parts["words"].add(words)
        self.parts["spots"].add(np.concatenate(spots).ravel())
        if self.reader.frame.types is not None:
            self.parts["types"].add([number for piece in found for number in piece.types])

    def _label(self, found: list[Piece], context: Context, gold: Sequence[Mapping[str, Any]], row: int) -> None:
        """Adds the labels of a question's tokens, and counts what it shows."""
        ends = list(map(ends_of, gold))
        self.parts["golds"].add([end for pair in ends for end in pair])
        spans = [tokens_of(context.spots, *pair) for pair in ends]
        known = [span for span in spans if span is not None]
        labels = [flags_of(piece, known) for piece in found]
        without = [number for number, flags in enumerate(labels) if flags[0]]
        labels = [FLAGS * number + flags for number, flags in enumerate(labels)]
        # an answer without a token must not be taught as none
        drops = _dropped(without, len(found), self.negatives, row) if not gold or known else list(range(len(found)))
        for number in drops:
            labels[number][:] = IGNORE
        self.parts["labels"].add(np.concatenate(labels))
        self.seen.counts.update(with_answer=len(found) - len(without), without=len(without), dropped=len(drops))
        if gold:
            self.seen.answer(known, found, context.spots, context.text, [str(one["text"]) for one in gold])

    def split(self) -> EncodedSplit:
        """What was tokenised."""
        ragged = {name: part.ragged() for name, part in self.parts.items()}
        facts = {
            "questions": len(self.given.questions),
            "contexts": len(self.numbers),
            "windows": len(ragged["windows"].values),
            "by_character": self.by_character,
        }
        if self.given.answers is not None:
            facts |= self.seen.facts()
        return EncodedSplit(
            ids=ragged["ids"],
            types=ragged.get("types"),
            labels=ragged.get("labels"),
            words=ragged["words"],
            windows=ragged["windows"],
            pad_id=self.reader.pad_id,
            fingerprint="",
            spots=ragged["spots"],
            golds=ragged.get("golds"),
            texts=self.texts.ragged(),
            contexts=np.array(self.contexts, dtype=np.int32),
            facts={"questions": facts} | ({} if self.most is None else {"owners": self.owners}),
        )


def encode(
    given: Asked,
    reader: Reader,
    layout: Layout,
    negatives: int | None = None,
    most: int | None = None,
    place: Callable[[int], str] = lambda row: f"example {row}",
    told: Callable[[Callable[[Rows], Rows]], Callable[[Rows], Rows]] = lambda function: function,
) -> EncodedSplit:
    """Tokenises questions with the windows of their contexts.

    Args:
        given: The questions.
        reader: The encoder's tokenizer.
        layout: How long windows are.
        negatives: Windows without an answer that each question trains on, drawn at random; a question without an answer
            keeps one at least. None: all.
        most: Windows of a row, at most; a question with more of them becomes several rows, see the fact ``owners``.
            None: each question is one.
        place: Names a question in messages.
        told: Shows the progress of a function of the numbers of some rows.

    Returns:
        A split of which ids, types, words, windows, labels and what questions have beside them are filled in.

    Raises:
        TransferlabError: A question leaves no room for its context.
    """
    encoding = Encoding(given, reader, layout, negatives, most, place)
    step, count = told(encoding.chunk), len(given.questions)
    for start in range(0, count, CHUNK):
        step({"rows": list(range(start, min(start + CHUNK, count)))})
    return encoding.split()


def flags_of(piece: Piece, known: Sequence[tuple[int, int]]) -> Array:
    """What the tokens of a window that may end an answer are; the first of them is that of no answer.

    Args:
        piece: The window.
        known: First and last token of each gold answer.

    Returns:
        `FIRST`, `LAST` or their sum ``[tokens]``; 0 for any other token.
    """
    flags = np.zeros(len(piece.words), dtype=np.int64)
    inside = [span for span in known if piece.first <= span[0] and span[1] < piece.first + piece.length]
    if inside:
        flags[1 + inside[0][0] - piece.first] += FIRST
        flags[1 + inside[0][1] - piece.first] += LAST
    else:
        flags[0] = FIRST + LAST
    return flags


def _dropped(without: list[int], windows: int, negatives: int | None, row: int) -> list[int]:
    """Windows without an answer that are not trained on."""
    if negatives is None:
        return []
    keep = max(negatives, int(len(without) == windows))
    order = np.random.default_rng(row).permutation(len(without))
    return [without[place] for place in order[keep:]]
