"""Exact match and F1 of answers, as the official scripts of SQuAD 1.1 and 2.0 count them; imports no torch.

Rajpurkar et al. 2016 (https://arxiv.org/abs/1606.05250) and 2018 (https://arxiv.org/abs/1806.03822). Both are computed
on what `words_of` leaves of a text, against the gold answer that gives the most. A question without an answer has the
single gold answer "": only an empty answer equals it, with 1 and 1.

Chinese and Japanese have no blanks between words, so that the official scripts would compare whole answers. A text
with such letters is counted by character, as the script of CMRC 2018 does (https://arxiv.org/abs/1810.07366).
"""

import functools
import re
import string
import unicodedata
from collections import Counter
from collections.abc import Sequence

from transferlab.ground.patterns import later

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_LETTER = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
"""Kana and Han."""
_BY_CHARACTER = later(f"[{_LETTER}]")
_UNITS = later(f"[{_LETTER}]|[^\\s{_LETTER}]+")


def by_character(text: str) -> bool:
    """Whether a text is counted by character."""
    return _BY_CHARACTER.search(text) is not None


@functools.lru_cache(maxsize=100_000)
def words_of(text: str) -> tuple[str, ...]:
    """The words of a text in lower case, without punctuation and the articles a, an, the.

    Han and Kana letters are words of their own; in a text that has any, punctuation is that of Unicode.
    """
    lowered = text.lower()
    if by_character(lowered):
        kept = (letter for letter in lowered if unicodedata.category(letter)[0] != "P")
        return tuple(_UNITS.findall(_ARTICLES.sub(" ", "".join(kept).translate(_PUNCTUATION))))
    return tuple(_ARTICLES.sub(" ", lowered.translate(_PUNCTUATION)).split())


def exact(answer: str, gold: str) -> float:
    """1 where two texts have the same words in the same order, else 0."""
    return float(words_of(answer) == words_of(gold))


def f1(answer: str, gold: str) -> float:
    """``2 shared / (words + gold words)`` with shared words counted as often as both have them.

    Where either has no words at all: 1 if both have none, else 0.
    """
    found, wanted = words_of(answer), words_of(gold)
    if not found or not wanted:
        return float(found == wanted)
    shared = sum((Counter(found) & Counter(wanted)).values())
    return 2 * shared / (len(found) + len(wanted))


def scores(answer: str, golds: Sequence[str]) -> tuple[float, float]:
    """Exact match and F1 of an answer, each against the gold answer that gives the most.

    Gold answers that are nothing but articles and punctuation are passed over, as in the script of SQuAD 2.0.

    Args:
        answer: Empty for no answer.
        golds: Empty for a question without an answer.
    """
    counted = [gold for gold in golds if words_of(gold)] or [""]
    return max(exact(answer, gold) for gold in counted), max(f1(answer, gold) for gold in counted)
