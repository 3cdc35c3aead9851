"""Which parts of a long text are kept; imports no torch."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

Truncation = Literal["head", "tail", "head_tail", "windows"]
Windows = Literal["even", "full"]
HEAD_OF_HEAD_TAIL = 128
"""Tokens that head_tail keeps from the start; the rest of the length goes to the end (Sun et al. 2019, section 5.3.1,
https://arxiv.org/abs/1905.05583)."""
CUT = -1
"""Position of a word that was cut off by truncation."""


def word_positions(pieces: Sequence[int | None], words: int, last: bool = False) -> list[int]:
    """Where in a sequence the piece is that stands for each word, `CUT` where there is none.

    Args:
        pieces: The word of each token, None for special tokens.
        words: Number of words.
        last: Whether the last piece that was kept stands for a word, and not the first.
    """
    found = [CUT] * words
    places = list(enumerate(pieces))
    for position, word in places if last else reversed(places):
        if word is not None:
            found[word] = position
    return found


def split_body(body: list[int], room: int, truncation: Truncation, windows: Windows = "even") -> list[list[int]]:
    """The parts of a token list that are kept, each of at most `room` tokens.

    Args:
        body: Token ids without special tokens.
        room: Tokens that a part may have.
        truncation: Which part is kept.
        windows: ``even``: as few windows as the text needs, whose lengths differ by one token at most; ``full``: full
            windows, and a last one with the rest.
    """
    if truncation == "windows" and windows == "even":
        count = max(-(-len(body) // room), 1)
        ends = [number * len(body) // count for number in range(count + 1)]
        return [body[start:end] for start, end in pairwise(ends)]
    if truncation == "windows":
        return [body[start : start + room] for start in range(0, max(len(body), 1), room)]
    if len(body) <= room or truncation == "head":
        return [body[:room]]
    if truncation == "tail":
        return [body[-room:]]
    head = min(HEAD_OF_HEAD_TAIL, room // 2)
    return [body[:head] + body[len(body) - (room - head) :]]
