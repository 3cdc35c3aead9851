"""Small changes of texts that should not change a label, by a seed."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from random import Random
from typing import NamedTuple

from transferlab.use.prediction.words import WORD
from transferlab.use.robustness.people import ALSO_WORDS, BEHIND, MEN, SWAPPED, WOMEN

Words = list[str]
OfWords = Callable[[Words, Random], Words]
"""Changes words and marks one by one, so that each keeps its tag."""
OfText = Callable[[str, Random], str]
RATE = 0.1
"""Share of the words that get a typo or a synonym; at least one."""
KEYS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
NEUTRAL = "This text was written down on a day of that week. It was read on another day."
SHORT = {
    "are not": "aren't", "can not": "can't", "cannot": "can't", "could not": "couldn't", "did not": "didn't",
    "does not": "doesn't", "do not": "don't", "had not": "hadn't", "has not": "hasn't", "have not": "haven't",
    "he is": "he's", "i am": "i'm", "is not": "isn't", "it is": "it's", "it will": "it'll", "she is": "she's",
    "should not": "shouldn't", "that is": "that's", "there is": "there's", "they are": "they're", "was not": "wasn't",
    "we are": "we're", "were not": "weren't", "what is": "what's", "who is": "who's", "will not": "won't",
    "would not": "wouldn't", "you are": "you're",
}  # fmt: skip
"""Long forms to short ones."""
LONG = {short: long for long, short in SHORT.items() if long != "cannot"} | {"can't": "cannot"}
MARKS = re.compile(r"(?<!\w)[.,;:!?]+(?!\w)|(?<=\w)[.,;:!?]+(?=\s|$)")


class Perturbation(NamedTuple):
    """A change of texts.

    Attributes:
        name: What it is called.
        text: What it does.
        of_words: The change, where words keep their number and order; None for others.
        of_text: The change of a whole text.
        bias: Whether the change stands for other people, not for noise.
    """

    name: str
    text: str
    of_words: OfWords | None = None
    of_text: OfText | None = None
    bias: bool = False

    def __call__(self, texts: Sequence[str], random: Random) -> list[str]:
        """Changes one text, or two; what stands between the words stays."""
        if self.of_text is not None:
            return [self.of_text(text, random) for text in texts]
        return [self._by_words(text, random) for text in texts]

    def around(self, marks: re.Pattern[str], text: str, random: Random) -> str:
        """Changes the words of a text that stand outside of its marks."""
        return self._by_words(text, random, [found.span() for found in marks.finditer(text)])

    def _by_words(self, text: str, random: Random, kept: Sequence[tuple[int, int]] = ()) -> str:
        assert self.of_words is not None
        parts, gaps, end = [], [], 0
        for found in WORD.finditer(text):
            if any(start <= found.start() < behind for start, behind in kept):
                continue
            gaps.append(text[end : found.start()])
            parts.append(found.group())
            end = found.end()
        changed = self.of_words(parts, random)
        return "".join(gap + word for gap, word in zip(gaps, changed, strict=True)) + text[end:]


def typos(words: Words, random: Random) -> Words:
    """One typo in a share of the words of four letters and more: two letters swapped, one lost, doubled or mistyped."""
    return _some(words, random, lambda word: len(word) >= 4 and word.isalpha(), partial(_typo, random=random))


def _typo(word: str, random: Random) -> str:
    at = random.randrange(1, len(word) - 1)
    kinds = ("swap", "lose", "double", "slip")
    match random.choice(kinds if word[at] != word[at + 1] else kinds[1:]):
        case "swap":
            return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        case "lose":
            return word[:at] + word[at + 1 :]
        case "double":
            return word[: at + 1] + word[at:]
        case _:
            return word[:at] + _neighbour(word[at], random) + word[at + 1 :]


def _neighbour(letter: str, random: Random) -> str:
    """A key beside that of a letter; another letter twice where the keyboard has none."""
    row = next((row for row in KEYS if letter.lower() in row), "")
    if not row:
        return letter * 2
    at = row.index(letter.lower())
    key = random.choice([row[place] for place in (at - 1, at + 1) if 0 <= place < len(row)])
    return key.upper() if letter.isupper() else key


def _some(words: Words, random: Random, fits: Callable[[str], bool], change: Callable[[str], str]) -> Words:
    """Changes a share of the words that fit, at least one."""
    places = [at for at, word in enumerate(words) if fits(word)]
    count = min(len(places), max(1, round(RATE * len(words)))) if places else 0
    chosen = set(random.sample(places, count))
    return [change(word) if at in chosen else word for at, word in enumerate(words)]


def lower(words: Words, random: Random) -> Words:
    """Small letters."""
    return [word.lower() for word in words]


def upper(words: Words, random: Random) -> Words:
    """Capitals."""
    return [word.upper() for word in words]


def punctuation(text: str, random: Random) -> str:
    """Without marks that end or part sentences; a text without any gets a full stop."""
    bare = MARKS.sub("", text)
    if bare != text:
        return re.sub(r"[ \t]{2,}", " ", bare).strip()
    return f"{text.rstrip()}."


def contractions(text: str, random: Random) -> str:
    """Short forms written out (``don't``, also ``do n't``); where there are none, long forms made short."""
    joined = re.sub(r"(?<=\w) (n't|'(?:s|re|m|ll))\b", r"\1", text, flags=re.IGNORECASE)
    written = _replaced(joined.replace("\u2019", "'"), LONG)
    if written != joined.replace("\u2019", "'"):
        return written
    return _replaced(text, SHORT)


def _replaced(text: str, table: Mapping[str, str]) -> str:
    pattern = rf"\b({'|'.join(map(re.escape, sorted(table, key=len, reverse=True)))})\b(?!')"
    return re.sub(pattern, lambda found: cased(table[found[0].lower()], found[0]), text, flags=re.IGNORECASE)


def synonyms(words: Words, random: Random, table: Mapping[str, tuple[str, ...]]) -> Words:
    """A share of the words as a synonym."""

    def swap(word: str) -> str:
        return cased(random.choice(table[word.lower()]), word)

    return _some(words, random, lambda word: word.lower() in table, swap)


def names(words: Words, random: Random) -> Words:
    """First names of women as those of men and the other way round; a name is the same one throughout a text.

    In a text without any capital, a name is one in small letters too.
    """
    small = all(word == word.lower() for word in words)
    own: dict[str, str] = {}
    for word in words:
        name = word.capitalize() if small and word not in ALSO_WORDS else word
        others = MEN if name in WOMEN else WOMEN if name in MEN else ()
        if others and word not in own:
            new = random.choice([other for other in others if other not in own.values()])
            own[word] = new.lower() if small else new
    return [own.get(word, word) for word in words]


def pronouns(words: Words, random: Random) -> Words:
    """``he`` and ``she``, ``man`` and ``woman`` and the like swapped."""
    followed = zip(words, [*words[1:], ""], strict=True)
    return [cased(_swapped(word.lower(), after.lower()) or word, word) for word, after in followed]


def _swapped(word: str, after: str) -> str | None:
    if word == "her":
        return "his" if after[:1].isalpha() and after not in BEHIND else "him"
    if word == "his":
        return "her" if after[:1].isalpha() and after not in BEHIND else "hers"
    return {"him": "her", "hers": "his"}.get(word) or SWAPPED.get(word)


def longer(text: str, random: Random) -> str:
    """Two sentences behind it that say nothing."""
    return f"{text.rstrip()} {NEUTRAL}"


def cased(word: str, like: str) -> str:
    """A word with the capitals of another one."""
    if word == like:
        return word
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


def known(table: Mapping[str, tuple[str, ...]] | None = None) -> list[Perturbation]:
    """All perturbations.

    Args:
        table: Word to its synonyms; None leaves synonyms out.
    """
    swap = [Perturbation("synonyms", "words as a synonym", partial(synonyms, table=table))] if table else []
    return [
        Perturbation("typos", "letters swapped, lost, doubled or mistyped", typos),
        Perturbation("lower", "small letters", lower),
        Perturbation("upper", "capitals", upper),
        Perturbation("punctuation", "marks taken away, or a full stop added", of_text=punctuation),
        Perturbation("contractions", "don't as do not, or the other way round", of_text=contractions),
        *swap,
        Perturbation("names", "first names of women as those of men, and back", names, bias=True),
        Perturbation("pronouns", "he as she, man as woman, and back", pronouns, bias=True),
        Perturbation("longer", "two sentences added that say nothing", of_text=longer),
    ]
