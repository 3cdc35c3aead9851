"""A question with the windows of its context as tokens, which of them may end an answer, and where they stand."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NONE = -1
"""Place in the text of the token that stands for no answer."""
LEAST = 8
"""Tokens by which a window must go on from the one before; with one token a page makes hundreds of windows."""
Array = np.ndarray[Any, Any]


class Frame(NamedTuple):
    """What a tokenizer puts around a question and a context.

    Attributes:
        before: Special tokens before the question.
        between: Those between question and context.
        after: Those behind the context.
        types: Segment numbers of `before`, question, `between`, context and `after`; None for a tokenizer without.
        null: Position of the token that stands for no answer.
    """

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[tuple[int, ...], int, tuple[int, ...], int, tuple[int, ...]] | None
    null: int

    @property
    def special(self) -> int:
        """Special tokens of a window."""
        return len(self.before) + len(self.between) + len(self.after)


def frame_from(known: Mapping[str, Any]) -> Frame:
    """A frame that was written as JSON."""
    types = known["types"]
    if types is not None:
        one, asked, two, read, three = types
        types = (tuple(one), asked, tuple(two), read, tuple(three))
    before, between, after = (tuple(known[name]) for name in ("before", "between", "after"))
    return Frame(before, between, after, types, known["null"])


class Piece(NamedTuple):
    """One window.

    Attributes:
        ids: Token ids.
        types: Segment numbers; empty for a frame without.
        words: Positions of the tokens that may begin or end an answer: that of no answer, then those of the context.
        first: The first token of the context in it.
        length: Tokens of the context in it.
    """

    ids: list[int]
    types: list[int]
    words: list[int]
    first: int
    length: int


class Layout(NamedTuple):
    """How long windows are.

    Attributes:
        max_length: Tokens of a window.
        stride: Tokens that two neighbours share; None: a third of the window, or half of the room for the context
            where that is less.
    """

    max_length: int
    stride: int | None = None

    def shared(self, room: int) -> int:
        """Tokens that two neighbours with so much room for the context share."""
        return min(self.max_length // 3, room // 2) if self.stride is None else self.stride


def frame_of(tokenizer: "PreTrainedTokenizerFast") -> Frame:
    """What a tokenizer puts around two texts, read off what it does with two words."""
    full = tokenizer("a", "b", truncation=False, padding=False)
    ids: list[int] = full["input_ids"]
    sequences = full.sequence_ids(0)
    one, two = sequences.index(0), sequences.index(1)
    first_end, second_end = len(ids) - sequences[::-1].index(0), len(ids) - sequences[::-1].index(1)
    types = None
    if "token_type_ids" in full:
        t = full["token_type_ids"]
        types = (tuple(t[:one]), t[one], tuple(t[first_end:two]), t[two], tuple(t[second_end:]))
    before = tuple(ids[:one])
    marks = [mark for mark in (tokenizer.cls_token_id, tokenizer.bos_token_id) if mark in before]
    null = before.index(marks[0]) if marks else 0
    return Frame(before, tuple(ids[first_end:two]), tuple(ids[second_end:]), types, null)


def check_room(
    lengths: Sequence[int], frame: Frame, layout: Layout, place: Callable[[int], str], key: str = "data."
) -> None:
    """Checks that each question leaves room for its context; tokenizers panic, or make hundreds of windows.

    Args:
        lengths: Tokens of each question.
        frame: What stands around it.
        layout: How long windows are.
        place: Names a question.
        key: Where the keys stand.

    Raises:
        TransferlabError: One does not; names it and the remedy.
    """
    for row, length in enumerate(lengths):
        room = layout.max_length - frame.special - length
        step = room - layout.shared(room)
        if step >= LEAST:
            continue
        what = f"{place(row)}: the question has {length} tokens, which leaves {max(room, 0)} of {layout.max_length}"
        if room <= LEAST or layout.stride is None:
            raise TransferlabError(
                f"{what} for the context; shorten the question, or raise {key}max_length to "
                f"{2 * (length + frame.special) + 2 * LEAST} or more."
            )
        raise TransferlabError(
            f"{what} for the context, but {key}stride {layout.stride} of them are shared with the window before; lower "
            f"{key}stride to {room - LEAST} or less, or raise {key}max_length."
        )


def pieces(question: list[int], context: list[int], frame: Frame, layout: Layout) -> list[Piece]:
    """The windows of a context behind its question; together they hold every token of it.

    They are those of ``truncation="only_second"`` with ``stride``: each begins `stride` tokens before the end of the
    one before, and the last one ends with the context.

    Args:
        question: Token ids without special ones.
        context: The same.
        frame: What stands around them.
        layout: How long they are; `check_room` says whether each window has more than the one before.
    """
    room = layout.max_length - frame.special - len(question)
    step = room - layout.shared(room)
    assert step > 0
    begin = len(frame.before) + len(question) + len(frame.between)
    found, start = [], 0
    while True:
        part = context[start : start + room]
        ids = [*frame.before, *question, *frame.between, *part, *frame.after]
        types: list[int] = []
        if frame.types is not None:
            before, asked, between, read, after = frame.types
            types = [*before, *[asked] * len(question), *between, *[read] * len(part), *after]
        found.append(Piece(ids, types, [frame.null, *range(begin, begin + len(part))], start, len(part)))
        if start + room >= len(context):
            return found
        start += step


def places(offsets: Sequence[tuple[int, int]], text: str) -> Array:
    """Where the tokens of a text stand in it ``[tokens, 2]``, without blanks, which byte-level tokenizers count in."""
    found = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    for row in range(len(found)):
        start, end = found[row]
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        found[row] = start, end
    return found


def tokens_of(spots: Array, start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token of an answer.

    Args:
        spots: Where tokens stand in the text, ``[tokens, 2]``.
        start: First character of the answer.
        end: The one behind its last.

    Returns:
        None where the tokenizer has no token for any character of it.
    """
    held = np.flatnonzero((spots[:, 1] > start) & (spots[:, 0] < end) & (spots[:, 1] > spots[:, 0]))
    return (int(held[0]), int(held[-1])) if len(held) else None
