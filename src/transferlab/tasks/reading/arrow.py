"""Rows in the memory of Arrow, column by column, with the little of `datasets` that is asked of them.

Importing `datasets` takes longer than all else that reads a file; it is left to the data sets that only it can read.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, overload

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

Names = Mapping[str, tuple[str, ...]]
PART = 1000
"""Rows that are turned into objects of Python at a time."""
TOLD = b"huggingface"
"""Where a file says what its class numbers are called."""


class Cells(Sequence[Any]):
    """A column, whose cells become objects of Python when they are asked for."""

    def __init__(self, column: "pyarrow.ChunkedArray") -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, wanted: int) -> Any: ...

    @overload
    def __getitem__(self, wanted: slice) -> list[Any]: ...

    def __getitem__(self, wanted: int | slice) -> Any:
        if isinstance(wanted, slice):
            found: list[Any] = self._column[wanted].to_pylist()
            return found
        return self._column[int(wanted)].as_py()

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self), PART):
            yield from self[start : start + PART]


class Table:
    """Rows of a split.

    Args:
        table: Their cells.
        names: Of the columns that hold class numbers, what these are called.
    """

    def __init__(self, table: "pyarrow.Table", names: Names | None = None) -> None:
        self.arrow = table
        self.names = {
            column: known for column, known in (names or {}).items() if known and column in table.column_names
        }

    @classmethod
    def from_dict(cls, columns: Mapping[str, Sequence[Any]], names: Names | None = None) -> Self:
        """Columns of equal length; cells of several types, which Arrow cannot hold in one column, become text."""
        import pyarrow

        return cls(pyarrow.table({name: _column(cells) for name, cells in columns.items()}), names)

    @classmethod
    def from_datasets(cls, rows: "Dataset") -> Self:
        """What `datasets` has read, where it lies: mapped into memory."""
        features = rows.features.items()
        named = {column: getattr(getattr(feature, "feature", feature), "names", None) for column, feature in features}
        return cls(rows.data.table, {column: tuple(known or ()) for column, known in named.items()})

    @classmethod
    def from_parquet(cls, path: str) -> Self:
        """The rows of a file, with the names of class numbers that `datasets` has written into it."""
        import pyarrow.parquet

        # `read_table` imports pandas
        with pyarrow.parquet.ParquetFile(path) as file:
            table = file.read()
        told = json.loads((table.schema.metadata or {}).get(TOLD, b"{}"))
        features = told.get("info", {}).get("features", {})
        return cls(table, {column: _told_names(feature) for column, feature in features.items()})

    @property
    def column_names(self) -> list[str]:
        """In their order."""
        found: list[str] = self.arrow.column_names
        return found

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    @overload
    def __getitem__(self, wanted: str) -> Cells: ...

    @overload
    def __getitem__(self, wanted: int) -> dict[str, Any]: ...

    def __getitem__(self, wanted: str | int) -> Any:
        """A column, or a row."""
        if isinstance(wanted, str):
            return Cells(self.arrow.column(wanted))
        return {name: self[name][wanted] for name in self.column_names}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for part in self.iter(PART):
            for cells in zip(*part.values(), strict=True):
                yield dict(zip(part, cells, strict=True))

    def iter(self, size: int) -> Iterator[dict[str, list[Any]]]:
        """So many rows at a time, as columns."""
        for start in range(0, len(self), size):
            yield self.arrow.slice(start, size).to_pydict()

    def select(self, numbers: Iterable[int]) -> Self:
        """Rows by their numbers, in that order."""
        import numpy as np

        return type(self)(self.arrow.take(np.fromiter(numbers, np.int64)), self.names)

    def select_columns(self, names: Sequence[str]) -> Self:
        """Some columns, in that order."""
        return type(self)(self.arrow.select(names), self.names)

    def remove_columns(self, names: str | Sequence[str]) -> Self:
        """All other columns."""
        left_out = {names} if isinstance(names, str) else set(names)
        return self.select_columns([name for name in self.column_names if name not in left_out])

    def add_column(self, name: str, cells: Sequence[Any]) -> Self:
        """The columns, and one behind them."""
        return type(self)(self.arrow.append_column(name, _column(cells)), self.names)

    def set_column(self, name: str, cells: Sequence[Any]) -> Self:
        """The columns, of which one holds something else of the same type."""
        place = self.column_names.index(name)
        return type(self)(
            self.arrow.set_column(place, name, _column(cells, self.arrow.schema.field(name).type)), self.names
        )


def concatenate(tables: Sequence[Table]) -> Table:
    """The rows of several tables, one behind the other."""
    import pyarrow

    return Table(pyarrow.concat_tables([one.arrow for one in tables], promote_options="default"), tables[0].names)


def _column(cells: Sequence[Any], kind: Any = None) -> Any:
    import pyarrow

    try:
        return pyarrow.array(cells, kind)
    except pyarrow.ArrowException:
        return pyarrow.array([None if cell is None else str(cell) for cell in cells])


def _told_names(feature: Any) -> tuple[str, ...]:
    """What class numbers are called, of one or of a list of them; older releases write a list as a list."""
    while isinstance(feature, list) or (isinstance(feature, dict) and "feature" in feature):
        feature = feature[0] if isinstance(feature, list) else feature["feature"]
    return tuple(feature.get("names") or ()) if isinstance(feature, dict) else ()
