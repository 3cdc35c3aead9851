"""From rows to token ids."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import told
from transferlab.tasks import cuts, questions, texts
from transferlab.tasks.capitals import token_types
from transferlab.tasks.checks import check_text, check_word_counts
from transferlab.tasks.encoded import EncodedSplit, Ragged, stacked
from transferlab.tasks.generation import Generation
from transferlab.tasks.labels import Labels, encode_labels
from transferlab.tasks.pairs import PUNCTUATION, Form, encode_pairs, refuse_unfit
from transferlab.tasks.parts import HEAD_OF_HEAD_TAIL, split_body, word_positions
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.settings import Settings
from transferlab.tasks.sources import version
from transferlab.tasks.spec import Source
from transferlab.tasks.starts import encode_starts
from transferlab.tasks.windows import Layout
from transferlab.tasks.words import measure, word_prefix

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Columns = dict[str, list[Any]]
PART = 1000
"""Rows that are tokenised at a time."""


def encode_split(
    rows: Rows,
    source: Source,
    labels: Labels | None,
    tokenizer: "PreTrainedTokenizerFast",
    settings: Settings,
) -> EncodedSplit:
    """Tokenises a split.

    Args:
        rows: Its rows.
        source: Which columns are read.
        labels: The labels of the task; None for a split without.
        tokenizer: The encoder's.
        settings: How texts become tokens.

    Raises:
        TransferlabError: A row whose text is not text, an unknown label, or a truncation that a task cannot have.
    """
    if source.kind == "text":
        return _encode_written(rows, source, labels is not None, tokenizer, settings)
    check_text(rows, source)
    if source.kind == "qa":
        return _encode_questions(rows, source, labels is not None, tokenizer, settings)
    if labels is not None and source.worded:
        check_word_counts(rows, source)
    # before the texts, since tokenising takes longest
    numbers = None if labels is None else encode_labels(rows, source, labels)
    ragged = _tokenised(rows, source, tokenizer, settings)
    words = measure(rows.rows, source, tokenizer, word_prefix(tokenizer) if source.worded else "")
    cut = cuts.of_split(ragged.get("cut"), rows, source, labels, numbers)
    return EncodedSplit(
        ids=ragged["ids"],
        types=ragged.get("types"),
        labels=Ragged(numbers, ragged["words"].offsets) if numbers is not None and "words" in ragged else numbers,
        words=ragged.get("words"),
        windows=ragged.get("windows"),
        pad_id=int(tokenizer.pad_token_id or 0),
        names=labels.names if labels else (),
        weighted=settings.even,
        ranges=ragged.get("ranges"),
        **_known(rows, source, tokenizer, settings, words, cut=cut),
    )


def _tokenised(
    rows: Rows, source: Source, tokenizer: "PreTrainedTokenizerFast", settings: Settings
) -> dict[str, Ragged]:
    """What the tokenizer makes of each row, by name."""
    work = told(_encoder_of(source, tokenizer, settings), "tokenising", len(rows.rows))
    parts: dict[str, list[Ragged]] = {}
    for columns in rows.rows.select_columns(list(source.text)).iter(PART):
        for name, cells in work(columns).items():
            parts.setdefault(name, []).append(Ragged.of(cells))
    found = {name: stacked(each) for name, each in parts.items()}
    # marked entities that do not fit into a sequence have none
    if "ranges" in found and (unfit := np.flatnonzero(found["ids"].lengths == 0)).size:
        raise TransferlabError(
            f"{rows.place(int(unfit[0]))}: the two entities alone have more tokens than data.max_length "
            f"({settings.max_length}); raise it, or leave the example out."
        )
    return found


def _known(
    rows: Rows,
    source: Source,
    tokenizer: "PreTrainedTokenizerFast",
    settings: Settings,
    words: Mapping[str, Any],
    **facts: Any,
) -> dict[str, Any]:
    """What a tokenised split says of the rows that it was made of."""
    content, said = version(rows.rows, source), {"words": words, "form": rows.form, "notes": list(rows.notes), **facts}
    name = fingerprint(content, source, tokenizer, settings)
    return {"fingerprint": name, "origin": rows.origin, "version": content, "facts": said}


def _encode_questions(
    rows: Rows, source: Source, labelled: bool, tokenizer: "PreTrainedTokenizerFast", settings: Settings
) -> EncodedSplit:
    """A split of questions, with their answers where they have any."""
    # columns, not lists: they are read where they lie
    asked, context = (rows.rows[name] for name in source.text)
    encoded = questions.encode(
        questions.Asked(asked, context, rows.rows[source.label] if labelled else None),
        questions.reader_of(tokenizer),
        Layout(settings.max_length, settings.stride),
        settings.negative_windows,
        None,
        rows.place,
        lambda function: told(function, "tokenising", len(rows.rows)),
    )
    words = measure(rows.rows, source, tokenizer, "")
    return replace(encoded, **_known(rows, source, tokenizer, settings, words, **encoded.facts))


def text_form(source: Source, tokenizer: "PreTrainedTokenizerFast", settings: Settings) -> texts.Form:
    """How inputs and targets become tokens."""
    generation = settings.generation or Generation()
    return texts.Form(tokenizer, source.text, settings.causal, settings.max_length, settings.truncation, generation)


def _encode_written(
    rows: Rows, source: Source, labelled: bool, tokenizer: "PreTrainedTokenizerFast", settings: Settings
) -> EncodedSplit:
    """A split of inputs, with their targets where they have any."""
    columns = {name: rows.rows[name][:] for name in source.text}
    encoded = texts.encode(
        columns,
        texts.references_of(rows.rows[source.label][:]) if labelled else None,
        text_form(source, tokenizer, settings),
        lambda function: told(function, "tokenising", len(rows.rows)),
    )
    if labelled:
        texts.refuse_emptied(encoded.facts["texts"], rows.origin)
    plain = all(isinstance(cell, str) for cells in columns.values() for cell in cells[:1])
    words = measure(rows.rows, source, tokenizer, "") if plain else {}
    return replace(encoded, **_known(rows, source, tokenizer, settings, words, **encoded.facts))


def encode_texts(
    columns: Columns,
    source: Source,
    tokenizer: "PreTrainedTokenizerFast",
    settings: Settings,
    most: int | None = None,
) -> EncodedSplit:
    """Tokenises a few rows without labels, in memory.

    Args:
        columns: The text columns: texts, for tagging lists of words.
        source: Which columns are read.
        tokenizer: The encoder's.
        settings: How texts become tokens.
        most: For questions, windows of a row, at most; see `transferlab.tasks.questions.encode`.

    Raises:
        TransferlabError: A truncation that a task cannot have.
    """
    if source.kind == "text":
        return texts.encode(columns, None, text_form(source, tokenizer, settings))
    if source.kind == "qa":
        layout = Layout(settings.max_length, settings.stride)
        asked = questions.Asked(*(columns[name] for name in source.text))
        return questions.encode(asked, questions.reader_of(tokenizer), layout, most=most)
    lists = _encoder_of(source, tokenizer, settings)(columns)
    if "ranges" in lists:
        refuse_unfit(lists["ids"], settings.max_length)
    ragged = {name: Ragged.of(rows) for name, rows in lists.items()}
    return EncodedSplit(
        ids=ragged["ids"],
        types=ragged.get("types"),
        labels=None,
        words=ragged.get("words"),
        windows=ragged.get("windows"),
        pad_id=int(tokenizer.pad_token_id or 0),
        fingerprint="",
        weighted=settings.even,
        ranges=ragged.get("ranges"),
    )


def fingerprint(content: str, source: Source, tokenizer: "PreTrainedTokenizerFast", settings: Settings) -> str:
    """Names a tokenised split by all that decides it: rows, tokenizer, columns, settings, and this code's version."""
    blank = ["blank"] if source.worded and word_prefix(tokenizer) else []
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    parts = [content, backend.to_str(), source.kind, source.text, settings.key, "v2", *blank]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _encoder_of(
    source: Source, tokenizer: "PreTrainedTokenizerFast", settings: Settings
) -> Callable[[Columns], Columns]:
    special = tokenizer.num_special_tokens_to_add(pair=len(source.text) > 1 and not settings.apart)
    if settings.max_length <= special:
        raise TransferlabError(
            f"data.max_length: {settings.max_length} leaves no room for text beside {special} special tokens."
        )
    if source.worded:
        if settings.truncation != "head":
            raise TransferlabError(f"data.truncation: {settings.truncation!r} is not for {source.kind}; use head.")
        prefix = word_prefix(tokenizer)
        intents = source.kind == "slots"
        return lambda columns: _encode_words(columns[source.text[0]], tokenizer, settings, prefix, intents)
    if source.kind == "relation":
        if settings.truncation != "head":
            raise TransferlabError(
                f"data.truncation: {settings.truncation!r} is not for relations, whose texts are cut around the two "
                "entities; use head."
            )
        form = pair_form(tokenizer, settings)
        return lambda columns: encode_pairs(columns[source.text[0]], lambda texts: _whole(texts, tokenizer), form)
    if settings.apart and settings.truncation == "head":
        return lambda columns: _encode_apart([columns[name] for name in source.text], tokenizer, settings)
    if settings.truncation == "head":
        return lambda columns: _encode_head([columns[name] for name in source.text], tokenizer, settings)
    if len(source.text) > 1:
        raise TransferlabError(
            f"data.truncation: {settings.truncation!r} needs a single text, this task has {len(source.text)}; use head."
        )
    return lambda columns: _encode_parts(columns[source.text[0]], tokenizer, settings)


