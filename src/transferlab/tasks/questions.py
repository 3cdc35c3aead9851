"""From questions and contexts to tokens: windows, the labels of their tokens, and what gold answers can be reached."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.tasks import squad
from transferlab.tasks.encoded import IGNORE, EncodedSplit, Ragged
from transferlab.tasks.reading.questions import START
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
EXAMPLES = 3
"""Answers that a message shows."""
Answers = Sequence[Sequence[Mapping[str, Any]]]
Rows = dict[str, list[Any]]


class Asked(NamedTuple):
    """Questions.

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
        ids: Token ids without special ones.
        spots: Where they stand in the text, ``[tokens, 2]``.
    """

    ids: list[int]
    spots: Array


class Parts:
    """The arrays of a split as they grow, and what was seen."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Array]] = {
            name: [] for name in ("ids", "types", "words", "windows", "spots", "labels")
        }
        self.seen: Counter[str] = Counter()
        self.lengths: Counter[int] = Counter()
        self.lost: list[list[str]] = []

    def add(self, **rows: Sequence[int] | Array) -> None:
        """Adds one row to each array."""
        for name, row in rows.items():
            self.rows[name].append(np.asarray(row, dtype=np.int32))

    def ragged(self, name: str) -> Ragged | None:
        """An array; None where nothing was added."""
        rows = self.rows[name]
        if not rows:
            return None
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return Ragged(np.concatenate(rows), offsets)


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
    frame, parts = reader.frame, Parts()
    questions, contexts, answers = given
    unique = {text: number for number, text in enumerate(dict.fromkeys(contexts))}

    owners: list[int] = []

    def chunk(numbers: Rows) -> Rows:
        rows = numbers["rows"]
        asked = [one.ids for one in reader.read([questions[row] for row in rows])]
        check_room([len(ids) for ids in asked], frame, layout, lambda number: place(rows[number]))
        some = list(dict.fromkeys(contexts[row] for row in rows))
        encodings = zip(reader.read(some), some, strict=True)
        read = {text: Context(one.ids, places(one.offsets, text)) for one, text in encodings}
        for row, ids in zip(rows, asked, strict=True):
            context = read[contexts[row]]
            found = pieces(ids, context.ids, frame, layout)
            gold = None if answers is None else answers[row]
            for start in range(0, len(found), most or len(found)):
                _add(parts, found[start : start + (most or len(found))], context, frame)
                owners.append(row)
            if gold is not None:
                _label(parts, found, context, contexts[row], gold, negatives, row)
        return numbers

    step = told(chunk)
    for start in range(0, len(questions), CHUNK):
        step({"rows": list(range(start, min(start + CHUNK, len(questions))))})
    encoded = [text.encode() for text in unique]
    ids, windows = parts.ragged("ids"), parts.ragged("windows")
    assert ids is not None
    assert windows is not None
    return EncodedSplit(
        ids=ids,
        types=parts.ragged("types"),
        labels=parts.ragged("labels"),
        words=parts.ragged("words"),
        windows=windows,
        pad_id=reader.pad_id,
        fingerprint="",
        spots=parts.ragged("spots"),
        golds=None if answers is None else Ragged.of([_ends(row) for row in answers]),
        texts=Ragged(
            np.frombuffer(b"".join(encoded), dtype=np.uint8),
            np.concatenate([[0], np.cumsum([len(text) for text in encoded])]).astype(np.int64),
        ),
        contexts=np.array([unique[contexts[row]] for row in owners], dtype=np.int32),
        facts={"questions": _facts(parts, answers, windows, contexts)} | ({} if most is None else {"owners": owners}),
    )


def _add(parts: Parts, found: list[Piece], context: Context, frame: Frame) -> None:
    base, words, spots = 0, [], []
    for piece in found:
        words += [base + position for position in piece.words]
        spots += [np.full((1, 2), NONE), context.spots[piece.first : piece.first + piece.length]]
        base += len(piece.ids)
    parts.add(
        ids=[token for piece in found for token in piece.ids],
        windows=[len(piece.ids) for piece in found],
        words=words,
        spots=np.concatenate(spots).ravel(),
    )
    if frame.types is not None:
        parts.add(types=[number for piece in found for number in piece.types])


