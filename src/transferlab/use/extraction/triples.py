"""Entities of a text, the pairs of them that are asked about, and what is answered."""

from collections.abc import Sequence
from itertools import permutations
from typing import Any, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds.relation import DIRECTION, relation_of
from transferlab.tasks.marked import Span, write
from transferlab.tasks.spec import TaskSpec
from transferlab.use.answering import Answering

Entity = dict[str, Any]
"""``type``, ``start``, ``end`` and ``text``."""
Triple = dict[str, Any]
"""``head`` and ``tail`` (numbers of entities), ``relation``, ``probability``."""


class Text(NamedTuple):
    """A text with its entities.

    Attributes:
        text: The text.
        entities: In the order of the text.
    """

    text: str
    entities: list[Entity]


class Asked(NamedTuple):
    """Which pairs of entities are asked about.

    Attributes:
        types: Types of head and tail; None: all.
        directed: Whether the labels say which entity is the head, so that a pair is asked once, the first one of the
            text as e1.
    """

    types: frozenset[tuple[str, str]] | None
    directed: bool


def asked_of(task: TaskSpec, pairs: Sequence[str] | None) -> Asked:
    """Which pairs a run of relations is asked about.

    Args:
        task: The task of the run.
        pairs: ``HEAD:TAIL``, types of entities; None: all.

    Raises:
        TransferlabError: A pair of another form.
    """
    types = set()
    for pair in pairs or ():
        head, colon, tail = pair.partition(":")
        if not (head and colon and tail):
            raise TransferlabError(f"--pairs: {pair!r} is no pair of types such as PER:LOC.")
        types.add((head, tail))
    directed = any(DIRECTION.search(label) for label in task.labels)
    return Asked(frozenset(types) if pairs else None, directed)


def candidates(text: Text, asked: Asked) -> list[tuple[int, int]]:
    """Numbers of the entities e1 and e2 of each pair that is asked about; entities that overlap are no pair."""
    found = []
    for one, other in permutations(range(len(text.entities)), 2):
        first, second = text.entities[one], text.entities[other]
        if asked.directed and one > other:
            continue
        if first["start"] < second["end"] and second["start"] < first["end"]:
            continue
        ways = {(first["type"], second["type"])}
        if asked.directed:
            ways.add((second["type"], first["type"]))
        if asked.types is None or ways & asked.types:
            found.append((one, other))
    return found


def marked(text: Text, pair: tuple[int, int]) -> str:
    """A text with a pair of its entities marked.

    Raises:
        TransferlabError: The text holds marks itself.
    """
    head, tail = (text.entities[number] for number in pair)
    return write(text.text, *(Span(one["start"], one["end"], str(one["type"])) for one in (head, tail)))


def relations(texts: Sequence[Text], predictor: Answering[Any], asked: Asked, least: float = 0.0) -> list[list[Triple]]:
    """The relations of each text, without the negative class.

    Args:
        texts: Texts with entities.
        predictor: A run of relations.
        asked: Which pairs are asked about.
        least: Probability from which a relation is given.
    """
    pairs = [(number, pair) for number, text in enumerate(texts) for pair in candidates(text, asked)]
    answers = predictor.predict([marked(texts[number], pair) for number, pair in pairs])
    found: list[list[Triple]] = [[] for _ in texts]
    for (number, pair), answer in zip(pairs, answers, strict=True):
        label = answer["prediction"]
        if label == predictor.task.negative or answer["probability"] < least:
            continue
        head, tail = pair[::-1] if label.endswith("(e2,e1)") else pair
        kinds = tuple(texts[number].entities[one]["type"] for one in (head, tail))
        if asked.types is not None and kinds not in asked.types:
            continue
        triple = {"head": head, "tail": tail, "relation": relation_of(label), "probability": answer["probability"]}
        found[number].append(triple)
    return found
