"""Tokenised text on disk: written a part at a time, read as arrays that are mapped into memory."""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.pretraining import leakage
from transferlab.pretraining.text import Text
from transferlab.tasks.inspection.plain import words_of
from transferlab.tasks.kept import name_of, written

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Array = np.ndarray[Any, Any]
VERSION = 1
"""Part of every name; to be raised when something else is written."""
TRAIN, HELD, LEFT = 0, 1, 2
"""What becomes of a document: it trains, it is held out, or it is left out, since it holds a test text."""
WORD, SENTENCE = 1, 2
"""Flags of a token: it begins a word, it begins a sentence."""
ENDS = re.compile(r"[.!?][\"')\]]*\s+|[\u3002\uff01\uff1f]|\n\s*\n|<br ?/?>\s*")
"""What stands between two sentences; an abbreviation may be taken for an end."""
TOGETHER = 256
"""Documents that are tokenised at a time."""


class Part(NamedTuple):
    """The tokens of some documents, one after the other.

    Attributes:
        ids: Token ids ``[tokens]``.
        flags: `WORD` and `SENTENCE` ``[tokens]``.
        offsets: Where each document begins, and the end ``[documents + 1]``.
    """

    ids: Array
    flags: Array
    offsets: Array


class Pieces(NamedTuple):
    """Documents cut evenly into pieces of at most so many tokens.

    Attributes:
        starts: Where each piece begins in the tokens of its part ``[pieces]``.
        lengths: Its tokens ``[pieces]``.
        documents: The document that it is of ``[pieces]``.
    """

    starts: Array
    lengths: Array
    documents: Array


