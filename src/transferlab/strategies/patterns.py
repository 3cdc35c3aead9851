"""Patterns: a text as a sentence with a gap, the words that may fill it, and how both become tokens."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.windows import frame_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PLACE = re.compile(r"\{(\w*)\}")
MASK = "mask"
LEAST = 8
"""Tokens that a pattern leaves for texts at least."""

Part = str | tuple[int, ...]
"""``a``, ``b`` or ``mask``, or the token ids of what is written out."""


class Layout(NamedTuple):
    """Where the tokens of a pattern and of the texts stand.

    Attributes:
        parts: The pattern from left to right.
        texts: How many texts it takes, 1 or 2.
        before: Special tokens before a sequence.
        between: What the tokenizer puts between two texts.
        after: Special tokens behind a sequence.
        segments: Whether segment numbers tell two texts apart.
        mask: Id of the mask token.
        longest: Tokens of the longest sequence.
    """

    parts: tuple[Part, ...]
    texts: int
    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    segments: bool
    mask: int
    longest: int

    @property
    def fixed(self) -> int:
        """Tokens of the pattern itself, the mask among them."""
        return sum(1 if part == MASK else len(part) for part in self.parts if part not in ("a", "b"))

    @property
    def spare(self) -> int:
        """Tokens of text that a sequence has room for."""
        return self.longest - len(self.before) - len(self.after) - self.fixed

    def split(self, ids: list[int], types: list[int] | None) -> list[list[int]]:
        """The texts in a sequence as the tokenizer made it.

        Args:
            ids: Its tokens, special ones included.
            types: Their segment numbers, where there are any.
        """
        start, end = len(self.before), len(ids) - len(self.after)
        if self.texts == 1:
            return [ids[start:end]]
        if self.segments and types is not None:
            second = types.index(1)
            return [ids[start : second - len(self.between)], ids[second:end]]
        wide, sought = len(self.between), list(self.between)
        first = next((at for at in range(start, end - wide + 1) if ids[at : at + wide] == sought), end)
        return [ids[start:first], ids[first + wide : end]]

    def fill(self, texts: Sequence[Sequence[int]], room: int, word: Sequence[int] = ()) -> tuple[list[int], int]:
        """Puts texts into the pattern; where that is too long the texts are cut at their ends, the longer one first.

        Args:
            texts: Token ids of each text.
            room: Tokens that there is room for.
            word: What stands in the gap; the mask token where empty.

        Returns:
            Tokens without special ones around them, and the place of the gap.
        """
        kept = cut(texts, room - self.fixed + 1 - max(len(word), 1))
        ids: list[int] = []
        place = 0
        for part in self.parts:
            if part == MASK:
                place = len(ids)
                ids += word or [self.mask]
            elif isinstance(part, str):
                ids += kept["ab".index(part)]
            else:
                ids += part
        return ids, place

    def sequence(
        self, texts: Sequence[Sequence[int]], demonstrations: Sequence[Sequence[int]] = ()
    ) -> tuple[list[int], int]:
        """A whole input: the filled pattern, behind it demonstrations, each ended as a sequence is.

        Returns:
            Tokens, and the place of the mask.
        """
        behind = [token for one in demonstrations for token in (*one, *self.after)]
        room = self.longest - len(self.before) - len(self.after) - len(behind)
        ids, place = self.fill(texts, room)
        return [*self.before, *ids, *self.after, *behind], len(self.before) + place

    def demonstration(self, texts: Sequence[Sequence[int]], word: Sequence[int], classes: int) -> list[int]:
        """A filled pattern with its answer; all of a sequence and its text share the room evenly."""
        share = (self.longest - len(self.before) - len(self.after)) // (classes + 1) - len(self.after)
        return self.fill(texts, share, word)[0]

    def softened(self, first: int, more: int, whole: bool) -> tuple["Layout", list[int]]:
        """The same with new tokens in it, whose vectors are learned.

        Args:
            first: Id of the first new token.
            more: How many stand before everything else.
            whole: Whether the tokens that are written out become new ones too.

        Returns:
            The layout, and which token each new one starts as; -1 for those in front.
        """
        origins = [-1] * more
        parts: list[Part] = [tuple(range(first, first + more))] if more else []
        for part in self.parts:
            if whole and not isinstance(part, str):
                parts.append(tuple(range(first + len(origins), first + len(origins) + len(part))))
                origins += part
            else:
                parts.append(part)
        return self._replace(parts=tuple(parts)), origins


def cut(texts: Sequence[Sequence[int]], spare: int) -> list[Sequence[int]]:
    """Texts cut to a number of tokens together, the longer one of two first."""
    if len(texts) == 1:
        return [texts[0][: max(spare, 0)]]
    one, two = texts
    half = max(spare, 0) // 2
    first = min(len(one), max(spare - len(two), max(spare, 0) - half))
    return [one[:first], two[: max(spare - first, 0)]]


def layout_of(pattern: str, tokenizer: "PreTrainedTokenizerFast", longest: int) -> tuple[Layout, bool]:
    """Reads a pattern.

    Args:
        pattern: Such as ``{a} It was {mask}.``.
        tokenizer: The encoder's.
        longest: Tokens of the longest sequence that the encoder reads.

    Returns:
        The layout, and whether a blank stands before the gap.

    Raises:
        TransferlabError: A pattern without mask or text, unknown names, or no room for texts.
    """
    pieces = PLACE.split(pattern)
    names = ["a" if name == "text" else name for name in pieces[1::2]]
    texts = 2 if "b" in names else 1
    if sorted(names) != sorted([MASK, *"ab"[:texts]]):
        raise TransferlabError(
            f"model.pattern: {pattern!r} needs {{mask}} once and the text once, {{a}}, for pairs {{a}} and {{b}}; it "
            f"has {', '.join(f'{{{name}}}' for name in pieces[1::2]) or 'none of them'}."
        )
    if tokenizer.mask_token_id is None:
        raise TransferlabError("encoder.name: its tokenizer has no mask token, which a pattern needs.")
    parts: list[Part] = []
    for number, literal in enumerate(pieces[::2]):
        if ids := written_out(literal, tokenizer, first=number == 0):
            parts.append(tuple(ids))
        parts += names[number : number + 1]
    frame = frame_of(tokenizer)
    types = frame.types
    found = Layout(
        tuple(parts),
        texts,
        frame.before,
        frame.between,
        frame.after,
        types is not None and (types[1], types[3]) == (0, 1),
        int(tokenizer.mask_token_id),
        longest,
    )
    if found.spare < LEAST:
        raise TransferlabError(
            f"model.pattern: {found.fixed} tokens leave no room for texts in the {longest} that the encoder reads; "
            "write a shorter one."
        )
    return found, pieces[2 * names.index(MASK)][-1:].isspace()


def written_out(literal: str, tokenizer: "PreTrainedTokenizerFast", first: bool = False) -> list[int]:
    """Tokens of what a pattern writes out, as they are behind a text; before the mask no blank is left over."""
    literal = literal.rstrip()
    if not literal:
        return []
    if first:
        return list(tokenizer(literal, add_special_tokens=False)["input_ids"])
    # behind a letter, since some tokenizers begin every text with a blank
    found = tokenizer(f"a{literal}", add_special_tokens=False, return_offsets_mapping=True)
    tokens = zip(found["input_ids"], found["offset_mapping"], strict=True)
    return [number for number, (_, end) in tokens if end > 1]


def word_tokens(word: str, tokenizer: "PreTrainedTokenizerFast", blank: bool) -> list[int]:
    """Tokens of a word in the gap.

    Raises:
        TransferlabError: The tokenizer does not know it.
    """
    ids: list[int] = tokenizer(f" {word}" if blank else word, add_special_tokens=False)["input_ids"]
    if not ids or tokenizer.unk_token_id in ids:
        raise TransferlabError(
            f"model.words: the tokenizer of the encoder does not know {word!r}; choose another word."
        )
    return ids


def words_of(
    words: Mapping[str, Sequence[str]] | None, labels: Sequence[str], tokenizer: "PreTrainedTokenizerFast", blank: bool
) -> list[list[list[int]]]:
    """Tokens of the words of each label, in the order of the classes.

    Args:
        words: Label to words; None: each label is its own word.
        labels: Names of the classes.
        tokenizer: The encoder's.
        blank: Whether a blank stands before the gap.

    Raises:
        TransferlabError: Labels without words, words without a label, or two labels that no word tells apart.
    """
    words = {label: [label.replace("_", " ")] for label in labels} if words is None else words
    if set(words) != set(labels) or not all(words.values()):
        missing = [label for label in labels if not words.get(label)] or sorted(set(words) - set(labels))
        raise TransferlabError(f"model.words: name a word for each of {', '.join(labels)}; look at {missing[0]!r}.")
    found = [[word_tokens(word, tokenizer, blank) for word in words[label]] for label in labels]
    for number, one in enumerate(found):
        if (other := found.index(one)) < number:
            raise TransferlabError(f"model.words: {labels[other]} and {labels[number]} have the same words.")
    return found
