"""Words as a tokenizer sees them: whether each begins with its mark, and how many it cannot read."""

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.marked import plain
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.spec import Source

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

PROBES = (("the", "cat"), ("one", "two"), ("on", "it"))
"""Pairs of words that are tokenised as running text and one by one."""
LOOKED_AT = 1000
"""Rows of a split that are looked at for words that cannot be read."""
LEAST = 0.1
"""Percentage of words from which it is told."""
MOST = 1 / 3
"""Share of words that may be one and the same unknown piece, unless `data.max_unknown` says otherwise."""


def word_prefix(tokenizer: "PreTrainedTokenizerFast") -> str:
    """What must stand before each word of a split sentence so that it reads as in running text: nothing, or a blank.

    Byte-level tokenizers tell the beginning of a word by the blank before it. Only some classes obey
    ``add_prefix_space``, so it is looked at what the tokenizer does.

    Raises:
        TransferlabError: Words read otherwise than in running text with a blank as well as without.
    """
    for prefix in ("", " "):
        if all(_reads_as_in_text(tokenizer, *probe, prefix) for probe in PROBES):
            return prefix
    raise TransferlabError(
        f"encoder.name: the tokenizer of {tokenizer.name_or_path} reads single words otherwise than words in running "
        "text, so tagging with it would not work; take another encoder."
    )


def _reads_as_in_text(tokenizer: "PreTrainedTokenizerFast", first: str, second: str, prefix: str) -> bool:
    text: list[int] = tokenizer(f"{first} {second}", add_special_tokens=False)["input_ids"]
    split = tokenizer([prefix + first, prefix + second], is_split_into_words=True, add_special_tokens=False)
    pieces = [piece for piece, word in zip(split["input_ids"], split.word_ids(), strict=True) if word == 1]
    return text[-len(pieces) :] == pieces


def measure(rows: Table, source: Source, tokenizer: "PreTrainedTokenizerFast", prefix: str) -> dict[str, int]:
    """Counts words that an encoder cannot read, in up to `LOOKED_AT` rows spread over a split.

    Returns:
        ``words``; of these ``unknown``, which are nothing but the unknown piece; ``silent``, without any piece;
        ``shared``, with the very pieces of another word that differs in more than case and accents.
    """
    numbers = np.unique(np.linspace(0, len(rows) - 1, min(LOOKED_AT, len(rows))).astype(int))
    columns = [rows[name] for name in source.text]
    return count([cells[number] for cells in columns for number in numbers], source, tokenizer, prefix)


def count(
    cells: list[Any], source: Source, tokenizer: "PreTrainedTokenizerFast", prefix: str | None = None
) -> dict[str, int]:
    """The same of texts, for tagging of lists of words; `prefix` None: what `word_prefix` says."""
    if prefix is None:
        prefix = word_prefix(tokenizer) if source.worded else ""
    if source.kind == "relation":
        cells = [plain(cell) for cell in cells]
    # a tokenizer reads no empty list, and of chats nothing is left to count
    found = () if not cells else _tagged(cells, tokenizer, prefix) if source.worded else _running(cells, tokenizer)
    counts = dict.fromkeys(("words", "unknown", "silent", "shared"), 0)
    alike: dict[tuple[int, ...], Counter[str]] = defaultdict(Counter)
    for word, pieces in found:
        counts["words"] += 1
        if not pieces:
            counts["silent"] += 1
        elif set(pieces) == {tokenizer.unk_token_id}:
            counts["unknown"] += 1
        else:
            alike[pieces][_folded(word)] += 1
    counts["shared"] = sum(sum(words.values()) for words in alike.values() if len(words) > 1)
    return counts


Pieces = Iterator[tuple[str, tuple[int, ...]]]


def _tagged(sentences: list[list[str]], tokenizer: "PreTrainedTokenizerFast", prefix: str) -> Pieces:
    split = [[prefix + word for word in sentence] for sentence in sentences]
    encoded = tokenizer(split, is_split_into_words=True, add_special_tokens=False, truncation=False, verbose=False)
    for number, sentence in enumerate(sentences):
        yield from _grouped(sentence, encoded["input_ids"][number], encoded.word_ids(number))


def _running(texts: list[str], tokenizer: "PreTrainedTokenizerFast") -> Pieces:
    encoded = tokenizer(texts, add_special_tokens=False, truncation=True, max_length=512)
    for number, text in enumerate(texts):
        one: Any = encoded[number]
        spans = [
            one.word_to_chars(word) for word in range(max((w for w in one.word_ids if w is not None), default=-1) + 1)
        ]
        yield from _grouped([text[slice(*span)] for span in spans if span], one.ids, one.word_ids)


def _grouped(words: list[str], ids: Iterable[int], places: Iterable[int | None]) -> Pieces:
    pieces: dict[int | None, list[int]] = defaultdict(list)
    for piece, place in zip(ids, places, strict=True):
        pieces[place].append(piece)
    for number, word in enumerate(words):
        yield word, tuple(pieces[number])


def _folded(word: str) -> str:
    decomposed = unicodedata.normalize("NFKD", word.strip()).casefold()
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def in_words(counts: dict[str, int]) -> str:
    """What an encoder cannot read, for people; empty where it reads all."""
    told = {"unknown": "read as one and the same [UNK]", "silent": "have no piece", "shared": "read like another word"}
    total = max(counts.get("words", 0), 1)
    shares = {text: 100 * counts.get(key, 0) / total for key, text in told.items()}
    parts = [f"{share:.1f} % {text}" for text, share in shares.items() if share >= LEAST]
    return f"of {total:,} words looked at {', '.join(parts)}" if parts else ""


def too_many(counts: dict[str, int], most: float | None) -> bool:
    """Whether more words are unknown than may be; `most` None: `MOST`."""
    return counts.get("unknown", 0) / max(counts.get("words", 0), 1) > (MOST if most is None else most)


def refuse_unread(counts: dict[str, int], most: float | None, encoder: str, origin: str) -> None:
    """Refuses rows that an encoder cannot read.

    Args:
        counts: What `measure` returned.
        most: Share of words that may be unknown; None: `MOST`.
        encoder: Its name.
        origin: Where the rows were read from.

    Raises:
        TransferlabError: More words than that are one and the same unknown piece.
    """
    if too_many(counts, most):
        share = counts["unknown"] / counts["words"]
        raise TransferlabError(
            f"{origin}: {100 * share:.0f} % of the words are one and the same unknown piece to {encoder}, whose "
            "vocabulary is not made for this language; take another encoder (encoder.name), or allow it with "
            "data.max_unknown."
        )
