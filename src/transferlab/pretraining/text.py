"""Where unlabelled text comes from: splits of a task, files, a data set on the Hub; read a part at a time."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from transferlab.config import hashes
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least
from transferlab.tasks.inspection.plain import as_text
from transferlab.tasks.named import source_of
from transferlab.tasks.sources import identity, read_split
from transferlab.tasks.spec import Source

PART = 1000
"""Documents that are read at a time."""


@dataclass(frozen=True)
class Text:
    """Documents to pretrain on; exactly one of `task`, `path` and `files` says where they are.

    Attributes:
        task: Name of a task whose texts are read, labels left aside; of pairs each text is a document.
        path: Name of a data set on the Hub, or a folder laid out like one.
        config: Configuration of that data set.
        revision: Commit on the Hub; needed there, since what is read is kept under its name.
        files: Text, JSONL and Parquet files, read in this order.
        splits: Splits of the task or data set, read in this order.
        column: Column with the text, of a data set, JSONL or Parquet file.
        documents: What a document is in a text file: ``paragraphs`` between blank lines, ``lines``, or the whole
            ``file``.
        most: Read only that many documents, the first ones; null: all.
    """

    task: str = ""
    path: str = ""
    config: str | None = None
    revision: str | None = None
    files: tuple[str, ...] = ()
    splits: tuple[str, ...] = ("train",)
    column: str = "text"
    documents: Literal["paragraphs", "lines", "file"] = "paragraphs"
    most: int | None = None

    def __post_init__(self) -> None:
        at_least(1, data__text__most=self.most)
        if sum(map(bool, (self.task, self.path, self.files))) != 1:
            raise TransferlabError("data.text: set one of data.text.task, data.text.path and data.text.files.")

    @property
    def name(self) -> str:
        """What tables call it."""
        if self.task:
            return self.task
        return (self.path or Path(self.files[0]).stem).rstrip("/").rsplit("/", 1)[-1]

    @property
    def source(self) -> Source:
        """Where a task or a data set is read from."""
        return source_of(self.task) if self.task else Source(self.path, self.config, self.revision, text=(self.column,))

    @property
    def identity(self) -> Any:
        """Names the text by content.

        Raises:
            TransferlabError: A data set on the Hub without a revision, which may change unseen; or no such file.
        """
        how = [self.splits, self.column, self.documents, self.most]
        if self.files:
            return [*how, *(hashes.of_file(_existing(file)) for file in self.files)]
        source = self.source
        known = identity(source)
        if known is None and source.path != "embedded":
            raise TransferlabError(
                f"data.text.revision: name the commit of {source.path} that is to be read; its main branch moves."
            )
        # the same folder holds several configurations
        return [*how, known, asdict(source)]

    def read(self) -> Iterator[str]:
        """The documents, in order; those without text are left out.

        Raises:
            TransferlabError: Something that cannot be read.
        """
        found = self._files() if self.files else self._rows()
        return itertools.islice((text for text in found if text.strip()), self.most)

    def _rows(self) -> Iterator[str]:
        source = self.source
        for split in self.splits:
            rows = read_split(source, split)
            for column in source.text:
                if column not in rows.rows.column_names:
                    raise TransferlabError(
                        f"data.text.column: {rows.origin} has no column {column!r}; it has "
                        f"{', '.join(rows.rows.column_names)}."
                    )
            # a part at a time from a file that is mapped into memory
            for part in rows.rows.select_columns(list(source.text)).iter(PART):
                for texts in zip(*(part[column] for column in source.text), strict=True):
                    yield from map(as_text, texts)

    def _files(self) -> Iterator[str]:
        for file in self.files:
            path = _existing(file)
            match path.suffix.lower():
                case ".jsonl" | ".ndjson":
                    yield from _of_jsonl(path, self.column)
                case ".parquet":
                    yield from _of_parquet(path, self.column)
                case ".txt" | ".text" | "":
                    yield from _of_text(path, self.documents)
                case other:
                    raise TransferlabError(f"data.text.files: {path}: {other} is none of .txt, .jsonl and .parquet.")


def _existing(file: str) -> Path:
    if not (path := Path(file)).is_file():
        raise TransferlabError(f"data.text.files: no such file: {file}")
    return path


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8-sig") as lines:
        try:
            yield from lines
        except UnicodeDecodeError as error:
            raise TransferlabError(
                f"data.text.files: {path} is not UTF-8 ({error.reason}); save it as UTF-8."
            ) from error


def _of_text(path: Path, documents: str) -> Iterator[str]:
    if documents == "lines":
        yield from (line.rstrip("\n") for line in _lines(path))
        return
    gathered: list[str] = []
    for line in _lines(path):
        if documents == "paragraphs" and not line.strip():
            yield "".join(gathered)
            gathered = []
        else:
            gathered.append(line)
    yield "".join(gathered)


def _of_jsonl(path: Path, column: str) -> Iterator[str]:
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            yield as_text(row[column])
        except (ValueError, KeyError, TypeError) as error:
            raise TransferlabError(
                f"{path}, line {number}: no JSON object with the key {column!r} (data.text.column)."
            ) from error


def _of_parquet(path: Path, column: str) -> Iterator[str]:
    from pyarrow import ArrowException, parquet

    try:
        file = parquet.ParquetFile(path)
        if column not in file.schema_arrow.names:
            names = ", ".join(file.schema_arrow.names)
            raise TransferlabError(f"data.text.column: {path} has no column {column!r}; it has {names}.")
        for part in file.iter_batches(PART, columns=[column]):
            yield from map(as_text, part.column(0).to_pylist())
    except (ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise TransferlabError(f"data.text.files: {path} cannot be read as Parquet ({reason}).") from error