def pieces(offsets: Array, room: int) -> Pieces:
    """Cuts documents into pieces of at most `room` tokens, as few and as even as can be; nothing is cut off."""
    lengths = np.diff(offsets)
    counts = -(-lengths // room)
    documents = np.repeat(np.arange(len(lengths)), counts)
    number = np.arange(len(documents)) - np.repeat(np.cumsum(counts) - counts, counts)
    share, rest = (lengths // np.maximum(counts, 1))[documents], (lengths % np.maximum(counts, 1))[documents]
    starts = offsets[:-1][documents] + number * share + np.minimum(number, rest)
    return Pieces(starts, share + (number < rest), documents)


@dataclass(frozen=True)
class Corpus:
    """Tokenised text of a training and a held-out part.

    Attributes:
        train: What trains.
        held: What is held out.
        counts: How often each token id stands in `train` ``[vocabulary]``.
        facts: Numbers of documents and tokens, the version by content, which test texts were left out.
    """

    train: Part
    held: Part
    counts: Array
    facts: dict[str, Any]


def marks(text: Text, without: Sequence[str], held_out: float) -> Path:
    """The folder that says of each document what becomes of it, ``marks.npy``, with the counts in ``facts.json``.

    Args:
        text: The documents.
        without: Tasks whose test texts are left out.
        held_out: Share of documents that is held out; those with the same words stay together.
    """
    name = name_of("marks", VERSION, text.identity, leakage.identities(without), held_out)
    return written(name, lambda folder: _mark(text, without, held_out, folder))


def _mark(text: Text, without: Sequence[str], held_out: float, folder: Path) -> None:
    tests = leakage.TestTexts(without)
    left = dict.fromkeys(tests.names, 0)
    found = bytearray()
    for document in text.read():
        words = words_of(document)
        if len(tests) and (number := tests.found(words)) is not None:
            left[tests.names[number]] += 1
            found.append(LEFT)
        else:
            held = int.from_bytes(leakage.key_of(words), "big") < held_out * 2**64
            found.append(HELD if held else TRAIN)
    np.save(folder / "marks.npy", np.frombuffer(bytes(found), dtype=np.uint8))
    facts = {"documents": len(found), "left_out": left, "test_texts": len(tests)}
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def marked(text: Text, folder: Path, which: int) -> Iterator[str]:
    """The documents that are marked so."""
    for document, mark in zip(text.read(), np.load(folder / "marks.npy"), strict=True):
        if mark == which:
            yield document


def build(text: Text, tokenizer: "PreTrainedTokenizerFast", marks: Path) -> Path:
    """The folder of tokenised documents; the first process that asks tokenises them.

    Args:
        text: The documents.
        tokenizer: The encoder's.
        marks: See `marks`.

    Raises:
        TransferlabError: No document is left to train on, or none to hold out.
    """
    backend = tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    name = name_of("corpus", VERSION, marks.name, backend.to_str())
    return written(name, lambda folder: _tokenise(text, tokenizer, marks, folder))


def _tokenise(text: Text, tokenizer: "PreTrainedTokenizerFast", marks: Path, folder: Path) -> None:
    known = json.loads((marks / "facts.json").read_text(encoding="utf-8"))
    size = len(tokenizer)
    digest, counts = hashlib.sha256(), np.zeros(size, dtype=np.int64)
    kind = np.uint16 if size < 2**16 else np.int32
    facts: dict[str, Any] = {**known, "vocabulary": size}
    for part, which in (("train", TRAIN), ("held", HELD)):
        offsets = [0]
        with (folder / f"{part}.ids").open("wb") as ids, (folder / f"{part}.flags").open("wb") as flags:
            for texts in _together(marked(text, marks, which)):
                for tokens, marked_ in tokens_of(texts, tokenizer):
                    tokens.astype(kind).tofile(ids)
                    marked_.tofile(flags)
                    offsets.append(offsets[-1] + len(tokens))
                    if which == TRAIN:
                        counts += np.bincount(tokens, minlength=size)
                digest.update("\0".join([part, *texts]).encode())
        np.save(folder / f"{part}.npy", np.array(offsets, dtype=np.int64))
        facts |= {f"{part}_documents": len(offsets) - 1, f"{part}_tokens": offsets[-1]}
    if not facts["train_tokens"]:
        raise TransferlabError("data.text: no document is left to train on.")
    if not facts["held_tokens"]:
        raise TransferlabError(
            f"data.held_out: of {known['documents']} documents none was held out; raise it, or give more text "
            "(data.text.documents says what a document is)."
        )
    np.save(folder / "counts.npy", counts)
    facts["version"] = digest.hexdigest()[:16]
    (folder / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _together(texts: Iterator[str]) -> Iterator[list[str]]:
    while part := list(islice(texts, TOGETHER)):
        yield part


def tokens_of(texts: list[str], tokenizer: "PreTrainedTokenizerFast") -> Iterator[tuple[Array, Array]]:
    """Token ids and flags of each text."""
    encoded = tokenizer(
        texts, add_special_tokens=False, padding=False, truncation=False, return_offsets_mapping=True, verbose=False
    )
    for number, text in enumerate(texts):
        ids = np.array(encoded["input_ids"][number], dtype=np.int64)
        words = np.array(encoded.word_ids(number), dtype=np.int64)
        flags = np.zeros(len(ids), dtype=np.uint8)
        flags[np.flatnonzero(np.diff(words, prepend=-1))] |= WORD
        begins = np.array([place for place, _ in encoded["offset_mapping"][number]], dtype=np.int64)
        at = np.searchsorted(begins, [match.end() for match in ENDS.finditer(text)])
        flags[at[at < len(ids)]] |= SENTENCE
        yield ids, flags


def read(folder: Path) -> Corpus:
    """Opens what `build` has written; tokens are read from disk where they are used."""
    facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    kind = np.uint16 if facts["vocabulary"] < 2**16 else np.int32

    def part(name: str) -> Part:
        ids = np.memmap(folder / f"{name}.ids", dtype=kind, mode="r")
        flags = np.memmap(folder / f"{name}.flags", dtype=np.uint8, mode="r")
        return Part(ids, flags, np.load(folder / f"{name}.npy"))

    return Corpus(part("train"), part("held"), np.load(folder / "counts.npy"), facts)
