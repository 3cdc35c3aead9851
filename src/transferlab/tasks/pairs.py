"""Token ids of texts with two marked entities, cut around these; imports no torch."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.cuts import Cut, unread
from transferlab.tasks.marked import Span, parse

if TYPE_CHECKING:
    from tokenizers import Encoding

Markers = Literal["markers", "typed", "punctuation", "none"]
"""What stands around the entities: new tokens, new tokens of each type, ``@`` and ``#``, or nothing."""
Pooled = Literal["start", "span", "mean", "cls"]
"""What the head reads: the token before each entity, the mean of each, or the mean or first token of the text."""
PUNCTUATION = ("@", "#", "*", "^", "$", "%", "+", "=", "-", ";", ":", "!", "?")
"""The first two of these that an encoder knows stand around the head and around the tail."""
Encode = Callable[[list[str]], Sequence["Encoding"]]
"""Tokenises texts without special tokens, and cuts nothing."""
Ids = list[int]


class Form(NamedTuple):
    """How a text with two entities becomes tokens.

    Attributes:
        markers: What stands around the entities.
        pooled: What the head reads.
        new: Name of each new token, see `new_tokens`, to its id.
        before: Special tokens before a text.
        after: Special tokens behind it.
        max_length: Tokens of a sequence, special ones included.
        signs: Tokens of the punctuation around the head and around the tail.
    """

    markers: Markers
    pooled: Pooled
    new: dict[str, int]
    before: tuple[int, ...]
    after: tuple[int, ...]
    max_length: int
    signs: tuple[tuple[int, ...], ...] = ()

    @property
    def room(self) -> int:
        """Tokens for the text."""
        return self.max_length - len(self.before) - len(self.after)


def form_of(content: Mapping[str, Any]) -> Form:
    """A form that was kept as JSON."""
    fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return Form(**fields)


def new_tokens(markers: Markers, types: Sequence[str] = ()) -> tuple[str, ...]:
    """Names of the tokens that no vocabulary has; those without a type serve for types that training never saw."""
    if markers not in ("markers", "typed"):
        return ()
    names = ["", *(f":{name}" for name in types)] if markers == "typed" else [""]
    return tuple(f"[{close}{entity}{name}]" for name in names for entity in ("E1", "E2") for close in ("", "/"))


def ranges_read(pooled: Pooled) -> int:
    """How many ranges of tokens the head reads the means of."""
    return 2 if pooled in ("start", "span") else 1


class Piece(NamedTuple):
    """A part of a text.

    Attributes:
        text: Its characters.
        ids: Its tokens.
        offsets: Where each token begins and ends in it.
    """

    text: str
    ids: Ids
    offsets: list[tuple[int, int]]


class Sequenced(NamedTuple):
    """A text as tokens.

    Attributes:
        ids: Special ones included; empty where both entities do not fit.
        ranges: First token and the one behind the last of each range that the head reads, flat.
        cut: What of the text is not read.
    """

    ids: Ids
    ranges: list[int]
    cut: Cut


def encode_pairs(texts: Sequence[str], encode: Encode, form: Form) -> dict[str, list[Any]]:
    """Tokenises texts with two marked entities.

    A text is split at the borders of its entities, so that no token reaches over one. What is longer than the model
    reads is cut evenly on both sides of the entities; where these are too far apart, between them, next to neither.

    Args:
        texts: As `transferlab.tasks.marked` marks them.
        encode: The tokenizer.
        form: How.

    Returns:
        ``ids``, ``ranges`` and ``cut`` of each, as in `Sequenced`.

    Raises:
        TransferlabError: A text without two entities, or an entity without a token; names its number.
    """
    marked = [parse(text) for text in texts]
    pieces = [_split(one.text, one.head, one.tail) for one in marked]
    encoded = iter(encode([piece for row in pieces for piece in row]))
    found = []
    for number, (one, row) in enumerate(zip(marked, pieces, strict=True)):
        parts = [Piece(text, list(code.ids), list(code.offsets)) for text, code in zip(row, encoded, strict=False)]
        if not parts[1].ids or not parts[3].ids:
            raise TransferlabError(f"example {number}: an entity has no token to this encoder: {texts[number][:60]!r}")
        turned = one.tail.start < one.head.start
        around = [_around(entity, span.type, form) for entity, span in enumerate((one.head, one.tail))]
        found.append(_assembled(parts, around, turned, form))
    return {
        "ids": [one.ids for one in found],
        "ranges": [one.ranges for one in found],
        "cut": [one.cut for one in found],
    }


