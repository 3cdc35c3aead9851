"""What truncation cuts off: texts or sentences, words, entities."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlab.ground.words import is_unspaced, parted
from transferlab.tasks.schemes import IOB2
from transferlab.tasks.spec import Source

if TYPE_CHECKING:
    from tokenizers import Encoding

    from transferlab.tasks.encoded import Ragged
    from transferlab.tasks.labels import Labels
    from transferlab.tasks.reading.place import Rows

Cut = list[int]
"""Whether something of an example is cut off (1 or 0), and how many of its words are not read at all."""
Array = np.ndarray[Any, Any]
NOTHING: Cut = [0, 0]


def unread(text: str, start: int, end: int) -> Cut:
    """What stands between two places of a text; a word that is read in part counts as read.

    Args:
        text: The text.
        start: Behind the last character that is read, or 0.
        end: The next character that is read, or the length of the text.
    """
    part = text[start:end]
    words = len(parted(part))
    if not words:
        return NOTHING
    words -= start > 0 and _within_word(text[start - 1], part[0])
    words -= end < len(text) and _within_word(part[-1], text[end])
    return [1, max(words, 0)]


def _within_word(one: str, other: str) -> bool:
    return not any(letter.isspace() or is_unspaced(letter) for letter in (one, other))


def of_texts(columns: Sequence[Sequence[str]], encodings: Sequence["Encoding"], max_length: int) -> list[Cut]:
    """What is cut off the ends of texts or pairs.

    Args:
        columns: One column of texts, or two; whole ones, whatever of them was tokenised.
        encodings: Their beginnings as tokens.
        max_length: Tokens that a sequence may have.
    """
    return [
        _of_text(texts, encoding) if len(encoding) >= max_length else NOTHING
        for texts, encoding in zip(zip(*columns, strict=True), encodings, strict=True)
    ]


def _of_text(texts: tuple[str, ...], encoding: "Encoding") -> Cut:
    ends = [0] * len(texts)
    for sequence, (_, end) in zip(encoding.sequence_ids, encoding.offsets, strict=True):
        if sequence is not None:
            ends[sequence] = max(ends[sequence], end)
    cuts = [unread(text, end, len(text)) for text, end in zip(texts, ends, strict=True)]
    return [max(cut[0] for cut in cuts), sum(cut[1] for cut in cuts)]


def of_parts(texts: Sequence[str], encodings: Sequence["Encoding"], head: int, tail: int) -> list[Cut]:
    """What is cut out of texts of which a beginning and an end are kept.

    Args:
        texts: The texts.
        encodings: Their tokens, without special ones.
        head: Tokens kept from the beginning of each text.
        tail: Tokens kept from its end.
    """
    cuts = []
    for text, encoding in zip(texts, encodings, strict=True):
        offsets = encoding.offsets if head + tail < len(encoding) else []
        if not offsets:
            cuts.append(NOTHING)
            continue
        start = offsets[head - 1][1] if head else 0
        cuts.append(unread(text, start, offsets[len(offsets) - tail][0] if tail else len(text)))
    return cuts


def of_sentence(positions: Sequence[int], tokens: int, max_length: int) -> Cut:
    """What is cut off the end of a sentence of words.

    Args:
        positions: Where the first token of each word stands, below 0 where there is none.
        tokens: Tokens of the sentence, special ones included.
        max_length: Tokens that a sequence may have.
    """
    if tokens < max_length:
        return NOTHING
    read = max((number + 1 for number, position in enumerate(positions) if position >= 0), default=0)
    return [int(read < len(positions)), len(positions) - read]


def of_split(
    cut: "Ragged | None", rows: "Rows", source: Source, labels: "Labels | None", numbers: Array | None
) -> dict[str, int]:
    """What of a split is cut off.

    Args:
        cut: A `Cut` for each example; None for windows, which cut nothing.
        rows: The examples.
        source: Names their columns.
        labels: The labels of the task; None for a split without.
        numbers: Class numbers of all words of a tagged split, flat.

    Returns:
        ``examples`` and ``words`` that are cut, ``of_examples`` and ``of_words``, how many there are; of tagged splits
        where anything is cut also ``entities`` of which a word is cut off, so that they cannot be found, and
        ``of_entities``.
    """
    tagging = source.worded
    columns = [rows.rows[name][:] for name in source.text]
    words = [sum(len(cell if tagging else parted(cell)) for cell in cells) for cells in zip(*columns, strict=True)]
    cuts = np.zeros((len(words), 2), dtype=int) if cut is None else cut.values.reshape(-1, 2)
    examples, unread = cuts.sum(0).tolist()
    found = {"examples": examples, "of_examples": len(words), "words": unread, "of_words": sum(words)}
    scheme = (labels.scheme if labels else None) or IOB2
    if labels is None or numbers is None or not (tagging and examples) or scheme.name == "tags":
        return found
    lost = total = 0
    intents = int(source.kind == "slots")
    tags = np.split(numbers, np.cumsum(np.array(words) + intents)[:-1])
    for sentence, length, (_, missing) in zip(tags, words, cuts.tolist(), strict=True):
        entities = scheme.entities([labels.names[tag] for tag in sentence[intents:]])
        total += len(entities)
        lost += sum(end > length - missing for _, _, end in entities)
    return found | {"entities": lost, "of_entities": total}


def in_words(splits: Mapping[str, Mapping[str, int]], tagging: bool) -> str:
    """What is cut off, split by split, for people; empty where that is not known.

    Args:
        splits: What `of_split` returned, by split.
        tagging: Whether examples are sentences.
    """
    known = {name: found for name, found in splits.items() if found}
    told = []
    for name, found in known.items():
        if found["examples"]:
            parts = (("sentences" if tagging else "texts", "examples"), ("words", "words"), ("entities", "entities"))
            shares = [
                f"{found[key]:,} of {found[f'of_{key}']:,} {what} ({100 * found[key] / found[f'of_{key}']:.1f} %)"
                for what, key in parts
                if found.get(f"of_{key}")
            ]
            told.append(f"{name}: {', '.join(shares)}")
    return "; ".join(told) if told else "nothing" if known else ""
