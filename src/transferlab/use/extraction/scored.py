"""How right entities and triples are, and what a pipeline loses against gold entities."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds.relation import relation_of
from transferlab.use.extraction.triples import Entity, Text, Triple

Strict = tuple[Any, ...]


def gold_of(cells: Mapping[str, Any], text: str) -> tuple[list[Entity], list[Triple]] | None:
    """The right entities and relations of a row; None where it has none.

    Args:
        cells: With ``entities`` (``type``, ``start`` and ``end`` in characters) and ``relations`` (``head`` and
            ``tail``, numbers of entities, and ``relation``).
        text: The text of the row.

    Raises:
        TransferlabError: Entities or relations of another form.
    """
    if not isinstance(cells.get("entities"), list) or not isinstance(cells.get("relations"), list):
        return None
    entities = [_entity(one, text) for one in cells["entities"]]
    triples = []
    for one in cells["relations"]:
        name = one.get("relation") or one.get("type") or one.get("label") if isinstance(one, Mapping) else None
        places = [one.get("head"), one.get("tail")] if name else []
        if not name or not all(isinstance(at, int) and 0 <= at < len(entities) for at in places):
            raise TransferlabError(
                f"relations: {str(one)[:60]!r} must have head and tail, numbers of the {len(entities)} entities, and "
                "relation"
            )
        # a label with its direction names the entities in the other order
        head, tail = places[::-1] if str(name).endswith("(e2,e1)") else places
        triples.append({"head": head, "tail": tail, "relation": relation_of(str(name))})
    return entities, triples


def _entity(one: Any, text: str) -> Entity:
    try:
        start, end, kind = int(one["start"]), int(one["end"]), str(one["type"])
    except (KeyError, TypeError, ValueError) as error:
        raise TransferlabError(f"entities: {str(one)[:60]!r} must have type, start and end in characters") from error
    if not 0 <= start < end <= len(text):
        raise TransferlabError(f"entities: [{start}, {end}] is outside of a text of {len(text)} characters")
    return {"type": kind, "start": start, "end": end, "text": text[start:end]}


def strict_entities(texts: Iterable[Sequence[Entity]]) -> set[Strict]:
    """Entities of all texts: text, type and both ends."""
    return {(number, one["type"], one["start"], one["end"]) for number, row in enumerate(texts) for one in row}


def strict_triples(texts: Iterable[Text], triples: Iterable[Sequence[Triple]]) -> set[Strict]:
    """Triples of all texts: both spans, both types and the relation."""
    found = set()
    for number, (text, row) in enumerate(zip(texts, triples, strict=True)):
        for one in row:
            ends = [text.entities[one[side]] for side in ("head", "tail")]
            spans = [(end["type"], end["start"], end["end"]) for end in ends]
            found.add((number, *spans, one["relation"]))
    return found


def scores(found: set[Strict], gold: set[Strict]) -> dict[str, float]:
    """Micro precision, recall and F1."""
    hits = len(found & gold)
    return {
        "precision": hits / max(len(found), 1),
        "recall": hits / max(len(gold), 1),
        "f1": 2 * hits / max(len(found) + len(gold), 1),
    }


def lines(parts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Scores in words; ``relations`` of found entities beside ``relations, gold entities``, and the difference."""
    told = {
        name: f"F1 {100 * one['f1']:.2f} (precision {100 * one['precision']:.2f}, recall {100 * one['recall']:.2f})"
        for name, one in parts.items()
    }
    lost = 100 * (parts["relations, gold entities"]["f1"] - parts["relations"]["f1"])
    return told | {"lost by found entities": f"{lost:.2f} points of F1"}
