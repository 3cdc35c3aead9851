"""Generated requests with an intent and slots, for a try without any data."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

REQUESTS: dict[str, dict[str, tuple[str, ...]]] = {
    "book_trip": {
        "train": (
            "get me a ticket to {place} {time}",
            "i want to go to {place} {time}",
            "{time} i have to be in {place}",
            "book a seat to {place}",
            "is there a bus to {place} {time}",
        ),
        "test": ("reserve a flight to {place} {time}", "i must travel to {place}", "find a train to {place} {time}"),
    },
    "ask_weather": {
        "train": (
            "will it rain in {place} {time}",
            "how cold is it in {place}",
            "{time} will {place} have any sun",
            "do i need an umbrella {time} in {place}",
        ),
        "test": ("is it going to snow in {place} {time}", "how warm does {place} get", "any storms in {place} {time}"),
    },
    "order_food": {
        "train": (
            "send {food} to my room {time}",
            "i want {food} and nothing else",
            "{time} i would like to eat {food}",
            "two of {food} please",
            "can you bring me {food} {time}",
        ),
        "test": ("deliver {food} to my house {time}", "i am hungry for {food}", "could i have {food} {time}"),
    },
    "find_recipe": {
        "train": (
            "how do i make {food}",
            "what goes into {food}",
            "{time} i will cook {food} so show me how",
            "tell me the steps for {food}",
        ),
        "test": ("how is {food} prepared", "explain how to bake {food} {time}", "which ingredients are in {food}"),
    },
    "find_place": {
        "train": (
            "where in {place} can i get {food}",
            "who sells {food} in {place}",
            "{time} i will be in {place} so where is {food} sold",
            "which shop has {food} {time}",
        ),
        "test": ("where do they offer {food} in {place}", "is there a store with {food} in {place} {time}"),
    },
}
"""Intent to what is said, in the training examples and in the test; {place}, {food} and {time} are slots."""
TIMES: dict[str, tuple[str, ...]] = {
    "train": ("today", "tomorrow", "tonight", "next week", "on monday", "at noon", "in two hours", "this weekend"),
    "test": ("today", "tomorrow", "tonight", "next month", "on friday", "at midnight", "in three days", "this evening"),
}
INTENTS = tuple(REQUESTS)


def requests(rng: random.Random, split: str) -> Iterator[list[tuple[Any, ...]]]:
    """Words, tags and intents without end; the test has other words and slots than the training examples."""
    # there, since that module reads this one
    from transferlab.tasks.embedded import ENTITIES

    words_of = {"place": ENTITIES[split]["PLACE"], "food": ENTITIES[split]["FOOD"], "time": TIMES[split]}
    fill = {kind: _dealt(rng, items) for kind, items in words_of.items()}
    while True:
        intent = rng.choice(INTENTS)
        words: list[str] = []
        tags: list[str] = []
        for part in rng.choice(REQUESTS[intent][split]).split():
            kind = part.strip("{}") if part.startswith("{") else ""
            said = next(fill[kind]).replace("_", " ").split() if kind else [part]
            words += said
            tags += [f"B-{kind}", *[f"I-{kind}"] * (len(said) - 1)] if kind else ["O"]
        yield [(words, tags, intent)]


def _dealt(rng: random.Random, items: Sequence[str]) -> Iterator[str]:
    """Items in random order again and again, so that each comes equally often."""
    while True:
        yield from rng.sample(items, len(items))
