"""Files of any size, row by row: what is read is as long as a row, whatever the file is."""

import csv
import json
import os
import sys
from collections.abc import Iterator, Sequence
from io import BufferedReader, RawIOBase, TextIOWrapper
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading import table
from transferlab.tasks.reading.relations import has_spans
from transferlab.tasks.reading.text import decode_bytes

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".conll": "conll",
    ".conllu": "conll",
    ".iob": "conll",
    ".bio": "conll",
    ".txt": "lines",
}
"""Suffix to format; plain lines for all others."""
SAMPLE = 1 << 20
"""Bytes from the beginning that delimiter, quotes, header and encoding are found out from."""


class Row(NamedTuple):
    """A row.

    Attributes:
        line: The line that it begins on, from 1; for Parquet its number, from 0.
        cells: Column name to cell; text cells of a table, whatever JSON or Parquet holds.
    """

    line: int
    cells: dict[str, Any]


class Wanted(NamedTuple):
    """What the user says of a file; None: to be found out.

    Attributes:
        text: The text columns.
        tagging: Whether a row is a sentence.
        spans: Whether texts may stand in other columns, with two entities beside them.
        delimiter: What stands between two columns.
        encoding: A name that Python knows.
    """

    text: Sequence[str]
    tagging: bool = False
    delimiter: str | None = None
    encoding: str | None = None
    spans: bool = False


