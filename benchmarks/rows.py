"""The rows of a comparison, as files that both sides read: ``-m benchmarks.rows TASK FOLDER TRAIN EVALUATE``."""

import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from transferlab.tasks import Source

Rows = np.ndarray[Any, Any]
SPLITS = ("train", "validation", "test")


def write_rows(task: str, folder: Path, train: int, evaluate: int, seed: int = 0) -> dict[str, Any]:
    """Writes ``train``, ``validation`` and ``test`` as Parquet, and ``task.json`` with what is to be known of them.

    Training and validation rows are drawn from the training split of the task and have none in common; the test rows
    are drawn from its labelled test split. A task of a single split, such as ``xquad``, is divided by contexts.

    Args:
        task: A name in `transferlab.tasks.table`.
        folder: Where the files go.
        train: Training rows; 0 for all that are left.
        evaluate: Test rows, at most; a fourth as many select, at most 500.
        seed: Seed of the draw.

    Returns:
        The content of ``task.json``.
    """
    from pyarrow import parquet

    from transferlab.tasks.sources import read_split
    from transferlab.tasks.table import lookup

    source = lookup(task)
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    pool = read_split(source, source.train).rows
    select = min(500, max(evaluate // 4, 2))
    if source.test:
        order, tests = generator.permutation(len(pool)), read_split(source, source.test[0]).rows
        tested = np.sort(generator.permutation(len(tests))[:evaluate])
    else:
        order, tests = _by_context(pool[source.text[-1]][:], generator), pool
        tested, order = order[:evaluate], order[evaluate:]
    parts = {
        "validation": pool.select(order[:select]),
        "train": pool.select(order[select : select + train if train else None]),
        "test": tests.select(tested),
    }
    for name, rows in parts.items():
        # the names of the classes are in task.json
        plain = rows.select_columns([*source.text, source.label]).arrow.replace_schema_metadata()
        parquet.write_table(plain, folder / f"{name}.parquet")
    facts = {key: value for key, value in asdict(source).items() if key in {"text", "label", "kind", "labels"}}
    usual = "exact_match" if source.kind == "text" else "f1"
    facts |= {"task": task, "metric": source.metrics[0] if source.metrics else usual, "examples": len(parts["train"])}
    (folder / "task.json").write_text(json.dumps(facts), encoding="utf-8")
    return facts


def _by_context(contexts: Sequence[str], generator: np.random.Generator) -> Rows:
    """All rows in an order in which those of a context follow one another, so that a cut divides one at most."""
    numbers = {text: number for number, text in enumerate(dict.fromkeys(contexts))}
    drawn = generator.permutation(len(numbers))
    return np.argsort(drawn[[numbers[text] for text in contexts]], kind="stable")


def write_texts(path: Path, count: int) -> None:
    """Short texts: the training sentences of SST-2, as many as are wanted."""
    from transferlab.tasks.sources import read_split
    from transferlab.tasks.table import lookup

    found = read_split(lookup("sst2"), "train").rows["sentence"][:count]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["sentence"], *([text] for text in found)])


def read_facts(folder: str | Path) -> dict[str, Any]:
    """The content of ``task.json``: text, label, kind, labels, task, metric, examples."""
    facts: dict[str, Any] = json.loads((Path(folder) / "task.json").read_text(encoding="utf-8"))
    return facts


def read_source(folder: str | Path, splits: tuple[str, ...], predict: tuple[str, ...] = ()) -> "Source":
    """Where a data module finds these rows.

    Args:
        folder: Written by `write_rows`.
        splits: Files to name; a ``test`` among them stands in for ``validation`` where that is not among them.
        predict: Splits to read without labels.
    """
    from transferlab.tasks import Source

    facts = read_facts(folder)
    files = {split: str(Path(folder) / f"{split}.parquet") for split in splits}
    if "validation" not in files and "test" in files and not predict:
        files["validation"] = files.pop("test")
    return Source(
        files=files,
        text=tuple(facts["text"]),
        label=facts["label"],
        kind=facts["kind"],
        labels=tuple(facts["labels"]),
        metrics=(facts["metric"],),
        predict=predict,
    )


if __name__ == "__main__":
    print(json.dumps(write_rows(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
