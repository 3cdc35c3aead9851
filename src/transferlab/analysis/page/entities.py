"""What goes wrong with entities."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from transferlab.analysis.page.lengths import Share, wilson
from transferlab.tasks.iob import Span, spans

KINDS = ("correct", "boundary", "type", "boundary and type", "missed", "spurious")


class Errors(NamedTuple):
    """Counts of each kind, and recall of entities that training had and had not."""

    counts: dict[str, int]
    seen: Share | None
    unseen: Share | None


def classify(gold: Iterable[Span], found: Iterable[Span]) -> Counter[str]:
    """Counts what became of the entities of one sentence; each gold and each predicted one is counted once.

    ``correct``: same words, same type. ``type``: same words, another type. ``boundary``: words overlap, same type;
    ``boundary and type``: they overlap only. Pairs are made in that order, each entity in one pair at most, from left
    to right. What is left of the gold ones is ``missed``, of the predicted ones ``spurious``.
    """
    rest, guesses = sorted(gold, key=lambda s: s[1:]), sorted(found, key=lambda s: s[1:])
    counts: Counter[str] = Counter()
    for kind in ("correct", "type", "boundary", "boundary and type"):
        for span in list(rest):
            match = next((guess for guess in guesses if _relation(span, guess) == kind), None)
            if match:
                counts[kind] += 1
                rest.remove(span)
                guesses.remove(match)
    counts["missed"] += len(rest)
    counts["spurious"] += len(guesses)
    return counts


def _relation(gold: Span, guess: Span) -> str:
    same_type, same_words = gold[0] == guess[0], gold[1:] == guess[1:]
    if same_words:
        return "correct" if same_type else "type"
    if gold[1] < guess[2] and guess[1] < gold[2]:
        return "boundary" if same_type else "boundary and type"
    return "none"


def errors(lines: Sequence[dict[str, object]]) -> Errors:
    """Counts over all sentences of a test; recall by ``seen`` where the records have it."""
    counts: Counter[str] = Counter()
    hits = {True: [0, 0], False: [0, 0]}
    marked = False
    for line in lines:
        gold, found = spans(_strings(line["label"])), spans(_strings(line["prediction"]))
        counts += classify(gold, found)
        flags = line.get("seen")
        if isinstance(flags, list):
            marked = True
            for span, flag in zip(sorted(gold, key=lambda s: s[1]), flags, strict=False):
                hits[bool(flag)][0] += span in found
                hits[bool(flag)][1] += 1
    whole = {kind: counts[kind] for kind in KINDS}
    if not marked:
        return Errors(whole, None, None)
    return Errors(whole, wilson(*hits[True]), wilson(*hits[False]))


def _strings(tags: object) -> list[str]:
    return [str(tag) for tag in tags] if isinstance(tags, list) else []
