"""Small changes of a text that keep its label: each a function of words and a seeded generator."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from transferlab.ground.words import is_unspaced, parted

BLANK = "\ue000"
"""Stands for a dropped word until a tokenizer says how it writes its mask."""
KEPT = frozenset(
    word
    for line in (
        "no not never none nobody nothing neither nor nowhere without hardly barely scarcely cannot n't few little",
        "ain't isn't aren't wasn't weren't don't doesn't didn't won't wouldn't can't couldn't shouldn't hasn't haven't",
        "hadn't less but although though too",
        # of Chinese, where each letter is a word here
        "\u4e0d \u6ca1 \u6c92 \u65e0 \u7121 \u975e \u672a \u522b \u5225 \u83ab \u52ff \u4f46",
    )
    for word in line.split()
)
"""Words that turn the meaning of others; no method touches them."""
MARKS = (".", ";", "?", ":", "!", ",")
EDGES = re.compile(r"^\W+|\W+$")
CORE = re.compile(r"(\W*)(\w+)(\W*)")


class Token(NamedTuple):
    """A word as the methods see it.

    Attributes:
        word: The word.
        tag: The cell of its tag; None for texts.
        type: Type of the entity that it belongs to; empty outside of entities.
        inner: Whether it continues an entity, so that nothing may be put before it.
        free: Whether it may be moved, left out or exchanged.
    """

    word: str
    tag: Any = None
    type: str = ""
    inner: bool = False
    free: bool = True


Tokens = list[Token]
Mention = tuple[tuple[str, Any], ...]
"""Words of an entity, each with the cell of its tag."""


class Known(NamedTuple):
    """What methods draw from beside the text.

    Attributes:
        rate: alpha, the share of words that are changed.
        synonyms: Each word in small letters to others.
        mentions: Type to the entities of the training examples.
    """

    rate: float
    synonyms: Mapping[str, Sequence[str]] = {}
    mentions: Mapping[str, Sequence[Mention]] = {}

    def count(self, tokens: Tokens) -> int:
        """``max(1, alpha words)``, rounded down, as EDA counts."""
        return max(1, int(self.rate * len(tokens)))


def tokens_of(text: str) -> Tokens:
    """The words of a text between blanks, and each Han letter.

    Letters of other scripts without blanks stay as they are: alone they are no words.
    """
    return [Token(word, free=bare(word) not in KEPT and is_word(word)) for word in parted(text)]


def is_word(word: str) -> bool:
    """Whether a part of a text means something alone."""
    return not is_unspaced(word[0]) or "CJK" in unicodedata.name(word[0], "")


def bare(word: str) -> str:
    """A word in small letters without the marks around it, its apostrophe the plain one."""
    return EDGES.sub("", word).casefold().replace("\u2019", "'")


def swap(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """Two words change places, ``alpha words`` times."""
    places, found = _free(tokens), list(tokens)
    for _ in range(known.count(tokens) if len(places) > 1 else 0):
        one, other = random.sample(places, 2)
        found[one], found[other] = found[other], found[one]
    return found


def delete(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """Each word is left out with probability alpha; one at least stays."""
    found = [token for token in tokens if not token.free or random.random() >= known.rate]
    return found or [random.choice(tokens)]


def insert(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """A synonym of one of the words is put in somewhere, ``alpha words`` times."""
    found = list(tokens)
    sources = [tokens[place] for place in _free(tokens) if bare(tokens[place].word) in known.synonyms]
    for _ in range(known.count(tokens) if sources else 0):
        source = random.choice(sources)
        new = Token(random.choice(known.synonyms[bare(source.word)]), source.tag)
        found.insert(random.choice(_gaps(found)), new)
    return found


def synonyms(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """``alpha words`` of the words are exchanged for a synonym, in the case that the word had."""
    places = [place for place in _free(tokens) if bare(tokens[place].word) in known.synonyms]
    chosen = set(random.sample(places, min(len(places), known.count(tokens))))
    return [_exchanged(token, random, known) if place in chosen else token for place, token in enumerate(tokens)]


def _exchanged(token: Token, random: Random, known: Known) -> Token:
    found = CORE.fullmatch(token.word)
    before, word, after = found.groups() if found else ("", token.word, "")
    new = random.choice(known.synonyms[word.casefold()])
    cased = new.upper() if len(word) > 1 and word.isupper() else new.capitalize() if word[:1].isupper() else new
    return token._replace(word=f"{before}{cased}{after}")


def dropout(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """Each word becomes the mask with probability alpha (Iyyer et al. 2015, https://aclanthology.org/P15-1162)."""
    return [token._replace(word=BLANK) if token.free and random.random() < known.rate else token for token in tokens]


def marks(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """Punctuation is put in at 1 to a third of the words' number of places, as AEDA does whatever alpha is."""
    found = list(tokens)
    for _ in range(random.randint(1, max(1, len(tokens) // 3))):
        found.insert(random.randint(0, len(found)), Token(random.choice(MARKS), free=False))
    return found


def entities(tokens: Tokens, random: Random, known: Known) -> Tokens:
    """A share alpha of the entities, one at least, is exchanged for others of the same type."""
    spans = spans_of(tokens)
    chosen = set(random.sample(range(len(spans)), min(len(spans), max(1, int(known.rate * len(spans))))))
    found, end = Tokens(), 0
    for number, (start, stop) in enumerate(spans):
        own = tuple((token.word, token.tag) for token in tokens[start:stop])
        others = [one for one in known.mentions.get(tokens[start].type, ()) if one != own] if number in chosen else []
        found += tokens[end:start]
        found += _mention(random.choice(others), tokens[start].type) if others else tokens[start:stop]
        end = stop
    return found + tokens[end:]


def _mention(words: Mention, kind: str) -> Tokens:
    return [Token(word, tag, kind, place > 0, False) for place, (word, tag) in enumerate(words)]


def spans_of(tokens: Tokens) -> list[tuple[int, int]]:
    """First word and the one behind the last of each entity."""
    starts = [place for place, token in enumerate(tokens) if token.type and not token.inner]
    ends = [next((at for at in range(start + 1, len(tokens)) if not tokens[at].inner), len(tokens)) for start in starts]
    return list(zip(starts, ends, strict=True))


def _free(tokens: Tokens) -> list[int]:
    return [place for place, token in enumerate(tokens) if token.free]


def _gaps(tokens: Tokens) -> list[int]:
    """Where a word may be put in."""
    return [place for place in range(len(tokens) + 1) if place == len(tokens) or not tokens[place].inner]


METHODS: dict[str, Callable[[Tokens, Random, Known], Tokens]] = {
    "swap": swap,
    "delete": delete,
    "insert": insert,
    "synonyms": synonyms,
    "dropout": dropout,
    "marks": marks,
    "entities": entities,
}
WITH_SYNONYMS = ("insert", "synonyms")
