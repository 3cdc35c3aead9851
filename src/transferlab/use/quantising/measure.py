"""What a quantised model answers, and what it costs, beside the one in float32."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from transferlab.analysis.page import calibration
from transferlab.ground.progress import counted
from transferlab.tasks.kinds import KINDS, SUMS
from transferlab.tasks.spec import TaskSpec
from transferlab.use.answering import Record
from transferlab.use.exported import Exported, Texts
from transferlab.use.quantising.labelled import Examples

Array = np.ndarray[Any, Any]
BATCH = 32
"""Texts of a batch, where batches are measured."""
TOGETHER = {False: 300, True: 1000}
"""Examples that are asked alone and in batches too, at most; more where all are asked alone anyway."""
LATENCY = 8
"""Examples that are timed, from the whole range of lengths, as in the record of a run."""
TIMES = 3
SPREAD = 0.1
"""Share of the standard deviation by which a number may move without being another prediction."""


class Measured(NamedTuple):
    """A model on some examples.

    Attributes:
        records: ``id``, ``prediction``, ``scores`` where there are any, ``label``, ``tokens``.
        metrics: Name of each metric of the task to its value.
        ece: Expected calibration error; None where there are no probabilities of classes.
        size_mb: Of the file, in MB of 2**20 bytes.
        alone_ms: Median time of one text alone, from token ids to logits.
        batch_ms: Time of a text in batches of `BATCH` texts of like length.
        together: Of predictions for texts that were asked alone and in batches too, how many differ, and of how many;
            None for float32, of which the gate of the export asks this.
    """

    records: list[Record]
    metrics: dict[str, float]
    ece: float | None
    size_mb: float
    alone_ms: float
    batch_ms: float
    together: tuple[int, int] | None


def measure(model: Exported, examples: Examples) -> Measured:
    """Asks a model all examples as its folder says: each alone, or in batches."""
    what, alone = model.facts.quantised or "float32", model.facts.alone
    encoded, lengths = model.encode(examples.columns)
    rows = list(range(len(examples.gold)))
    both = rows[: TOGETHER[alone]] if model.facts.quantised else []
    ask = _asker(model, examples, encoded)
    tokens = lengths if model.task.kind != "qa" else np.bincount(model.owners(encoded), lengths)
    single = {row: ask([row])[0] for row in counted(rows if alone else both, f"{what}, alone")}
    # what is compared in the order of the file, so that short ones are padded
    rest = [] if alone else sorted(rows[len(both) :], key=lambda row: int(tokens[row]))
    parts = [some[start : start + BATCH] for some in (both, rest) for start in range(0, len(some), BATCH)]
    batched = {r["id"]: r for part in counted(parts, f"{what}, in batches") for r in ask(part)}
    answers = single if alone else batched
    differ = changed(model.task, [single[row] for row in both], [batched[row] for row in both]) if both else None
    records = [
        {**answers[row], "id": examples.ids[row], "label": examples.gold[row], "tokens": int(tokens[row])}
        for row in rows
    ]
    return Measured(
        records=records,
        metrics=scores(model.task, records),
        ece=ece(model.task, records),
        size_mb=model.size_mb,
        alone_ms=alone_ms(model, encoded, lengths),
        batch_ms=batch_ms(model, encoded, lengths),
        together=differ,
    )


def _asker(model: Exported, examples: Examples, encoded: Texts) -> Callable[[list[int]], list[Record]]:
    """Answers some rows together; a question may have more windows than fit into one, so it is asked as a whole."""
    if model.task.kind != "qa":
        return lambda rows: model.answer(encoded, rows)
    pairs = list(zip(*(examples.columns[name] for name in model.text), strict=True))
    return lambda rows: [
        {"id": row, **told} for row, told in zip(rows, model.predict([pairs[row] for row in rows]), strict=True)
    ]


def scores(task: TaskSpec, records: Sequence[Record]) -> dict[str, float]:
    """The metrics of a task, from predictions and labels."""
    found, gold = [record["prediction"] for record in records], [record["label"] for record in records]
    kind = KINDS[task.kind]
    found, gold = ([kind.read(task.spelling, one) for one in side] for side in (found, gold))
    labels = kind.counted(task.labels, task.negative)
    return {
        name: float(SUMS[task.kind, name](kind.counts(found, gold, name, labels).sum(0)))
        for name in task.metrics
        if (task.kind, name) in SUMS
    }


def ece(task: TaskSpec, records: Sequence[Record]) -> float | None:
    """Expected calibration error of a classification; None for other kinds."""
    if not KINDS[task.kind].single:
        return None
    labels = np.array([task.labels.index(record["label"]) for record in records])
    return calibration.ece(np.array([record["scores"] for record in records]), labels)


def changed(task: TaskSpec, ours: Sequence[Record], theirs: Sequence[Record]) -> tuple[int, int]:
    """How many predictions are other ones, and of how many: examples, for tagging words.

    A number is another one where it moved by more than `SPREAD` standard deviations of all numbers.
    """
    pairs = [(one["prediction"], other["prediction"]) for one, other in zip(ours, theirs, strict=True)]
    if task.kind == "regression":
        mine, others = np.array(pairs, dtype=float).T
        moved = np.abs(mine - others) > SPREAD * others.std()
        return int(moved.sum()), len(pairs)
    if task.kind == "tagging":
        pairs = [pair for one, other in pairs for pair in zip(one, other, strict=True)]
    return sum(one != other for one, other in pairs), len(pairs)


def alone_ms(model: Exported, encoded: Texts, lengths: Array) -> float:
    """Median time of one text alone, as a run's record has it: from token ids to logits, in milliseconds."""
    by_length = np.argsort(lengths, kind="stable")
    places = (np.arange(LATENCY) + 0.5) / LATENCY * len(by_length)
    times: list[float] = []
    for row in by_length[places.astype(int)].tolist():
        times += [_seconds(model, encoded, [row]) for _ in range(1 + TIMES)][1:]
    return 1000 * statistics.median(times)


def batch_ms(model: Exported, encoded: Texts, lengths: Array) -> float:
    """Time of a text in batches of like length from the whole range, in milliseconds; the median of three rounds."""
    by_length = np.argsort(lengths, kind="stable")
    every = by_length[np.unique(np.linspace(0, len(by_length) - 1, 4 * BATCH).astype(int))].tolist()
    parts = [every[start : start + BATCH] for start in range(0, len(every), BATCH)]
    rounds = [sum(_seconds(model, encoded, part) for part in parts) for _ in range(1 + TIMES)][1:]
    return 1000 * statistics.median(rounds) / len(every)


def _seconds(model: Exported, encoded: Texts, rows: list[int]) -> float:
    started = time.perf_counter()
    model.logits(encoded, rows)
    return time.perf_counter() - started
