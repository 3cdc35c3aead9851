"""What goes wrong with entities."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from transferlab.analysis.page.lengths import Share, wilson
from transferlab.tasks.iob import Span, spans
from transferlab.tasks.schemes import IOB2, Scheme

KINDS = ("correct", "boundary", "type", "boundary and type", "split", "merged", "missed", "spurious")
"""What may become of a gold entity; the last one is of predicted entities."""


class Errors(NamedTuple):
    """Counts of each kind, and recall of entities that training had and had not."""

    counts: dict[str, int]
    seen: Share | None
    unseen: Share | None


def classify(gold: Iterable[Span], found: Iterable[Span]) -> Counter[str]:
    """Counts what became of the entities of one sentence.

    Each gold entity is counted once, by the predicted entities that share a word with it:

    * none: ``missed``
    * several: ``split``
    * one, which shares words with further gold entities: ``merged``
    * one, the same words: ``correct``, or ``type`` where it has another type
    * one, other words: ``boundary`` with the same type, else ``boundary and type``

    A predicted entity that shares no word with a gold one is ``spurious``.

    Args:
        gold: The entities of the sentence; no two share a word.
        found: The predicted ones; no two share a word.
    """
    gold, found = list(gold), list(found)
    counts = Counter(_became(span, gold, found) for span in gold)
    counts["spurious"] = sum(not any(_overlap(guess, span) for span in gold) for guess in found)
    return counts


def _became(span: Span, gold: Sequence[Span], found: Sequence[Span]) -> str:
    touching = [guess for guess in found if _overlap(span, guess)]
    if len(touching) != 1:
        return "split" if touching else "missed"
    guess = touching[0]
    same_type = span[0] == guess[0]
    if span[1:] == guess[1:]:
        return "correct" if same_type else "type"
    if sum(_overlap(guess, other) for other in gold) > 1:
        return "merged"
    return "boundary" if same_type else "boundary and type"


def _overlap(one: Span, other: Span) -> bool:
    return one[1] < other[2] and other[1] < one[2]


def errors(lines: Sequence[dict[str, object]], scheme: Scheme = IOB2) -> Errors:
    """Counts over all sentences of a test; recall by ``seen`` where the records have it.

    Args:
        lines: Records of a test, with gold tags.
        scheme: How their tags are written.
    """
    counts: Counter[str] = Counter()
    hits = {True: [0, 0], False: [0, 0]}
    marked = False
    for line in lines:
        gold, found = (spans(scheme.read(_strings(line[key]))) for key in ("label", "prediction"))
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