def _label(
    parts: Parts,
    found: list[Piece],
    context: Context,
    text: str,
    gold: Sequence[Mapping[str, Any]],
    negatives: int | None,
    row: int,
) -> None:
    """Adds the labels of a question's tokens, and counts what it shows."""
    spans = [tokens_of(context.spots, one[START], one[START] + len(one["text"])) for one in gold]
    known = [span for span in spans if span is not None]
    labels, without = [], []
    for number, piece in enumerate(found):
        flags = np.zeros(len(piece.words), dtype=np.int64)
        inside = [s for s in known if piece.first <= s[0] and s[1] < piece.first + piece.length]
        if inside:
            # the first token is that of no answer
            flags[1 + inside[0][0] - piece.first] += FIRST
            flags[1 + inside[0][1] - piece.first] += LAST
        else:
            flags[0] = FIRST + LAST
            without.append(number)
        labels.append(FLAGS * number + flags)
    dropped = _dropped(without, len(found), negatives, row) if not gold or known else list(range(len(found)))
    for number in dropped:
        labels[number][:] = IGNORE
    parts.add(labels=np.concatenate(labels))
    parts.seen.update(with_answer=len(found) - len(without), without=len(without), dropped=len(dropped))
    if gold:
        _reach(parts, known, found, context, text, [str(one["text"]) for one in gold])


def _dropped(without: list[int], windows: int, negatives: int | None, row: int) -> list[int]:
    """Windows without an answer that are not trained on."""
    if negatives is None:
        return []
    keep = max(negatives, int(len(without) == windows))
    order = np.random.default_rng(row).permutation(len(without))
    return [without[place] for place in order[keep:]]


def _reach(
    parts: Parts, known: list[tuple[int, int]], found: list[Piece], context: Context, text: str, golds: list[str]
) -> None:
    """Counts whether a gold answer comes back from its tokens, and how many it has."""
    whole = [s for s in known if any(p.first <= s[0] and s[1] < p.first + p.length for p in found)]
    told = [text[context.spots[one, 0] : context.spots[last, 1]] for one, last in whole]
    parts.seen["answered"] += 1
    if any(squad.scores(answer, golds)[0] for answer in told):
        parts.seen["reached"] += 1
        parts.lengths[min(last - one + 1 for one, last in whole)] += 1
    elif len(parts.lost) < EXAMPLES:
        parts.lost.append([golds[0], told[0] if told else ""])


def _ends(answers: Sequence[Mapping[str, Any]]) -> list[int]:
    return [place for one in answers for place in (one[START], one[START] + len(one["text"]))]


def _facts(parts: Parts, answers: Answers | None, windows: Ragged, contexts: Sequence[str]) -> dict[str, Any]:
    """What was seen: questions, windows, and for gold answers the share that tokens can give."""
    facts: dict[str, Any] = {
        "questions": len(contexts),
        "contexts": len(set(contexts)),
        "windows": len(windows.values),
        "by_character": any(map(squad.by_character, set(contexts))),
    }
    if answers is None:
        return facts
    seen = {key: parts.seen[key] for key in ("answered", "reached", "with_answer", "without", "dropped")}
    return facts | seen | {"lengths": {str(n): c for n, c in sorted(parts.lengths.items())}, "lost": parts.lost}


def in_words(facts: Mapping[str, Any], longest: int) -> dict[str, str]:
    """What is told of questions before a run, by name.

    Args:
        facts: What `encode` saw.
        longest: Tokens that an answer may have.
    """
    if "answered" not in facts:
        return {}
    none = facts["questions"] - facts["answered"]
    trained = facts["with_answer"] + facts["without"] - facts["dropped"]
    windows = (
        f"{facts['windows']:,} of {facts['questions']:,} questions on {facts['contexts']:,} contexts; "
        f"{facts['with_answer']:,} hold the answer, {facts['without']:,} do not"
        + (
            f", {facts['dropped']:,} of these are left out (data.negative_windows), {trained:,} remain"
            if facts["dropped"]
            else ""
        )
        + (f"; {none:,} questions have no answer" if none else "")
    )
    beyond = sum(count for length, count in facts["lengths"].items() if int(length) > longest)
    share = 100 * (facts["reached"] - beyond) / max(facts["answered"], 1)
    ceiling = f"EM {share:.1f}: so many gold answers come back from their tokens"
    if beyond:
        ceiling += f"; {beyond:,} have more than {longest} tokens (model.head.longest)"
    if share < 99 and facts["lost"]:
        ceiling += "; not, for example, " + ", ".join(f"{gold!r} (read {told!r})" for gold, told in facts["lost"])
    how = "by character where there are Han or Kana letters" if facts["by_character"] else ""
    return {name: said for name, said in {"windows": windows, "ceiling": ceiling, "scored": how}.items() if said}