def pair_form(tokenizer: "PreTrainedTokenizerFast", settings: Settings) -> Form:
    """How a text with two entities becomes tokens; new tokens have the numbers behind the vocabulary.

    Raises:
        TransferlabError: The tokenizer knows too few signs to mark the entities by.
    """
    before, after = special_affixes(tokenizer)
    new = {name: len(tokenizer) + number for number, name in enumerate(settings.new_tokens)}
    markers, pooled = settings.markers or "punctuation", settings.pooled or "start"
    # with the blank that byte-level tokens have before them
    known = [ids for sign in PUNCTUATION if tokenizer.unk_token_id not in (ids := _bare(f" {sign}", tokenizer))]
    if markers == "punctuation" and len(known) < 2:
        raise TransferlabError(
            f"data.markers: the tokenizer of {tokenizer.name_or_path} knows no two of {' '.join(PUNCTUATION)}; use "
            "markers."
        )
    signs = tuple(map(tuple, known[:2]))
    return Form(markers, pooled, new, tuple(before), tuple(after), settings.max_length, signs)


def _bare(text: str, tokenizer: "PreTrainedTokenizerFast") -> list[int]:
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return ids


def _whole(texts: list[str], tokenizer: "PreTrainedTokenizerFast") -> Any:
    return tokenizer(texts, add_special_tokens=False, truncation=False, padding=False, verbose=False).encodings


