"""Examples that a quantised model is judged by: of the run that it comes from, or of a file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from transferlab.config import hashes
from transferlab.config.places import find_run
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks.labels import Labels, is_labelled, require_columns
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.sources import read_split
from transferlab.tasks.spec import Source
from transferlab.tasks.tagged import in_iob2
from transferlab.use.export.facts import Facts
from transferlab.use.gold import gold_of

if TYPE_CHECKING:
    from transferlab.tasks import TaskDataModule

CALIBRATED_ON = 512
"""Training examples that set the scales of a static form."""


class Examples(NamedTuple):
    """Examples with labels.

    Attributes:
        name: What they are, in words.
        ids: Their row numbers in the split.
        columns: Their texts, for tagging lists of words, by column.
        gold: The right answers, as a file of predictions has them.
        data: The rows of the run where they are its test set, which a record may be made of; else None.
    """

    name: str
    ids: list[int]
    columns: dict[str, list[Any]]
    gold: list[Any]
    data: "TaskDataModule | None" = None


def run_of(facts: Facts, root: Path) -> Path | None:
    """The run that a folder was exported from, where it is at hand and still has the weights that were exported."""
    name = str(facts.run.get("run") or "")
    found = find_run(name, root) if name else None
    if found is None or run_folder.read_summary(found).get("setting") != facts.run.get("setting"):
        return None
    # folders of earlier releases do not know it
    known, checkpoint = facts.run.get("checkpoint"), found / "checkpoints" / "best.ckpt"
    same = known is None or (checkpoint.exists() and known == hashes.of_path(checkpoint))
    return found if same else None


def of_run(run: Path) -> Examples:
    """The test set of a run; where it has none, its validation set.

    Raises:
        TransferlabError: Its examples are out of reach.
    """
    # only here: an export is judged on a file without torch
    from transferlab.use.reread import data_of

    data = data_of(run)
    if data.source.test:
        split = data.source.test[0]
        return _examples("the test set of the run", data, split, data.test_rows(split))._replace(data=data)
    return _examples("the validation set of the run", data, *data.part_rows("validation"))


def training_texts(run: Path, count: int = CALIBRATED_ON) -> dict[str, list[Any]]:
    """Texts that a run was trained on, drawn with a fixed seed, by column."""
    from transferlab.use.reread import data_of

    data = data_of(run)
    split, numbers = data.part_rows("train")
    chosen = np.random.default_rng(0).permutation(numbers)[:count]
    return _columns(data.rows(split), data.source.text, chosen)


def _examples(name: str, data: "TaskDataModule", split: str, numbers: "np.ndarray[Any, Any]") -> Examples:
    rows = data.rows(split)
    gold = gold_of(data.spec, rows, data.source, data.labels)
    return Examples(
        name, numbers.tolist(), _columns(rows, data.source.text, numbers), [gold[number] for number in numbers]
    )


def of_file(path: str, facts: Facts, label: str | None) -> Examples:
    """The rows of a file with labels.

    Raises:
        TransferlabError: No such file, a column that is missing, or a label that the model does not know.
    """
    known: dict[str, Any] = {key: value for key, value in (facts.labelled or {}).items() if value is not None}
    if isinstance(known.get("label_columns"), list):
        known["label_columns"] = tuple(known["label_columns"])
    source = Source(files={"test": path}, text=facts.text, kind=facts.task.kind, labels=facts.task.labels, **known)
    if label:
        source = replace(source, label=label, label_columns=None)
    rows = read_split(source, "test")
    require_columns(rows, source)
    if not is_labelled(rows.rows, source, facts.task.labels):
        raise TransferlabError(f"--files: {path} has no labels in column {source.label!r}; --label names another.")
    labels = Labels(facts.task.labels, ordered=True, scheme=facts.task.scheme)
    if labels.scheme is not None:
        rows = in_iob2(rows, source, labels.scheme)
    gold = gold_of(facts.task, rows, source, labels)
    return Examples(Path(path).name, list(range(len(gold))), _columns(rows, source.text, np.arange(len(gold))), gold)


def texts_of_file(path: str, facts: Facts) -> dict[str, list[Any]]:
    """The texts of a file without labels, by column."""
    source = Source(files={"train": path}, text=facts.text, kind=facts.task.kind)
    rows = read_split(replace(source, kind="classification") if source.kind == "multilabel" else source, "train")
    require_columns(rows, source, labelled=False)
    return _columns(rows, source.text, np.random.default_rng(0).permutation(len(rows.rows))[:CALIBRATED_ON])


def _columns(rows: Rows, text: Sequence[str], numbers: "np.ndarray[Any, Any]") -> dict[str, list[Any]]:
    chosen = rows.rows.select(numbers.tolist())
    return {name: list(chosen[name][:]) for name in text}
