"""Generated questions on facts about people, a third of them without an answer; test names and things are new ones."""

import random
from collections.abc import Iterator
from typing import Any

Row = tuple[Any, ...]
NAMES = {
    "train": (
        "Anna",
        "Boris",
        "Clara",
        "David",
        "Elena",
        "Frank",
        "Greta",
        "Henry",
        "Irene",
        "James",
        "Karen",
        "Louis",
    ),
    "test": (
        "Maria",
        "Nora",
        "Oscar",
        "Paula",
        "Robert",
        "Susan",
        "Thomas",
        "Victor",
        "Walter",
        "Emma",
        "Peter",
        "Julia",
    ),
}
THINGS = {
    "train": {
        "lives": ("Paris", "Berlin", "Madrid", "Vienna", "Oslo", "Athens", "Dublin", "Prague", "Lisbon", "Moscow"),
        "plays": ("the violin", "the piano", "the flute", "the guitar", "the trumpet", "the harp", "the drums"),
        "bought": ("an old car", "a red bicycle", "a wooden boat", "two horses", "a small farm", "a large house"),
        "studied": ("physics", "history", "medicine", "law", "chemistry", "geography", "music", "geology"),
    },
    "test": {
        "lives": ("London", "Rome", "Warsaw", "Cairo", "Tokyo", "Boston", "Geneva", "Munich", "Sydney", "Chicago"),
        "plays": ("the cello", "the organ", "the saxophone", "the banjo", "the clarinet", "the accordion"),
        "bought": ("a blue motorcycle", "a silver watch", "three goats", "an empty church", "a used truck"),
        "studied": ("biology", "philosophy", "mathematics", "economics", "astronomy", "literature", "botany"),
    },
}
TOLD = {
    "lives": ("{name} lives in {thing}.", "{name} has a flat in {thing}."),
    "plays": ("{name} plays {thing}.", "In the evening {name} plays {thing}."),
    "bought": ("{name} bought {thing} last year.", "Last spring {name} bought {thing}."),
    "studied": ("{name} studied {thing}.", "At the university {name} studied {thing}."),
}
ASKED = {
    "lives": ("Where does {name} live?", "In which city does {name} live?"),
    "plays": ("What does {name} play?", "Which instrument does {name} play?"),
    "bought": ("What did {name} buy?", "Which thing did {name} buy?"),
    "studied": ("What did {name} study?", "Which subject did {name} study?"),
}
FACTS = 6
"""Facts of a context."""


def answers(rng: random.Random, split: str) -> Iterator[list[Row]]:
    """Questions on one context: two with an answer, and one that asks of a person what is not told."""
    while True:
        pairs = [(name, kind) for name in rng.sample(NAMES[split], 4) for kind in ASKED]
        told = rng.sample(pairs, FACTS)
        context, places = "", {}
        for name, kind in told:
            thing = rng.choice(THINGS[split][kind])
            sentence = rng.choice(TOLD[kind]).format(name=name, thing=thing)
            context += " " if context else ""
            places[name, kind] = {"text": thing, "answer_start": len(context) + sentence.index(thing)}
            context += sentence
        known = {name for name, _ in told}
        # of somebody who is spoken of: neither the name alone nor the kind of question gives it away
        missing = [pair for pair in pairs if pair not in places and pair[0] in known]
        chosen = [*rng.sample(told, 2), *rng.sample(missing, 1)]
        yield [(_question(rng, pair), context, [places[pair]] if pair in places else []) for pair in chosen]


def _question(rng: random.Random, pair: tuple[str, str]) -> str:
    return rng.choice(ASKED[pair[1]]).format(name=pair[0])
