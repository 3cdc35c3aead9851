"""The capitals of words, told to an encoder that lower-cases them. Imports no torch."""

from collections.abc import Sequence

PLAIN, FIRST, ALL, INSIDE = range(4)
"""Shapes of a word: no capital, its first character is one, all letters are (two at least), another character is."""
SHAPES = 3
"""Shapes with a capital."""


def shape_of(word: str) -> int:
    """The shape of a word; capitals are those of Unicode, and of digits, marks and scripts without case there are none.

    ``London`` and ``McEwan`` are `FIRST`, as ``A`` is; ``USA`` and ``U.S.`` are `ALL`; ``iPhone`` and ``3M`` `INSIDE`.
    """
    # of a single character it holds for letters of two, such as ǅ, too
    capitals = [letter.istitle() for letter in word]
    if word.isupper() and sum(capitals) > 1:
        return ALL
    if capitals[:1] == [True]:
        return FIRST
    return INSIDE if any(capitals) else PLAIN


def token_types(pieces: Sequence[int | None], words: Sequence[str]) -> list[int]:
    """The shape of the word of each token, `PLAIN` for special tokens.

    Args:
        pieces: The word of each token, None for special tokens.
        words: The words.
    """
    shapes = [shape_of(word) for word in words]
    return [PLAIN if word is None else shapes[word] for word in pieces]
