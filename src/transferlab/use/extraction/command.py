"""``transferlab extract --ner RUN --relation RUN INPUT``."""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console, facts
from transferlab.record import folder as run_folder
from transferlab.tasks.kinds import KINDS
from transferlab.use.answering import Answering
from transferlab.use.export.facts import is_export
from transferlab.use.extraction import scored
from transferlab.use.extraction.triples import Asked, Text, Triple, asked_of, relations
from transferlab.use.prediction import words as of_words
from transferlab.use.prediction.inputs import Input, Row, Wanted

ROWS = 256
"""Texts that are answered at once."""


def run(asked: argparse.Namespace) -> None:
    """Extracts, and scores where there is gold.

    Raises:
        TransferlabError: See `transferlab.use.extraction.options.main`.
    """
    quiet()
    if asked.output and asked.output.exists() and not asked.overwrite:
        raise TransferlabError(f"--output: {asked.output} is there already; --overwrite replaces it.")
    ner, relation = (_load(name, asked) for name in (asked.ner, asked.relation))
    if not ner.task.entities:
        raise TransferlabError(f"--ner: {asked.ner} is a run of {ner.task.kind} that finds no entities.")
    if not KINDS[relation.task.kind].marked:
        raise TransferlabError(f"--relation: {asked.relation} is a run of {relation.task.kind}, not of relations.")
    if asked.text:
        ner.read_from([asked.text])
    pairs = asked_of(relation.task, asked.pairs)
    given = Input(asked.input, Wanted(ner.text, True, asked.delimiter, asked.encoding), asked.format)
    if asked.output is None:
        told = extract(given, ner, relation, pairs, asked.least, sys.stdout)
    else:
        fresh: Path = asked.output.with_name(f"{asked.output.name}.part")
        fresh.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w", encoding="utf-8") as file:
            told = extract(given, ner, relation, pairs, asked.least, file)
        fresh.replace(asked.output)
    console(stderr=True).print(facts(told, f"{Path(given.name).name}: triples"))


def _load(name: str, asked: argparse.Namespace) -> Answering[Any]:
    if is_export(Path(name)):
        from transferlab.use.exported import Exported

        return Exported(name, batch_size=asked.batch_size)
    from transferlab.use.predictor import Predictor

    return Predictor.load(run_folder.find(name, asked.root), False, asked.device, asked.batch_size, asked.root)


def extract(
    given: Input, ner: Answering[Any], relation: Answering[Any], pairs: Asked, least: float, file: TextIO
) -> dict[str, str]:
    """Writes a line for each text: ``line``, ``id`` where there is one, ``text``, ``entities`` and ``relations``.

    Returns:
        Counts and, where rows have gold, scores, in words.
    """
    counts = dict.fromkeys(("texts", "entities", "relations"), 0)
    judged: dict[str, list[Any]] = {"found": [], "found triples": [], "gold": [], "gold triples": []}
    for rows in _parts(given, ner.text[0]):
        cells = [row.cells[ner.text[0]] for row in rows]
        texts = [
            Text(of_words.of_cell(cell).text, answer["entities"])
            for cell, answer in zip(cells, ner.predict(cells), strict=True)
        ]
        found = relations(texts, relation, pairs, least)
        for row, text, triples in zip(rows, texts, found, strict=True):
            file.write(json.dumps(_line(row, text, triples), ensure_ascii=False) + "\n")
            counts["texts"] += 1
            counts["entities"] += len(text.entities)
            counts["relations"] += len(triples)
            if (gold := _gold(given, row, text.text)) is not None:
                for key, value in zip(judged, (text, triples, Text(text.text, gold[0]), gold[1]), strict=True):
                    judged[key].append(value)
        file.flush()
    told = {name: f"{count:,}" for name, count in counts.items()}
    if judged["gold"]:
        told |= {"texts with gold": f"{len(judged['gold']):,}"} | _scored(judged, relation, pairs, least)
    return told


def _scored(judged: dict[str, list[Any]], relation: Answering[Any], pairs: Asked, least: float) -> dict[str, str]:
    gold = scored.strict_triples(judged["gold"], judged["gold triples"])
    given = relations(judged["gold"], relation, pairs, least)
    parts = {
        "entities": scored.scores(
            *(scored.strict_entities(t.entities for t in judged[key]) for key in ("found", "gold"))
        ),
        "relations": scored.scores(scored.strict_triples(judged["found"], judged["found triples"]), gold),
        "relations, gold entities": scored.scores(scored.strict_triples(judged["gold"], given), gold),
    }
    return scored.lines(parts)


def _gold(given: Input, row: Row, text: str) -> Any:
    try:
        return scored.gold_of(row.cells, text)
    except TransferlabError as error:
        raise TransferlabError(f"{given.name}, line {row.line}: {error}.") from error


def _line(row: Row, text: Text, triples: list[Triple]) -> dict[str, Any]:
    own = {"id": row.cells["id"]} if "id" in row.cells else {}
    named = [
        {**one, "head_text": text.entities[one["head"]]["text"], "tail_text": text.entities[one["tail"]]["text"]}
        for one in triples
    ]
    return {"line": row.line, **own, "text": text.text, "entities": text.entities, "relations": named}


def _parts(given: Input, column: str) -> Iterator[list[Row]]:
    """Rows with text that are answered at once.

    Raises:
        TransferlabError: A row without the column.
    """
    for part in _batched(given.rows):
        for row in part:
            if column not in row.cells:
                raise TransferlabError(
                    f"{given.name}, line {row.line}: no {column!r} among {', '.join(row.cells)}; choose with --text."
                )
        if full := [row for row in part if row.cells[column]]:
            yield full


def _batched(rows: Iterator[Row]) -> Iterator[tuple[Row, ...]]:
    while part := tuple(itertools.islice(rows, ROWS)):
        yield part