class Input:
    """An open file.

    Attributes:
        name: What it is called in messages.
        format: A value of `FORMATS`.
        columns: Names of the columns, in order; empty where each row names its own.
        delimiter: What stands between two columns of a table.
        form: How it is read, in words.
        size: Bytes; 0 where that is not known.

    Raises:
        TransferlabError: No such file, an empty one, or one without the columns that are wanted.
    """

    def __init__(self, path: str, wanted: Wanted, format: str | None = None) -> None:
        self.name = "standard input" if path == "-" else path
        self.wanted = wanted
        suffix = Path(path).suffix.lower()
        self.format = format or ("lines" if path == "-" else FORMATS.get(suffix, "lines"))
        if self.format == "lines" and wanted.tagging and suffix == "":
            self.format = format or ("lines" if path == "-" else "conll")
        self.columns: tuple[str, ...] = ()
        self.delimiter = "\t" if self.format == "tsv" else ","
        self.form = self.format
        self.size = 0
        self._file: BinaryIO
        if path == "-":
            self._file = sys.stdin.buffer
        else:
            if not os.path.isfile(path):
                raise TransferlabError(f"{path}: no such file.")
            self.size = Path(path).stat().st_size
            if not self.size:
                raise TransferlabError(f"{path} is empty.")
            self._file = Path(path).open("rb")  # noqa: SIM115  read as long as rows are asked for
        self._open = {"csv": self._table, "tsv": self._table, "parquet": self._parquet}.get(self.format, self._text)
        self.rows: Iterator[Row] = self._open()

    @property
    def read(self) -> int:
        """Bytes that were read so far."""
        try:
            return self._file.tell()
        except (OSError, ValueError):
            return 0

    def _text(self) -> Iterator[Row]:
        _, lines = self._decoded()
        if self.format == "jsonl":
            return self._objects(lines)
        if len(self.wanted.text) > 1:
            raise TransferlabError(
                f"{self.name}: a line holds one text, and this task reads {len(self.wanted.text)}: give a CSV, TSV, "
                "JSONL or Parquet file (--format)."
            )
        self.columns = (self.wanted.text[0],)
        return (self._sentences if self.format == "conll" else self._plain)(lines)

    def _decoded(self) -> tuple[str, Iterator[str]]:
        """The beginning as text, and all lines with their ends; the file is read once."""
        first = self._file.read1(SAMPLE)  # type: ignore[attr-defined]  # of a pipe what is there
        if not first:
            raise TransferlabError(f"{self.name} is empty.")
        # whole lines, since a letter may have several bytes
        cut = first.rfind(b"\n") + 1
        cut += cut % 2 if b"\0" in first[:4] else 0
        sample, encoding = decode_bytes(first[:cut] or first, self.wanted.encoding, self.name)
        self.encoding = encoding
        whole = BufferedReader(_Chained(first, self._file))
        codec = encoding.removesuffix(" (guessed)").replace("Windows-", "cp")
        codec = "utf-8-sig" if codec.upper() == "UTF-8" else codec
        return sample, self._lines(TextIOWrapper(whole, encoding=codec, newline=""))

    def _lines(self, text: TextIOWrapper) -> Iterator[str]:
        number = 0
        try:
            for line in text:
                number += 1
                yield line
        except UnicodeDecodeError as error:
            raise TransferlabError(
                f"{self.name}, behind line {number}: this is not {self.encoding}, as the lines before are; save the "
                "file in one encoding, or name it with --encoding."
            ) from error

    def _plain(self, lines: Iterator[str]) -> Iterator[Row]:
        name = self.wanted.text[0]
        return (Row(number, {name: line.rstrip("\r\n")}) for number, line in enumerate(lines, start=1))

    def _objects(self, lines: Iterator[str]) -> Iterator[Row]:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise TransferlabError(f"{self.name}, line {number}: this is not JSON.") from error
            if not isinstance(value, dict):
                raise TransferlabError(f'{self.name}, line {number}: an object such as {{"text": ...}} belongs here.')
            yield Row(number, value)

    def _sentences(self, lines: Iterator[str]) -> Iterator[Row]:
        """The first column of lines, a sentence to an empty line; what marks documents is passed over."""
        name = self.wanted.text[0]
        words: list[str] = []
        begun = 0
        for number, line in enumerate(chain(lines, [""]), start=1):
            cells = line.strip("\r\n").split("\t" if "\t" in line else None)
            marked = line.startswith(("-DOCSTART-", "#begin document", "#end document"))
            if not line.strip() or marked:
                if words:
                    yield Row(begun, {name: words})
                words = []
            elif not (line.startswith("# ") and not words):
                begun = begun if words else number
                words.append(cells[1] if cells[0].isdigit() and len(cells) == 10 else cells[0])

    def _table(self) -> Iterator[Row]:
        sample, lines = self._decoded()
        suffix = f".{self.format}"
        start = table.lines_of(sample)
        skip = 1 if start and start[0].lower().startswith("sep=") and len(start[0].strip()) == 5 else 0
        given = start[0][4] if skip else None
        names = list(self.wanted.text)
        self.delimiter = self.wanted.delimiter or given or table.delimiter_of(start, skip, names, table.SNIFFED[suffix])
        self.quoted = table.has_quotes(start, skip, self.delimiter, suffix == ".tsv")
        records = self._records(lines, skip)
        _, header = next(records)
        self.columns = tuple(name.strip() for name in header)
        if self.columns and not self.columns[-1]:
            self.columns = self.columns[:-1]
        missing = [name for name in names if name not in self.columns and not self._marks()]
        if missing:
            raise TransferlabError(
                f"{self.name}: there is no column {missing[0]!r}. Its first line names {', '.join(self.columns)}; "
                "choose with --text."
            )
        kind = table.DELIMITERS.get(self.delimiter, repr(self.delimiter))
        self.form = ", ".join(filter(None, [f"{kind}-separated", "quoted" if self.quoted else "", self.encoding]))
        return self._cells(records)

    def _marks(self) -> bool:
        return self.wanted.spans and has_spans(self.columns)

    def _records(self, lines: Iterator[str], skip: int) -> Iterator[tuple[int, list[str]]]:
        for _ in range(skip):
            next(lines)
        if not self.quoted:
            for number, line in enumerate(lines, start=skip + 1):
                if line.strip("\r\n"):
                    yield number, line.rstrip("\r\n").split(self.delimiter)
            return
        csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
        reader = csv.reader(lines, delimiter=self.delimiter, doublequote=True, strict=True)
        while True:
            begun = skip + reader.line_num + 1
            try:
                fields = next(reader, None)
            except csv.Error as error:
                raise TransferlabError(f"{self.name}, line {begun}: {error}; double quotes inside quotes.") from error
            if fields is None:
                return
            if fields:
                yield begun, fields

    def _cells(self, records: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
        width = len(self.columns)
        for line, fields in records:
            if len(fields) == width + 1 and not fields[-1]:
                fields = fields[:-1]
            if len(fields) != width:
                raise TransferlabError(
                    f"{self.name}, line {line}: {len(fields)} fields where the first line has {width}. Put a text that "
                    "holds the delimiter in double quotes, or name another one (--delimiter)."
                )
            yield Row(line, dict(zip(self.columns, fields, strict=True)))

    def _parquet(self) -> Iterator[Row]:
        import pyarrow
        from pyarrow import parquet

        try:
            file = parquet.ParquetFile(self._file)
        except pyarrow.ArrowException as error:
            raise TransferlabError(f"cannot read {self.name}: {error}") from error
        self.columns = tuple(file.schema_arrow.names)
        missing = [name for name in self.wanted.text if name not in self.columns and not self._marks()]
        if missing:
            raise TransferlabError(
                f"{self.name}: there is no column {missing[0]!r}; it has {', '.join(self.columns)}. Choose with --text."
            )
        rows = (row for batch in file.iter_batches(1024) for row in batch.to_pylist())
        return (Row(number, row) for number, row in enumerate(rows))


class _Chained(RawIOBase):
    """What was read already, then the rest of a stream."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        super().__init__()
        self._first, self._rest = first, rest

    def readable(self) -> bool:
        """Says so."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer, or a part of it."""
        data = self._first[: len(buffer)] or self._rest.read1(len(buffer))  # type: ignore[attr-defined]
        self._first = self._first[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
