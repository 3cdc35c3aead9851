"""The user's files as rows."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading import questions, texts
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.cells import check_single, check_texts, parsed_lists
from transferlab.tasks.reading.columns import read_columns
from transferlab.tasks.reading.json import read_json
from transferlab.tasks.reading.place import Read, Rows
from transferlab.tasks.reading.relations import has_spans, read_semeval
from transferlab.tasks.reading.several import INTEGER, lists_of
from transferlab.tasks.reading.table import Options, read_table
from transferlab.tasks.spec import Source

TABLES = (".csv", ".tsv")
JSONS = (".jsonl", ".json", ".ndjson")
TAGGED = (".conll", ".conllu", ".txt", ".iob", ".iob2", ".bio", ".tsv", "")
"""Suffixes of files with a word and its tag on each line."""
AT_ONCE = 2**25
"""Bytes of a Parquet file that is read into memory; a larger one is unpacked by `datasets`, and mapped into memory."""
NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


def read_file(source: Source, split: str) -> Rows:
    """Reads the file of a split.

    Raises:
        TransferlabError: No such file, an unknown suffix, or a file that cannot be read; names file and line.
    """
    path = path_of(source.files, split)
    try:
        return read_path(source, path, labelled=split not in source.predict)
    except TransferlabError as error:
        # a line of the file says enough
        named = str(error).startswith(f"{path}, ")
        raise error if named else TransferlabError(f"data.source.files.{split}: {error}") from error


def path_of(files: Mapping[str, str], split: str) -> Path:
    """The file of a split.

    Raises:
        TransferlabError: There is none, or it is empty.
    """
    if split not in files:
        raise TransferlabError(f"data.source.files: no file for split {split!r}; there are {sorted(files)}.")
    path = Path(files[split])
    # unlike pathlib's, it takes any name, one that no file can have too
    if not os.path.isfile(path):
        raise TransferlabError(f"data.source.files.{split}: no such file: {path}")
    if path.stat().st_size == 0:
        raise TransferlabError(f"data.source.files.{split}: {path} is empty.")
    return path


def read_path(source: Source, path: Path, labelled: bool = True, suffix: str | None = None) -> Rows:
    """Reads a file by its suffix.

    Args:
        source: How to read it.
        path: The file.
        labelled: Whether it has the column of labels.
        suffix: Its suffix, where it lies under another name.

    Raises:
        TransferlabError: An unknown suffix, or a file that cannot be read.
    """
    tagging = source.kind == "tagging"
    suffix = path.suffix.lower() if suffix is None else suffix
    if suffix == ".parquet":
        return Rows(_parquet(path), str(path))
    if suffix in JSONS:
        read = read_json(path, source.encoding, suffix)
    elif tagging and suffix in TAGGED:
        given = (source.delimiter, source.encoding, source.header)
        read = read_columns(path, source.text[0], source.label, *given, labelled=labelled)
    elif source.kind == "relation" and suffix in (".txt", ""):
        read = read_semeval(path, source, labelled)
    elif suffix in TABLES:
        wanted = [*source.text, *((source.label_columns or [source.label]) if labelled else [])]
        options = Options(source.delimiter, source.quoted, source.encoding, source.header)
        read = read_table(path, wanted, options, suffix)
    else:
        known, tagged = ", ".join([*TABLES, *JSONS, ".parquet"]), ", ".join(filter(None, TAGGED))
        raise TransferlabError(f"{path} has an unknown suffix {suffix!r}; use {known}, or for tagging {tagged}.")
    return _as_rows(read, str(path), source, suffix in TABLES and not (tagging and suffix in TAGGED), labelled)


def _as_rows(read: Read, origin: str, source: Source, table: bool, labelled: bool) -> Rows:
    """Rows of what was read, once its cells are known to be what they have to be."""
    tagging = source.kind == "tagging"
    if source.kind == "qa":
        read = questions.flat(read, origin)
    if source.skip_empty:
        read = texts.without_empty(read, source, origin)
    located = Rows(Table.from_dict({}), origin, read.lines)
    columns = dict(read.columns)
    if source.kind == "text":
        columns = texts.written(columns, source, located.place, labelled, table)
    # words, and a column of another name, are looked at where their entities are marked
    spans = source.kind == "slots" or (source.kind == "relation" and has_spans(columns))
    for name in source.text:
        if name in columns and not spans and source.kind != "text":
            if table and tagging:
                columns[name] = parsed_lists(columns[name], name, located.place)
            check_texts(columns[name], name, tagging, located.place)
            if table and not tagging and all(NUMBER.fullmatch(cell) for cell in columns[name]):
                raise TransferlabError(
                    f"data.source.text: column {name!r} of {origin} holds nothing but numbers; name the one with texts."
                )
    columns, read = _labelled(columns, read, source, table, located.place)
    if broken := next((name for name in columns if "\0" in name), None):
        raise TransferlabError(
            f"{origin}: the column name {broken!r} holds a NUL character: the file is damaged. Write the name anew."
        )
    return Rows(Table.from_dict(columns), origin, read.lines, read.form, read.notes)


def _labelled(
    columns: dict[str, list[Any]], read: Read, source: Source, table: bool, place: Callable[[int], str]
) -> tuple[dict[str, list[Any]], Read]:
    """The columns with labels as the kind of the task has them, and what is said of the file."""
    label = source.label
    if source.kind == "qa":
        trimmed, used = questions.answered(columns, source, place)
        # Arrow need not hold them, in whatever form they came
        columns = {name: cells for name, cells in columns.items() if name not in used}
        notes = (questions.trimmed_in_words(trimmed),) if trimmed else ()
        return columns, read._replace(notes=(*read.notes, *notes))
    if label not in columns or source.kind in ("text", "slots"):
        return columns, read
    if source.kind == "tagging":
        columns[label] = parsed_lists(columns[label], label, place) if table else columns[label]
    elif source.kind == "multilabel":
        columns[label], said = lists_of(columns[label], source, place)
        read = read._replace(form=", ".join(filter(None, (read.form, said))))
    else:
        check_single(columns[label], label, source.kind, place)
        columns[label] = _typed(columns[label]) if table else columns[label]
    return columns, read


def _typed(cells: list[str | None]) -> list[Any]:
    """Labels of a table as numbers where all of them are; a number with a leading zero is a name."""
    filled = [cell for cell in cells if cell is not None]
    for pattern, kind in ((INTEGER, int), (NUMBER, float)):
        if filled and all(pattern.fullmatch(cell) for cell in filled):
            return [None if cell is None else kind(cell) for cell in cells]
    return cells


def _parquet(path: Path) -> Table:
    try:
        if path.stat().st_size <= AT_ONCE:
            return Table.from_parquet(str(path))
        import datasets

        return Table.from_datasets(datasets.load_dataset("parquet", data_files={"rows": str(path)}, split="rows"))
    except Exception as error:  # `datasets` and pyarrow have exceptions of their own
        raise TransferlabError(f"cannot read {path}: {error.__cause__ or error}") from error
