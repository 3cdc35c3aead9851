"""Texts in which two entities are marked, ``<e1>...</e1>`` and ``<e2>...</e2>``; imports no torch.

The head (or subject) of a relation is e1, its tail (or object) e2, whichever of them comes first. A type stands behind
a colon: ``<e1:PERSON>Ada</e1:PERSON>``, in the closing mark too or not.
"""

import re
from typing import NamedTuple

from transferlab.ground.errors import TransferlabError

MARK = re.compile(r"<(/?)(e[12])(?::([^<>]*))?>", re.IGNORECASE)
NAMES = ("e1", "e2")


class Span(NamedTuple):
    """An entity.

    Attributes:
        start: Its first character.
        end: Behind its last character.
        type: Such as ``PERSON``; empty where that is not known.
    """

    start: int
    end: int
    type: str = ""


class Marked(NamedTuple):
    """A text with two entities.

    Attributes:
        text: Without marks.
        head: The entity e1.
        tail: The entity e2.
    """

    text: str
    head: Span
    tail: Span


def parse(marked: str) -> Marked:
    """Takes the marks out of a text.

    Raises:
        TransferlabError: A mark is missing, comes twice or in another one, or an entity has no text; says which.
    """
    pieces: list[str] = []
    begun: dict[str, int] = {}
    found: dict[str, Span] = {}
    types: dict[str, str] = {}
    inside, length, last = "", 0, 0
    for mark in MARK.finditer(marked):
        piece = marked[last : mark.start()]
        pieces.append(piece)
        length, last = length + len(piece), mark.end()
        closing, name = bool(mark[1]), mark[2].lower()
        if reason := _misplaced(closing, name, inside, name in begun):
            raise TransferlabError(f"{reason}{_how(marked)}")
        if closing:
            found[name] = Span(begun[name], length, types[name])
            inside = ""
            continue
        begun[name], types[name], inside = length, (mark[3] or "").strip(), name
    if inside:
        raise TransferlabError(f"<{inside}> is not closed{_how(marked)}")
    for name in NAMES:
        if name not in found:
            raise TransferlabError(f"there is no <{name}>...</{name}>{_how(marked)}")
    text = "".join([*pieces, marked[last:]])
    for name in NAMES:
        if not text[found[name].start : found[name].end].strip():
            raise TransferlabError(f"<{name}> marks no text{_how(marked)}")
    return Marked(text, *(_trimmed(text, found[name]) for name in NAMES))


def _misplaced(closing: bool, name: str, inside: str, known: bool) -> str:
    if closing:
        return "" if inside == name else f"</{name}> closes what is not open"
    if inside:
        return f"<{name}> opens inside <{inside}>: the entities overlap"
    return f"<{name}> comes twice: an example has one pair of entities" if known else ""


def _how(marked: str) -> str:
    short = marked if len(marked) <= 60 else f"{marked[:57]}..."
    return f" in {short!r}. Mark both entities, as in 'The <e1>flu</e1> gave him a <e2>fever</e2>.'"


def _trimmed(text: str, span: Span) -> Span:
    inside = text[span.start : span.end]
    start = span.start + len(inside) - len(inside.lstrip())
    return Span(start, start + len(inside.strip()), span.type)


def write(text: str, head: Span, tail: Span) -> str:
    """Marks two entities of a text.

    Raises:
        TransferlabError: An entity is empty, outside of the text or over the other one, or marks stand in the text.
    """
    if mark := MARK.search(text):
        raise TransferlabError(f"the mark {mark[0]!r} stands in the text already; take it out, or leave the spans out")
    for name, span in (("head", head), ("tail", tail)):
        if not 0 <= span.start <= span.end <= len(text):
            raise TransferlabError(
                f"the {name} [{span.start}, {span.end}] is outside of a text of {len(text)} characters"
            )
        if not text[span.start : span.end].strip():
            raise TransferlabError(f"the {name} [{span.start}, {span.end}] holds no text")
        if "<" in span.type or ">" in span.type:
            raise TransferlabError(f"the type {span.type!r} of the {name} holds an angle bracket")
    first, second = sorted([(head, "e1"), (tail, "e2")], key=lambda pair: pair[0].start)
    if first[0].end > second[0].start:
        raise TransferlabError(
            f"the head [{head.start}, {head.end}] and the tail [{tail.start}, {tail.end}] overlap; a pair of entities "
            "that share text cannot be marked, so leave the example out"
        )
    parts, last = [], 0
    for span, name in (first, second):
        tag = f"{name}:{span.type}" if span.type else name
        parts += [text[last : span.start], f"<{tag}>", text[span.start : span.end], f"</{name}>"]
        last = span.end
    return "".join([*parts, text[last:]])


def plain(marked: str) -> str:
    """A text without its marks, whether they fit or not."""
    return MARK.sub("", marked)
