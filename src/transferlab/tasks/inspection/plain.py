"""Texts as they are compared: without case, punctuation and blanks."""

import unicodedata
from collections.abc import Iterable
from typing import Any

from transferlab.ground.words import parted


class _Letters(dict[int, int | str | None]):
    """What `str.translate` asks for each character: punctuation is dropped, blanks become one kind of blank."""

    def __missing__(self, code: int) -> int | str | None:
        kind = unicodedata.category(chr(code))
        kept: int | str | None = code
        if kind[0] == "Z" or chr(code).isspace():
            kept = " "
        # a sign such as an emoji may be all that an opinion says; those of a keyboard are punctuation
        elif kind[0] in "PC" or kind == "Sk" or (kind[0] == "S" and code < 128):
            kept = None
        self[code] = kept
        return kept


_LETTERS = _Letters()


def words_of(text: str) -> str:
    """A text in lower case, composed (NFC), without punctuation, with one blank between words.

    In scripts without blanks between words each letter is one.
    """
    return " ".join(parted(unicodedata.normalize("NFC", text).casefold().translate(_LETTERS)))


def key_of(text: str) -> str:
    """What is left of a text where case, punctuation and blanks are nothing: ``Don't!`` and ``do n't`` are one."""
    return words_of(text).replace(" ", "")


def as_text(cell: Any) -> str:
    """A cell as text; of a tagged sentence its words with blanks between them."""
    if isinstance(cell, list | tuple):
        return " ".join(map(str, cell))
    return "" if cell is None else str(cell)


class Numbers:
    """Numbers texts in the order in which they first come, so that the same data get the same numbers anywhere.

    Texts are told apart by their 64-bit hash, which keeps millions of them in little memory.
    """

    def __init__(self) -> None:
        self._known: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, texts: Iterable[str]) -> list[int]:
        """The number of each text, a new one for what was not there before."""
        known = self._known
        return [known.setdefault(hash(text), len(known)) for text in texts]

    def look_up(self, texts: Iterable[str]) -> list[int]:
        """The number of each text, -1 for what is not known."""
        return [self._known.get(hash(text), -1) for text in texts]
