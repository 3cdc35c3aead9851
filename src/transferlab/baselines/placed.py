"""The words between and around two marked entities, each with its place."""

import re
from collections.abc import Sequence

from transferlab.tasks.marked import parse

AROUND = 3
"""Words on each side of a pair of entities that are read."""


def placed(marked: Sequence[str], pattern: str) -> list[str]:
    """The words of texts with two marked entities, each with its place before it.

    ``1between`` says that the head comes first, ``2between`` that the tail does; so the same words tell directions
    apart.

    Args:
        marked: The texts.
        pattern: What a word is.
    """
    return [_placed(text, pattern) for text in marked]


def _placed(marked: str, pattern: str) -> str:
    one = parse(marked)
    first, second = sorted([one.head, one.tail])
    text, order = one.text, 1 if first == one.head else 2
    places = {
        "before": re.findall(pattern, text[: first.start])[-AROUND:],
        "first": re.findall(pattern, text[first.start : first.end]),
        "between": re.findall(pattern, text[first.end : second.start]),
        "second": re.findall(pattern, text[second.start : second.end]),
        "behind": re.findall(pattern, text[second.end :])[:AROUND],
    }
    return " ".join(f"{order}{place}_{_letters(word)}" for place, words in places.items() for word in words)


def _letters(word: str) -> str:
    """A word in which no mark parts it from its place."""
    return "".join(letter if letter.isalnum() else f"_{ord(letter)}_" for letter in word)
