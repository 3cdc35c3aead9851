"""A pool of texts without those that a run knows."""

from typing import Any

import numpy as np

from transferlab.tasks import TaskDataModule
from transferlab.tasks.augmentation import copies

Array = np.ndarray[Any, Any]
Cells = list[dict[str, Any]]


def key_of(row: dict[str, Any], text: tuple[str, ...]) -> str:
    """What two rows with the same texts agree in, blanks and capitals aside."""
    return copies.key_of(row[name] for name in text)


def known_texts(data: TaskDataModule, all_labelled: bool = False) -> dict[str, str]:
    """The texts that a run trains and selects on and those of its test splits, to what they are.

    Of a test split all rows count, whichever of them are tested on: none of them may be trained on.

    Args:
        data: The examples of the run.
        all_labelled: Whether all rows of the training split count, those that the run does not train on too.
    """
    found: dict[str, str] = {}
    train, rows = data.part_rows("train")
    rows = np.arange(len(data.rows(train).rows)) if all_labelled else rows
    parts: list[tuple[str, str, Array]] = [("training", train, rows), ("validation", *data.part_rows("validation"))]
    parts += [("test", split, np.arange(len(data.rows(split).rows))) for split in data.source.test]
    for what, split, rows in parts:
        read = data.rows(split).rows.select(rows).select_columns(list(data.source.text))
        for row in read:
            found[key_of(row, data.source.text)] = what
    return found


def new_texts(cells: Cells, text: tuple[str, ...], known: dict[str, str]) -> tuple[Cells, list[str]]:
    """The rows of a pool that stand in no part of a run, each text once, and what was left out in words."""
    new: dict[str, dict[str, Any]] = {}
    counts: dict[str, int] = {}
    for row in cells:
        key = key_of(row, text)
        if key in known or key in new:
            what = f"stand in the {known[key]} set of the run" if key in known else "stand in the pool twice"
            counts[what] = counts.get(what, 0) + 1
        else:
            new[key] = row
    return list(new.values()), [f"{count:,} texts {what} and are left out" for what, count in counts.items()]