def refuse_unfit(ids: Sequence[Ids], max_length: int) -> None:
    """Refuses texts whose entities do not fit.

    Raises:
        TransferlabError: Names the number of the first one.
    """
    unfit = next((number for number, one in enumerate(ids) if not one), None)
    if unfit is not None:
        raise TransferlabError(
            f"example {unfit}: the two entities alone have more tokens than the {max_length} of the run."
        )


def _split(text: str, head: Span, tail: Span) -> list[str]:
    """Five parts, entities second and fourth; a blank goes to the part behind it, where byte-level tokens have it."""
    first, second = sorted((head, tail))
    borders = [0, first.start, first.end, second.start, second.end, len(text)]
    for at in range(1, 5):
        inside = text[borders[at - 1] : borders[at]]
        borders[at] -= len(inside) - len(inside.rstrip())
    return [text[start:end] for start, end in pairwise(borders)]


def _around(entity: int, kind: str, form: Form) -> tuple[Ids, Ids]:
    """What stands before and behind an entity."""
    if form.markers == "punctuation":
        return list(form.signs[entity]), list(form.signs[entity])
    if form.markers == "none":
        return [], []
    names = [f"[{close}E{entity + 1}:{kind}]" for close in ("", "/")]
    if form.markers == "markers" or names[0] not in form.new:
        names = [f"[{close}E{entity + 1}]" for close in ("", "/")]
    return [form.new[names[0]]], [form.new[names[1]]]


def _assembled(parts: list[Piece], around: list[tuple[Ids, Ids]], turned: bool, form: Form) -> Sequenced:
    order = (1, 0) if turned else (0, 1)
    blocks = [[*around[order[0]][0], *parts[1].ids, *around[order[0]][1]]]
    blocks += [[*around[order[1]][0], *parts[3].ids, *around[order[1]][1]]]
    spare = form.room - sum(map(len, blocks))
    if spare < 0:
        return Sequenced([], [0] * 2 * ranges_read(form.pooled), [0, 0])
    left, (begin, end), right = _kept([len(parts[at].ids) for at in (0, 2, 4)], spare)
    before, between, behind = parts[0], parts[2], parts[4]
    start = len(before.ids) - left
    middle = [*between.ids[:begin], *between.ids[len(between.ids) - end :]] if end else between.ids[:begin]
    body = [*before.ids[start:], *blocks[0], *middle, *blocks[1], *behind.ids[:right]]
    cuts = [_cut(before, 0, start), _cut(between, begin, len(between.ids) - end), _cut(behind, right, None)]
    first = len(form.before) + left
    places = [first, first + len(blocks[0]) + len(middle)]
    spans = []
    for at, block in zip(order, zip(places, (parts[1], parts[3]), strict=True), strict=True):
        place, entity = block
        opening = len(around[at][0])
        inside = place + opening
        spans.append((at, [place, place + 1] if form.pooled == "start" else [inside, inside + len(entity.ids)]))
    ids = [*form.before, *body, *form.after]
    ranges = [bound for _, span in sorted(spans) for bound in span]
    ranges = {"mean": [0, len(ids)], "cls": [0, 1]}.get(form.pooled, ranges)
    return Sequenced(ids, ranges, [max(cut[0] for cut in cuts), sum(cut[1] for cut in cuts)])


def _kept(lengths: list[int], spare: int) -> tuple[int, tuple[int, int], int]:
    """How many tokens stay at the end of what is before, at both ends of what is between, and at the start behind."""
    before, between, behind = lengths
    if between > spare:
        return 0, (spare - spare // 2, spare // 2), 0
    spare -= between
    right = min(behind, max(spare // 2, spare - before))
    return min(before, spare - right), (between, 0), right


def _cut(piece: Piece, start: int, end: int | None) -> Cut:
    """What of a part is not read, from one token to another."""
    end = len(piece.ids) if end is None else end
    if start >= end:
        return [0, 0]
    begun = piece.offsets[start - 1][1] if start else 0
    return unread(piece.text, begun, piece.offsets[end][0] if end < len(piece.ids) else len(piece.text))
