"""What a column of a table is, and which ones are shown where there is little room. Imports little."""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

Cell = str | int | float | None
T = TypeVar("T")
OF_TEXTS = ("generated_tokens_s", "seconds_per_1000")
"""Columns that are shown where a row has them."""
KEPT = ("experiment", "setting", "primary", "val", "status", "mark")
"""Columns that a narrow terminal shows too."""
DIFFERING = ("test_examples",)
"""Columns that it shows too where they are not the same in all rows."""
SPARE = (
    "data",
    "test_examples",
    "peak_mem_mb",
    "checkpoint_mb",
    "latency_ms",
    *OF_TEXTS,
    "samples_s",
    "train_examples",
    "encoder",
    "wall_s",
    "strategy",
    "low",
    "trainable_pct",
    "run",
    "difference",
)
"""Columns that a narrow terminal does without, the first one first."""


class Column(NamedTuple, Generic[T]):
    """One column of a table.

    Attributes:
        name: Header of the CSV file and word for ``--sort``.
        title: Header in the other formats; empty: in CSV only.
        value: Reads the cell from a row.
        form: Format of numbers for people; CSV has them in full.
        best: -1 where large values come first when sorted, 1 where small ones do.
        shown: The cell for people, where it is more than one number.
    """

    name: str
    title: str
    value: Callable[[T], Cell]
    form: str = ""
    best: int = 1
    shown: Callable[[T], str] | None = None

    def text(self, row: T) -> str:
        """The cell for people; empty where the run does not know it."""
        return self.shown(row) if self.shown else self.written(self.value(row))

    def written(self, value: Cell) -> str:
        """A value for people."""
        return "" if value is None else format(value, self.form if isinstance(value, int | float) else "")
