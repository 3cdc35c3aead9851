"""Which word each token of an example belongs to."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.parts import split_body
from transferlab.tasks.settings import Settings
from transferlab.tasks.tokenization import special_affixes
from transferlab.tasks.words import word_prefix
from transferlab.use.prediction.words import WORD, Words

SPECIAL, NONE = -2, -1
"""Owners of a token that the tokenizer adds, and of one that lies in no word."""
LETTER = re.compile(f"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]|{WORD.pattern}")
"""Words, and each letter of a script that writes none apart."""


class Reading(NamedTuple):
    """An example as its encoder reads it.

    Attributes:
        texts: Its texts with their words, one or two.
        owners: For each sequence the word of each token, counted over all texts, or `SPECIAL` or `NONE`.
    """

    texts: list[Words]
    owners: list[list[int]]

    @property
    def words(self) -> int:
        """Number of words of all texts."""
        return sum(len(text.words) for text in self.texts)


def split(text: str) -> Words:
    """Words and marks of a text."""
    found = list(LETTER.finditer(text))
    return Words(text, [match.group() for match in found], [match.span() for match in found])


def read(texts: Sequence[Words], tagging: bool, tokenizer: Any, settings: Settings) -> Reading:
    """Finds the words of all tokens of an example.

    Args:
        texts: Its texts with their words.
        tagging: Whether it was tokenised word by word.
        tokenizer: The encoder's.
        settings: How texts become tokens.
    """
    if tagging:
        prefix = word_prefix(tokenizer)
        encoded = tokenizer(
            [prefix + word for word in texts[0].words],
            is_split_into_words=True,
            truncation=True,
            max_length=settings.max_length,
        )
        return Reading(list(texts), [[SPECIAL if word is None else word for word in encoded.word_ids()]])
    starts = [0, *accumulate(len(text.words) for text in texts)]
    if settings.apart:
        rows = []
        for text, first in zip(texts, starts[:-1], strict=True):
            encoding = tokenizer(text.text, truncation=True, max_length=settings.max_length)[0]
            places = zip(encoding.sequence_ids, encoding.offsets, strict=True)
            rows.append([SPECIAL if part is None else _owner(text, first, *place) for part, place in places])
        return Reading(list(texts), rows)
    if settings.truncation == "head":
        encoding = tokenizer(*(text.text for text in texts), truncation=True, max_length=settings.max_length)[0]
        row = [
            SPECIAL if part is None else _owner(texts[part], starts[part], *place)
            for part, place in zip(encoding.sequence_ids, encoding.offsets, strict=True)
        ]
        return Reading(list(texts), [row])
    before, behind = special_affixes(tokenizer)
    room = settings.max_length - len(before) - len(behind)
    whole = tokenizer(texts[0].text, add_special_tokens=False, truncation=False, verbose=False)[0]
    owners = [_owner(texts[0], 0, *place) for place in whole.offsets]
    parts = split_body(list(range(len(owners))), room, settings.truncation, settings.windows)
    rows = [[SPECIAL] * len(before) + [owners[at] for at in part] + [SPECIAL] * len(behind) for part in parts]
    return Reading(list(texts), rows)


def _owner(text: Words, first: int, start: int, end: int) -> int:
    """The word that the first letter of a token lies in; byte-level tokens begin with the blank before the word."""
    while start < end and text.text[start].isspace():
        start += 1
    found = bisect_right([place[0] for place in text.places], start) - 1
    inside = start < end and found >= 0 and start < text.places[found][1]
    return first + found if inside else NONE


def check(reading: Reading, lengths: Sequence[int]) -> None:
    """Compares with the sequences that the model reads.

    Args:
        reading: The words of the tokens.
        lengths: Tokens of each sequence.

    Raises:
        TransferlabError: They differ, so that words would get the attribution of others.
    """
    if [len(row) for row in reading.owners] != list(lengths):
        raise TransferlabError("the words of this text cannot be matched with its tokens; give it as plain text.")
