"""Words of running text in any script: where no blank stands between words, each letter counts as one."""

from collections.abc import Iterable

from transferlab.ground.patterns import later

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Scripts without blanks between words, as a class of a regular expression: Thai, Lao, Burmese, Khmer, Kana, Han."""
_JOINED = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
r"""Accents, points and vowels that stand inside of words, as in Hebrew, Arabic and Hindi; ``\w`` lacks them."""
LETTERS = rf"[^\W{UNSPACED}]+(?:[{_JOINED}]+[^\W{UNSPACED}]*)*"
"""Letters and digits in a row."""
WORDS = rf"[{UNSPACED}]|{LETTERS}"
"""Words without marks."""
PATTERN = rf"[{UNSPACED}]|{LETTERS}(?:['\u2019]{LETTERS})*|[^\w\s]"
"""Words and single marks; the default of scikit-learn drops "n" and "t" of "does n't", and with them the negation."""
_LETTER = later(f"[{UNSPACED}]")
_UNITS = later(rf"[{UNSPACED}]|[^\s{UNSPACED}]+")


def is_unspaced(letter: str) -> bool:
    """Whether a letter is of a script without blanks between words."""
    return _LETTER.match(letter) is not None


def parted(text: str) -> list[str]:
    """What stands between blanks, and each letter of a script without blanks."""
    # most text is of other scripts, and this is asked of whole data sets
    return text.split() if text.isascii() else _UNITS.findall(text)


def joined(words: Iterable[str]) -> str:
    """Words with blanks between them, but none beside a letter of a script without blanks."""
    found = ""
    for word in words:
        close = found and word and (is_unspaced(found[-1]) or is_unspaced(word[0]))
        found += word if close or not found else f" {word}"
    return found
