"""Copies of examples: which change each gets, and which are left out because their text is known already."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from transferlab.ground.words import joined
from transferlab.tasks.augmentation.edits import METHODS, Known, Mention, Token, Tokens, spans_of, tokens_of

TRIES = 10
"""Draws until a copy differs from its text; short texts have few neighbours."""
Cells = tuple[Any, ...]
"""The text columns of an example: texts, for tagging lists of words."""


class Copy(NamedTuple):
    """A changed example.

    Attributes:
        origin: Number of the example that it was made of.
        cells: Its text columns.
        tags: For tagging the cells of its tags.
    """

    origin: int
    cells: Cells
    tags: list[Any] | None = None


def key_of(cells: Iterable[Any]) -> str:
    """What examples with the same texts agree in, blanks and capitals aside."""
    words = [cell if isinstance(cell, str) else " ".join(map(str, cell)) for cell in cells]
    return json.dumps([" ".join(text.split()).casefold() for text in words])


def tagged(words: Sequence[str], cells: Sequence[Any], names: Sequence[str], entities: bool) -> Tokens:
    """The words of a sentence with their tags.

    Words of an entity are not free: they stay as they are, unless all of them are exchanged.

    Args:
        words: The words.
        cells: The cells of their tags, kept as they are.
        names: The tags in IOB2, or such as mark no entities.
        entities: Whether they mark entities.
    """
    found = Tokens()
    for word, cell, name in zip(words, cells, names, strict=True):
        kind = name.partition("-")[2] if entities else ""
        found.append(Token(word, cell, kind, name.startswith("I-") and entities, not kind))
    return found


def mentions_of(sentences: Iterable[Tokens]) -> dict[str, list[Mention]]:
    """The different entities of each type, in order."""
    found: dict[str, set[Mention]] = {}
    for tokens in sentences:
        for start, end in spans_of(tokens):
            mention = tuple((token.word, token.tag) for token in tokens[start:end])
            found.setdefault(tokens[start].type, set()).add(mention)
    return {kind: sorted(mentions, key=repr) for kind, mentions in sorted(found.items())}


def changed(cells: Cells, number: int, methods: Sequence[str], seed: int, known: Known) -> Cells | None:
    """A copy of a text, or of one of two: a function of its arguments alone; None where no draw changes anything.

    Args:
        cells: The texts.
        number: Number of the copy, from 0.
        methods: What may change it.
        seed: Of the draws.
        known: What methods draw from.
    """
    for random, method in _draws(cells, number, methods, seed):
        # of a pair one text, so that the copy stays nearer to what its label says
        at = random.randrange(len(cells))
        tokens = tokens_of(cells[at])
        text = joined(token.word for token in METHODS[method](tokens, random, known))
        if text and key_of([text]) != key_of([joined(token.word for token in tokens)]):
            return (*cells[:at], text, *cells[at + 1 :])
    return None


def changed_sentence(tokens: Tokens, number: int, methods: Sequence[str], seed: int, known: Known) -> Tokens | None:
    """A copy of a tagged sentence; see `changed`."""
    words = [token.word for token in tokens]
    for random, method in _draws((words,), number, methods, seed):
        found = METHODS[method](tokens, random, known)
        if found and key_of([[token.word for token in found]]) != key_of([words]):
            return found
    return None


def _draws(cells: Cells, number: int, methods: Sequence[str], seed: int) -> Iterator[tuple[Random, str]]:
    text = json.dumps(cells)
    # each copy begins with another method
    order = Random(f"{seed} {text}").sample(list(methods), len(methods))
    for trial in range(TRIES):
        yield Random(f"{seed} {number} {trial} {text}"), order[(number + trial) % len(order)]


def without_known(copies: Iterable[Copy], known: Mapping[str, str]) -> tuple[list[Copy], Counter[str]]:
    """The copies whose text is new, each once, and how many others there were by what they equal, each text once too.

    Args:
        copies: Copies.
        known: The texts that none may equal, by `key_of`, to what they are.
    """
    found, left, seen = list[Copy](), Counter[str](), set[str]()
    for copy in copies:
        key = key_of(copy.cells)
        if key in seen:
            left["another text"] += 1
        elif key in known:
            left[known[key]] += 1
        else:
            found.append(copy)
        seen.add(key)
    return found, left
