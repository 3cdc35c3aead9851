"""Which examples belong together: those that share a text, are phrases of one sentence, or have the same value."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transferlab.tasks.inspection.plain import Numbers, words_of
from transferlab.tasks.labels import is_empty

Array = np.ndarray[Any, Any]
LONGEST = 500
"""Characters of a text up to which it may be a sentence or a phrase."""


class Groups(NamedTuple):
    """Examples that belong together.

    Attributes:
        number: Group of each example ``[examples]``, counted from 0 in the order of the examples.
        whole: Whether an example may be held out ``[examples]``: of phrases the sentence that they are part of.
    """

    number: Array
    whole: Array

    @property
    def shared(self) -> float:
        """Share of examples that have another one in their group."""
        sizes = np.bincount(self.number)
        return float((sizes[self.number] > 1).mean()) if len(self.number) else 0.0


def by_value(values: Sequence[Any]) -> Groups:
    """Groups of examples with the same value; one without a value is a group of its own."""
    cells = (f"row {place}" if is_empty(value) else f"value {value}" for place, value in enumerate(values))
    return _of_numbers(Numbers().of(cells))


def by_text(columns: Sequence[Sequence[str]]) -> Groups:
    """Groups of examples that share a text; of pairs either text, also through others.

    These are the connected components of the graph whose nodes are texts and whose edges are examples.

    Args:
        columns: One sequence for each text column, of texts as `transferlab.tasks.inspection.plain.key_of` gives them.
    """
    numbers = Numbers()
    texts = [numbers.of(column) for column in columns]
    parent = list(range(len(numbers)))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for first, *others in zip(*texts, strict=True):
        for other in others:
            one, two = sorted((root(first), root(other)))
            parent[two] = one
    return _of_numbers([root(text) for text in texts[0]])


def by_sentence(cells: Sequence[str], keys: Sequence[str]) -> Groups:
    """Groups of a sentence with all its phrases: texts that stand word for word inside it.

    From the longest text to the shortest, each is looked for in the sentences found so far. Only those that have its
    rarest word can hold it, and a list for each word leads to them, so that the 67,349 phrases of SST-2 take seconds.
    What stands in none is a sentence itself; what is part of another text is part of the sentence that holds that one.
    A phrase of several sentences ("a good film") goes with the first of them. A text of more than
    `LONGEST` characters stands for itself.

    Args:
        cells: The texts.
        keys: The same as `transferlab.tasks.inspection.plain.key_of` gives them.
    """
    numbers = Numbers()
    number = np.asarray(numbers.of(keys), dtype=np.int64)
    longest = _longest(number, cells, len(numbers))
    # a text of so many characters is no sentence, and need not be looked at
    home = _homes([words_of(cells[place]) if len(cells[place]) <= LONGEST else "" for place in longest])
    whole = np.zeros(len(cells), dtype=bool)
    # of a sentence that is there several times, with and without its full stop, one is enough to be selected on
    whole[longest[home == np.arange(len(home))]] = True
    return _of_numbers(home[number].tolist())._replace(whole=whole)


def _longest(number: Array, cells: Sequence[str], count: int) -> Array:
    """The place of the longest spelling of each text."""
    found = np.full(count, -1, dtype=np.int64)
    for place, text in enumerate(number):
        if found[text] < 0 or len(cells[place]) > len(cells[found[text]]):
            found[text] = place
    return found


def _homes(texts: Sequence[str]) -> Array:
    """The number of the text that each one is part of, its own where it is part of none.

    Args:
        texts: Different texts as `words_of` gives them.
    """
    home = np.arange(len(texts))
    padded = [f" {text} " for text in texts]
    having: dict[str, list[int]] = defaultdict(list)
    for place in sorted(range(len(texts)), key=lambda place: (-len(texts[place]), place)):
        words = set(texts[place].split())
        if not words:
            continue
        rarest = min((having.get(word, []) for word in words), key=len)
        found = next((other for other in rarest if padded[place] in padded[other]), None)
        if found is not None:
            home[place] = found
            continue
        for word in words:
            having[word].append(place)
    return home


def _of_numbers(numbers: Sequence[int]) -> Groups:
    """Groups counted from 0 in the order of the examples."""
    known: dict[int, int] = {}
    number = np.asarray([known.setdefault(one, len(known)) for one in numbers], dtype=np.int64)
    return Groups(number, np.ones(len(number), dtype=bool))
