"""Chunks of IOB tags, counted as the CoNLL-2003 evaluation (conlleval) counts them."""

from collections.abc import Sequence
from functools import lru_cache

from transferlab.ground.errors import TransferlabError

Span = tuple[str, int, int]
"""Entity type, first word, word after the last."""


@lru_cache(maxsize=4096)
def split_tag(tag: str) -> tuple[str, str]:
    """Splits ``B-PER`` into ``("B", "PER")``; ``O`` has the empty type.

    Args:
        tag: ``O``, ``B-X`` or ``I-X``; the type is what follows the first hyphen.

    Raises:
        TransferlabError: The tag belongs to another scheme.
    """
    prefix, _, kind = tag.partition("-")
    if prefix not in ("B", "I", "O") or (prefix == "O" and tag != "O"):
        raise TransferlabError(f"{tag!r} is no IOB tag: expected 'O', 'B-<type>' or 'I-<type>'")
    return prefix, kind


def spans(tags: Sequence[str]) -> set[Span]:
    """Returns the chunks of one sentence by the rules of conlleval.

    ``B-X`` always starts a chunk; ``I-X`` starts one after ``O`` or after another type and continues one otherwise. The
    same rules serve IOB1 and IOB2, and every sequence of tags has a reading, valid or not.

    Args:
        tags: The tags of a sentence, `[words]`.
    """
    found: set[Span] = set()
    start = -1
    last_prefix, last_kind = "O", ""
    for position, tag in enumerate([*tags, "O"]):
        prefix, kind = split_tag(tag)
        begins = prefix == "B" or (prefix == "I" and (last_prefix == "O" or kind != last_kind))
        if start >= 0 and (begins or prefix == "O"):
            found.add((last_kind, start, position))
            start = -1
        if begins:
            start = position
        last_prefix, last_kind = prefix, kind
    return found


def is_valid_transition(previous: str | None, tag: str, parted: bool = True) -> bool:
    """Tells whether strict IOB2 allows `tag` after `previous`: ``I-X`` follows ``B-X`` or ``I-X`` only.

    Args:
        previous: The tag before, None at the start of a sentence.
        tag: The tag in question.
        parted: Whether an entity may follow another one of its type at once; in IO it cannot be told from it.
    """
    prefix, kind = split_tag(tag)
    if prefix == "O" or (prefix == "B" and parted):
        return True
    last_prefix, last_kind = split_tag(previous or "O")
    same = last_prefix != "O" and last_kind == kind
    return same if prefix == "I" else not same