def _encode_head(texts: list[list[str]], tokenizer: "PreTrainedTokenizerFast", settings: Settings) -> Columns:
    if len(texts) == 1:
        ids, places = encode_starts(texts[0], tokenizer, settings.max_length)
        return {"ids": ids, "cut": cuts.of_texts(texts, places, settings.max_length)}
    encoded = tokenizer(*texts, truncation=True, max_length=settings.max_length, padding=False)
    columns = {"ids": encoded["input_ids"], "cut": cuts.of_texts(texts, encoded.encodings, settings.max_length)}
    if "token_type_ids" in encoded:
        columns["types"] = encoded["token_type_ids"]
    return columns


def _encode_apart(texts: list[list[str]], tokenizer: "PreTrainedTokenizerFast", settings: Settings) -> Columns:
    """Each text as a sequence of its own; those of an example one after the other, as windows lie."""
    ids, lost = [], []
    for column in texts:
        sequences, places = encode_starts(column, tokenizer, settings.max_length)
        ids.append(sequences)
        lost.append(cuts.of_texts([column], places, settings.max_length))
    rows = list(zip(*ids, strict=True))
    return {
        "ids": [[token for sequence in row for token in sequence] for row in rows],
        "windows": [[len(sequence) for sequence in row] for row in rows],
        "cut": [[max(cut[0] for cut in row), sum(cut[1] for cut in row)] for row in zip(*lost, strict=True)],
    }


def _encode_parts(texts: list[str], tokenizer: "PreTrainedTokenizerFast", settings: Settings) -> Columns:
    prefix, suffix = special_affixes(tokenizer)
    room = settings.max_length - len(prefix) - len(suffix)
    encoded = tokenizer(texts, add_special_tokens=False, truncation=False, padding=False, verbose=False)
    bodies = encoded["input_ids"]
    parts = [split_body(body, room, settings.truncation, settings.windows) for body in bodies]
    wrapped = [[prefix + part + suffix for part in document] for document in parts]
    columns: Columns = {"ids": [[token for part in document for token in part] for document in wrapped]}
    if settings.truncation == "windows":
        columns["windows"] = [[len(part) for part in document] for document in wrapped]
        return columns
    head = 0 if settings.truncation == "tail" else min(HEAD_OF_HEAD_TAIL, room // 2)
    columns["cut"] = cuts.of_parts(texts, encoded.encodings, head, room - head)
    return columns


def special_affixes(tokenizer: "PreTrainedTokenizerFast") -> tuple[list[int], list[int]]:
    """The special tokens that the tokenizer puts before and after a single text."""
    bare = tokenizer("a", add_special_tokens=False, padding=False)["input_ids"]
    full = tokenizer("a", padding=False, truncation=False)["input_ids"]
    start = next(i for i in range(len(full)) if full[i : i + len(bare)] == bare)
    return full[:start], full[start + len(bare) :]


def _encode_words(
    sentences: list[list[str]], tokenizer: "PreTrainedTokenizerFast", settings: Settings, prefix: str, intents: bool
) -> Columns:
    split = [[prefix + word for word in sentence] for sentence in sentences] if prefix else sentences
    encoded = tokenizer(split, is_split_into_words=True, truncation=True, max_length=settings.max_length, padding=False)
    positions, cut, types = [], [], []
    for number, sentence in enumerate(sentences):
        pieces = encoded.word_ids(number)
        found = word_positions(pieces, len(sentence), settings.last_pieces)
        # the intent has the first place, as if it were a word
        positions.append([0, *found] if intents else found)
        cut.append(cuts.of_sentence(found, len(encoded["input_ids"][number]), settings.max_length))
        if settings.case:
            types.append(token_types(pieces, sentence))
    columns: Columns = {"ids": encoded["input_ids"], "words": positions, "cut": cut}
    return columns | {"types": types} if settings.case else columns
