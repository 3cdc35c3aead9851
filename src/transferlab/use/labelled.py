"""Labelled examples for a finished run: those of its own test set or of any file, and its answers to them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from transferlab.baselines.rows import Array
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import counted
from transferlab.learning.metrics import build_metrics
from transferlab.record import predictions
from transferlab.record.predictions import Record
from transferlab.tasks import TaskDataModule, squad
from transferlab.tasks.batch import Ragged
from transferlab.tasks.checks import check_text, check_word_counts
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.kinds.qa import OUTCOMES
from transferlab.tasks.labels import Labels, encode_labels, is_empty, label_text, require_columns, stored_names
from transferlab.tasks.naming import labels_of
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.sources import read_split, version
from transferlab.tasks.spec import Source, TaskSpec
from transferlab.tasks.tagged import in_iob2
from transferlab.use.predictor import Predictor


class Labelled(NamedTuple):
    """Labelled examples.

    Attributes:
        name: Where they come from.
        ids: Row numbers ``[examples]``.
        columns: Text columns by name, for tagging lists of words.
        labels: Class numbers or targets ``[examples]``; for tagging those of each word; for multilabel
            ``[examples, labels]``; for questions the texts of the gold answers of each.
        version: Names the whole split by its content.
    """

    name: str
    ids: Array
    columns: dict[str, list[Any]]
    labels: "Array | list[Array]"
    version: str

    def counts(self, task: TaskSpec) -> dict[str, int]:
        """How many examples each label has, for tagging how many words."""
        if task.kind == "multilabel":
            return dict(zip(task.labels, np.asarray(self.labels).sum(0).tolist(), strict=True))
        if task.kind == "regression":
            return {}
        if task.kind == "qa":
            none = sum(not len(golds) for golds in self.labels)
            return dict(zip(OUTCOMES, (len(self.labels) - none, none), strict=True))
        flat = np.concatenate(self.labels) if isinstance(self.labels, list) else self.labels
        counts = Counter(flat.tolist())
        return {name: counts[number] for number, name in enumerate(task.labels)}


def own_test(predictor: Predictor, data: TaskDataModule, most: int | None = None) -> Labelled:
    """The test set of a run.

    Args:
        predictor: The run.
        data: Its data, see `transferlab.use.reread.data_of`.
        most: Examples, at most; the first ones of a draw that is the same for every run.

    Raises:
        TransferlabError: It has no labelled test set.
    """
    if not data.source.test:
        raise TransferlabError(f"{predictor.task.name} names no labelled test set; name a file with --files.")
    split = data.source.test[0]
    numbers = data.test_rows(split)
    return _chosen(data.rows(split), data.source, data.labels, sample(numbers, most), "test set")


def sample(numbers: Array, most: int | None) -> Array:
    """At most so many of the row numbers ``[rows]``, in order; the same ones every time."""
    if most is None or most >= len(numbers):
        return numbers
    return np.sort(np.random.default_rng(0).permutation(numbers)[:most])


def of_file(
    predictor: Predictor,
    path: str,
    text: Sequence[str] | None = None,
    label: str | None = None,
    mapping: Mapping[str, str] | None = None,
    most: int | None = None,
) -> Labelled:
    """Labelled examples of a file, whose labels are matched by name.

    Args:
        predictor: The run.
        path: CSV, TSV, JSON, Parquet or tagging file.
        text: Its text columns, if not called as in training.
        label: Its label column, if not called as in training.
        mapping: Labels of the file to labels of the run, where they are called otherwise.
        most: Examples, at most.

    Raises:
        TransferlabError: No such file or column, labels that the run does not have, or words that its encoder cannot
            read.
    """
    task = predictor.task
    source = _source_of(predictor, path, text, label)
    if len(source.text) != len(predictor.text):
        raise TransferlabError(f"--text: {task.name} reads {len(predictor.text)} column(s), {len(source.text)} given.")
    rows = read_split(source, "test")
    try:
        require_columns(rows, source)
    except TransferlabError as error:
        told = str(error).replace("data.source.", "--")
        raise TransferlabError(told) from error
    if KINDS[task.kind].named:
        rows = _renamed(rows, source, mapping or {}, task)
    labels = Labels(task.labels)
    if task.worded:
        found = labels_of(source, lambda _: rows)
        rows = rows if found.scheme is None else in_iob2(rows, source, found.scheme)
        _refuse_unknown({tag for tags in rows.rows[source.label][:] for tag in tags}, rows.origin, task)
    chosen = _chosen(rows, source, labels, sample(np.arange(len(rows.rows)), most), str(Path(path)))
    predictor.refuse_unread(dict(zip(predictor.text, chosen.columns.values(), strict=True)), rows.origin)
    return chosen


def _source_of(predictor: Predictor, path: str, text: Sequence[str] | None, label: str | None) -> Source:
    known = predictor.source
    return Source(
        files={"test": path},
        text=tuple(text or known.text),
        label=label or known.label,
        kind=known.kind,
        label_delimiter=known.label_delimiter,
        label_columns=None if label else known.label_columns,
        intent=known.intent,
        train="test",
        test=("test",),
    )


def _renamed(rows: Rows, source: Source, mapping: Mapping[str, str], task: TaskSpec) -> Rows:
    """The rows with the labels of the run: by the mapping, by name, or by name but for capitals."""
    stored = stored_names(rows.rows, source.label)
    alike = {name.casefold(): name for name in task.labels}
    if wrong := [name for name in mapping.values() if name not in task.labels and not task.worded]:
        raise TransferlabError(f"--map: {wrong[0]!r} is no label of this run; it has {', '.join(task.labels)}.")

    def named(value: Any) -> str | None:
        if is_empty(value):
            return None
        text = stored[value] if stored and isinstance(value, int) and 0 <= value < len(stored) else label_text(value)
        text = mapping.get(text, text)
        return text if text in task.labels or task.worded else alike.get(text.casefold(), text)

    cells = rows.rows[source.label][:]
    new = [[named(each) for each in cell] if isinstance(cell, list) else named(cell) for cell in cells]
    if not task.worded:
        _refuse_unknown(
            {name for cell in new for name in (cell if isinstance(cell, list) else [cell])}, rows.origin, task
        )
    return rows._replace(rows=rows.rows.remove_columns(source.label).add_column(source.label, new))


def _refuse_unknown(found: "set[str | None]", origin: str, task: TaskSpec) -> None:
    unknown = sorted(name for name in found if name is not None and name not in task.labels)
    if unknown:
        listed = ", ".join(unknown[:10])
        raise TransferlabError(
            f"{origin}: labels that this run does not have: {listed}; it has {', '.join(task.labels)}. Say which is "
            f"which: --map {unknown[0]}={task.labels[-1]}."
        )


def _chosen(rows: Rows, source: Source, labels: Labels, numbers: Array, name: str) -> Labelled:
    check_text(rows, source)
    encoded = encode_labels(rows, source, labels)
    columns = {column: [rows.rows[column][:][number] for number in numbers] for column in source.text}
    known: Array | list[Array]
    if source.worded:
        check_word_counts(rows, source)
        intents = source.kind == "slots"
        ends = np.cumsum([len(words) + intents for words in rows.rows[source.text[0]][:]])[:-1]
        parts = np.split(encoded, ends)
        known = [parts[number] for number in numbers]
    elif source.kind == "qa":
        golds = rows.rows[source.label][:]
        known = [np.array([str(one["text"]) for one in golds[number]], dtype=object) for number in numbers]
    else:
        known = encoded[numbers]
    return Labelled(name, numbers, columns, known, version(rows.rows, source))


class Judged(NamedTuple):
    """Answers to labelled examples.

    Attributes:
        records: As `transferlab.record.predictions.records`, in the order of the examples; ``id`` is the row number.
        metrics: The metrics of the task.
        right: How right each answer is, 0 to 1: for tagging the share of words; for regression the absolute error,
            negative ``[examples]``.
    """

    records: list[Record]
    metrics: dict[str, float]
    right: Array


def _answers(predictor: Predictor, examples: Labelled) -> Judged:
    """Answers to labelled questions at the threshold of the run; how right each is, is its F1."""
    cells = zip(*examples.columns.values(), strict=True)
    names = tuple(predictor.text)
    told = predictor.predict([dict(zip(names, pair, strict=True)) for pair in cells])
    golds = [list(row) for row in examples.labels]
    found = [
        {"id": int(number), **answer, "label": gold}
        for number, answer, gold in zip(examples.ids, told, golds, strict=True)
    ]
    scores = np.array([squad.scores(answer["prediction"], gold) for answer, gold in zip(told, golds, strict=True)])
    values = dict(zip(("exact_match", "f1"), scores.mean(0).tolist(), strict=True))
    return Judged(found, {name: values[name] for name in predictor.task.metrics}, scores[:, 1])


@torch.inference_mode()
def judge(predictor: Predictor, examples: Labelled, told: str = "") -> Judged:
    """Answers labelled examples, in float32.

    Args:
        predictor: The run.
        examples: The examples.
        told: What is computed, for the progress; empty for none.
    """
    if predictor.task.kind == "qa":
        return _answers(predictor, examples)
    columns = dict(zip(predictor.text, examples.columns.values(), strict=True))
    encoded, lengths = predictor.encode(columns)
    known = examples.labels
    encoded = replace(encoded, labels=Ragged.of([row.tolist() for row in known]) if isinstance(known, list) else known)
    metrics, model, found = build_metrics(predictor.task).to(predictor.model.device), predictor.model, list[Record]()
    batches = predictor.batches(lengths)
    for rows in counted(batches, told) if told else batches:
        batch = encoded.collate(rows).to(model.device)
        outputs = model.predict_step(batch, 0)
        assert batch.labels is not None
        metrics.update(model.decode(outputs["logits"], batch), batch.labels)
        found += predictions.records(predictor.task, outputs, batch.labels)
    found.sort(key=lambda record: int(record["id"]))
    right = np.array([_right(record) for record in found])
    ordered = [record | {"id": int(number)} for record, number in zip(found, examples.ids, strict=True)]
    return Judged(ordered, {name: float(value) for name, value in metrics.compute().items()}, right)


def _right(record: Record) -> float:
    gold, guess = record["label"], record["prediction"]
    if isinstance(gold, float):
        return -abs(float(guess) - gold)
    if isinstance(gold, list) and len(gold) == len(guess) and record.get("scores") is None:
        return float(np.mean([one == other for one, other in zip(gold, guess, strict=True)])) if gold else 1.0
    return float(gold == guess)
