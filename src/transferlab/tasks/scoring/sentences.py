"""Texts cut into sentences and words, without anything to download."""

import re
from functools import lru_cache
from typing import Any

from transferlab.ground.words import UNSPACED

_CLOSED = "\"'\u201d\u2019\u00bb)\\]"
_OPEN = "\"'\u201c\u2018\u00ab(["
_WIDE = "\u3002\uff01\uff1f"
"""The full stop, exclamation and question mark of Chinese and Japanese, after which no blank stands."""
_END = re.compile(f"(?:[.!?\u2026]+[{_CLOSED}]*(?=\\s)|[{_WIDE}]+[{_CLOSED}\u300d\u300f]*)")
_LISTED = """
mr mrs ms dr prof rev hon st sr jr gen col lt sgt capt gov sen rep pres messrs mme mlle vs etc e.g i.e cf al fig figs
eq eqs nos vol pp p ch sec ed eds inc ltd co corp dept univ approx est jan feb mar apr jun jul aug sep sept oct nov dec
mon tue wed thu fri sat sun u.s u.k u.n d.c a.m p.m
"""
_SHORT = frozenset(_LISTED.split())
"""Words that a full stop belongs to. Where one of them ends a sentence, that is not seen."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, by rules: what ends in ``.``, ``!``, ``?``, or the same in Chinese, and a new line.

    A full stop ends no sentence after an abbreviation or a single capital, between digits, or before a small letter.
    """
    found = []
    for line in text.splitlines():
        start = 0
        for match in _END.finditer(line):
            if _ends(line, match):
                found.append(line[start : match.end()].strip())
                start = match.end()
        found.append(line[start:].strip())
    return [sentence for sentence in found if sentence]


def _ends(line: str, match: re.Match[str]) -> bool:
    """Whether a mark ends a sentence."""
    if match.group()[0] != "." or match.group().startswith("..."):
        after = line[match.end() :].lstrip()
        return match.group()[0] in _WIDE or not after[:1].islower()
    after = line[match.end() :].lstrip().lstrip(_OPEN)
    if after[:1].islower():
        return False
    words = line[: match.start()].split()
    last = words[-1].lstrip(_OPEN) if words else ""
    return not (last.lower() in _SHORT or (len(last) == 1 and last.isupper() and last != "I"))


class Words:
    """The tokenizer of ROUGE for languages other than English: words in lower case, unspaced scripts by character.

    That of rouge_score drops every letter outside of a to z, which leaves nothing of Chinese.
    """

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return list(_words().findall(text.lower()))


@lru_cache(1)
def _words() -> Any:
    # unlike `re` it knows marks, such as the vowels of Hindi, which stand inside of words
    import regex

    return regex.compile(rf"[{UNSPACED}]\p{{M}}*|[[\p{{L}}\p{{N}}\p{{M}}_]--[{UNSPACED}]]+", flags=regex.V1)


def unspaced(text: str) -> int:
    """How many characters of a text are of scripts without blanks between words."""
    return len(re.findall(f"[{UNSPACED}]", text))
