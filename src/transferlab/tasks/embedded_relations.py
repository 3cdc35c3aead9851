"""Generated sentences of three people, two of whom stand in a relation: the same words, order decides.

Every sentence comes with all pairs of its people marked, in both orders. So words alone tell neither who does it nor
whether these two are meant; the verbs of the test are none of the training.
"""

import random
from collections.abc import Iterator
from typing import Any

from transferlab.tasks.marked import Span, write

Row = tuple[Any, ...]
VERBS: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "hires": ("hired", "employed", "engaged"),
        "teaches": ("taught", "trained", "coached", "instructed"),
        "heals": ("healed", "cured", "nursed"),
    },
    "test": {"hires": ("recruited", "appointed"), "teaches": ("tutored", "educated"), "heals": ("treated", "doctored")},
}
"""Relation to verbs that are the same in the past and as a participle."""
PEOPLE: dict[str, tuple[str, ...]] = {
    "train": ("Anna", "Ben", "Carla", "David", "Emma", "Felix", "Grace", "Henry", "Iris", "Jack", "Kate", "Liam"),
    "test": ("Mia", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tina", "Victor"),
}
FRAMES = (
    "{a} {v} {b} while {c} was away .",
    "{b} was {v} by {a} , {c} said .",
    "{c} says that {a} {v} {b} last year .",
    "{c} remembers that {b} was {v} by {a} .",
    "{a} , who knows {c} , {v} {b} .",
    "{b} , unlike {c} , was {v} by {a} .",
    "yesterday {a} {v} {b} and {c} was glad .",
    "it was {b} , not {c} , who was {v} by {a} .",
)
RELATIONS = (*(f"{name}({order})" for name in VERBS["train"] for order in ("e1,e2", "e2,e1")), "Other")
"""Labels in the order of their numbers."""


def relations(rng: random.Random, split: str) -> Iterator[list[Row]]:
    """Three twins share a sentence: who does it marked as e1, as e2, and one of the two beside the third person."""
    names = tuple(VERBS[split])
    while True:
        frame, relation, people = rng.choice(FRAMES), rng.choice(names), rng.sample(PEOPLE[split], 3)
        text = frame.format(v=rng.choice(VERBS[split][relation]), **dict(zip("abc", people, strict=True)))
        spans = [Span(text.index(name), text.index(name) + len(name)) for name in people]
        other = [spans[rng.choice((0, 1))], spans[2]]
        rng.shuffle(other)
        number = 2 * names.index(relation)
        yield [
            (write(text, spans[0], spans[1]), number),
            (write(text, spans[1], spans[0]), number + 1),
            (write(text, other[0], other[1]), len(RELATIONS) - 1),
        ]
