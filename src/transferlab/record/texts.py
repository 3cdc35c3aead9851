"""What a record holds of the texts: tagged words, whether an entity was seen in training, the hardest examples."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlab.ground.errors import TransferlabError
from transferlab.record import predictions
from transferlab.record.predictions import Record
from transferlab.tasks.iob import spans
from transferlab.tasks.labels import encode_labels
from transferlab.tasks.reading.questions import ends_of

if TYPE_CHECKING:
    from transferlab.tasks.rows import TaskRows

HARDEST = 50
"""Test examples that are kept with their text."""
CHARACTERS = 600
"""Of an input that are kept beside its output."""
Entity = tuple[str, tuple[str, ...]]
"""Type and words, as written."""


def write(folder: Path, data: "TaskRows", lines: dict[str, list[Record]]) -> None:
    """Writes the predictions of the test splits, those of the main one with what a report needs of the texts.

    Args:
        folder: The run directory.
        data: The rows.
        lines: Records of each test split, by its name in metric keys.
    """
    if "test" in lines:
        split = data.source.test[0]
        try:
            if data.source.worded:
                lines["test"] = with_words(data, split, lines["test"])
            if data.source.kind == "text":
                lines["test"] = with_inputs(data, split, lines["test"])
            lines["test"] = with_repeats(data, split, lines["test"])
            predictions.write(folder / "predictions" / "hardest.jsonl", hardest(data, split, lines["test"]), True)
        except TransferlabError:
            # token ids may outlive the rows that they were made from; the result is worth more than its texts
            pass
    for name, records in lines.items():
        predictions.write(folder / "predictions" / f"{name}.jsonl", records)


def with_words(data: "TaskRows", split: str, records: list[Record]) -> list[Record]:
    """Adds ``words``, and for entities ``seen``: for each gold one, from left to right, whether training had it.

    An entity is seen where some training example has the very same words with the same type, the exact match of Taille
    et al. 2020 (https://arxiv.org/abs/2001.08053).
    """
    words = data.rows(split).rows[data.source.text[0]][:]
    if not data.spec.entities:
        return [{**record, "words": words[record["id"]]} for record in records]
    known, read = training_entities(data), data.spec.spelling.read
    return [
        {
            **record,
            "words": words[record["id"]],
            "seen": [entity in known for entity in entities(words[record["id"]], read(_tags(record["label"])))],
        }
        for record in records
    ]


def with_inputs(data: "TaskRows", split: str, records: list[Record]) -> list[Record]:
    """Adds ``text``, the beginning of what was read, so that outputs of several runs can be shown beside it."""
    rows = data.rows(split).rows
    columns = [rows[name][:] for name in data.source.text]
    return [record | {"text": [_text(cells[record["id"]])[:CHARACTERS] for cells in columns]} for record in records]


def with_repeats(data: "TaskRows", split: str, records: list[Record]) -> list[Record]:
    """Adds ``repeats`` to each record whose text stands before it in the split: the id of the first one with it.

    A comparison counts them as one example of that text, since a model answers them alike. The questions on one context
    are one example of it too: who understands it answers several.
    """
    rows, first = data.rows(split).rows, dict[tuple[str, ...], int]()
    names = data.source.text[-1:] if data.source.kind == "qa" else data.source.text
    if data.source.document:
        # so are the parts of a document
        names = (data.source.document,)
    columns = [rows[name][:] for name in names]
    for record in sorted(records, key=lambda record: int(record["id"])):
        first.setdefault(tuple(_text(cells[record["id"]]) for cells in columns), record["id"])
    found = [first[tuple(_text(cells[record["id"]]) for cells in columns)] for record in records]
    return [
        record if known == record["id"] else record | {"repeats": known}
        for record, known in zip(records, found, strict=True)
    ]


def training_entities(data: "TaskRows") -> set[Entity]:
    """The entities of the training examples."""
    split, numbers = data.part_rows("train")
    read = data.rows(split)
    words = read.rows[data.source.text[0]][:]
    flat = encode_labels(read, data.source, data.labels)
    # an intent stands in front of the tags
    ends = np.cumsum([len(row) + (data.source.kind == "slots") for row in words])
    found: set[Entity] = set()
    for number in numbers:
        tags = flat[ends[number] - len(words[number]) : ends[number]]
        if (tags != data.spec.outside).any():
            found.update(entities(words[number], [data.spec.labels[tag] for tag in tags]))
    return found


def _tags(answer: Any) -> list[str]:
    """The tags of an answer, which may have an intent beside them."""
    tags: list[str] = answer["slots"] if isinstance(answer, dict) else answer
    return tags


def entities(words: list[str], tags: list[str]) -> list[Entity]:
    """Type and words of each entity of a sentence, from left to right."""
    chunks = sorted(spans(tags), key=lambda span: span[1])
    return [(kind, tuple(words[start:end])) for kind, start, end in chunks]


def hardest(data: "TaskRows", split: str, records: list[Record], count: int = HARDEST) -> list[Record]:
    """The examples of the largest loss with their ``text``, a list of one text or two, the hardest first.

    A loss that is null is an infinite one: the class had no probability at all. Questions have ``golds`` too: for each
    gold answer its first character in the context, and the one behind its last.
    """
    judged = [record for record in records if "loss" in record]
    judged.sort(key=lambda record: (-_number(record["loss"]), record["id"]))
    chosen = judged[:count]
    if not chosen:
        return []
    rows = data.rows(split).rows
    texts = [record | {"text": [_text(rows[name][record["id"]]) for name in data.source.text]} for record in chosen]
    if data.source.kind != "qa":
        return texts
    golds = [rows[data.source.label][record["id"]] for record in chosen]
    return [record | {"golds": list(map(ends_of, answers))} for record, answers in zip(texts, golds, strict=True)]


def _text(cell: str | list[str] | list[dict[str, str]]) -> str:
    if isinstance(cell, str):
        return cell
    # words of a sentence, or messages of a chat
    return " ".join(one if isinstance(one, str) else f"{one['role']}: {one['content']}\n" for one in cell)


def _number(loss: float | None) -> float:
    return math.inf if loss is None else loss
