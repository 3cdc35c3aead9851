"""Words of a running text, and entities with their place in it."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from transferlab.ground.words import LETTERS, UNSPACED
from transferlab.tasks.iob import spans

WORD = re.compile(rf"(?:\w\.){{2,}}|[{UNSPACED}]|{LETTERS}(?:[-'\u2019.&/]{LETTERS})*|[^\w\s]")
"""Words with what joins their parts (``U.S.``, ``don't``, ``e-mail``), each other mark, and each letter of Chinese."""


class Words(NamedTuple):
    """The words of a text.

    Attributes:
        text: The text; of words that were given, these with a blank between two.
        words: The words.
        places: First character of each word in the text, and the one behind its last.
    """

    text: str
    words: list[str]
    places: list[tuple[int, int]]


def of_text(text: str) -> Words:
    """Words and marks of a running text."""
    found = list(WORD.finditer(text))
    return Words(text, [match.group() for match in found], [match.span() for match in found])


def of_words(words: Sequence[str]) -> Words:
    """Words that were given."""
    places, start = [], 0
    for word in words:
        places.append((start, start + len(word)))
        start += len(word) + 1
    return Words(" ".join(words), list(words), places)


def of_cell(cell: str | Sequence[str]) -> Words:
    """Words of a text or words that were given; a text without a word is one."""
    found = of_text(cell) if isinstance(cell, str) else of_words(cell)
    return found if found.words else of_words([str(cell)])


def entities(words: Words, tags: Sequence[str]) -> list[dict[str, Any]]:
    """Entities in the order of the text.

    Args:
        words: The words.
        tags: A tag for each of them, IOB1 or IOB2.

    Returns:
        ``type``, ``start`` and ``end`` in characters of the text, and the ``text`` between them.
    """
    found = []
    for kind, first, behind in sorted(spans(tags), key=lambda span: span[1]):
        start, end = words.places[first][0], words.places[behind - 1][1]
        found.append({"type": kind, "start": start, "end": end, "text": words.text[start:end]})
    return found
