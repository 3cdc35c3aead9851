"""CSV and TSV: no column is an index, no row has more or fewer fields than the header, and how it was read is told."""

import csv
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.place import Read
from transferlab.tasks.reading.text import decode

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar", ":": "colon", " ": "blank"}
SNIFFED = {".csv": (",", ";", "\t", "|"), ".tsv": ("\t", ";", ",", "|")}
QUOTE = '"'
Record = tuple[int, list[str]]
"""The line that a row begins on, and its fields."""


class Options(NamedTuple):
    """What the user says of a file; None: to be found out.

    Attributes:
        delimiter: What stands between two fields.
        quoted: Whether fields may stand in double quotes, with doubled ones inside.
        encoding: A name that Python knows.
        header: Whether the first line names the columns.
    """

    delimiter: str | None = None
    quoted: bool | None = None
    encoding: str | None = None
    header: bool | None = None


class Fault(Exception):
    """A file cannot be read in some way: line and reason."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def read_table(path: Path, wanted: Sequence[str], options: Options, suffix: str = ".csv") -> Read:
    """Reads a table of text cells.

    Args:
        path: The file.
        wanted: Names of columns that tell the delimiter and the header; numbers (from 0) where there is no header.
        options: What need not be found out.
        suffix: ``.tsv`` for a table that has tabs and raw quotes, unless it looks otherwise.

    Raises:
        TransferlabError: A line with more or fewer fields than the header, or quotes that do not close.
    """
    text, encoding = decode(path, options.encoding)
    lines = lines_of(text)
    skip = 0
    if lines and lines[0].lower().startswith("sep=") and len(lines[0].rstrip("\r\n")) == 5:
        # a line that spreadsheets understand
        options, skip = options._replace(delimiter=options.delimiter or lines[0][4]), 1
    if not any(line.strip() for line in lines[skip:]):
        raise TransferlabError(f"{path} has no rows.")
    delimiter = options.delimiter or delimiter_of(lines, skip, wanted, SNIFFED[suffix])
    try:
        records, quoted = _records(lines, skip, delimiter, options.quoted, suffix == ".tsv")
    except Fault as fault:
        raise TransferlabError(f"{path}, line {fault.line}: {fault.reason}") from fault
    first = [name.strip() for name in records[0][1]]
    numbered = all(name.lstrip("-").isdigit() for name in wanted) and not set(wanted) <= set(first)
    header = options.header
    if header is None:
        header = not numbered or _differs(records, int(wanted[-1]))
    body = [record for record in records[int(header) :] if any(field.strip() for field in record[1])]
    if not body:
        raise TransferlabError(f"{path} has no rows.")
    names = first if header and not numbered else [str(place) for place in range(len(first))]
    for name in wanted:
        if names.count(name) > 1:
            raise TransferlabError(f"{path}: {names.count(name)} columns are called {name!r}; rename one of them.")
    places = {name: place for place, name in enumerate(names) if name}
    if numbered:
        # from the end
        places |= {name: len(first) + int(name) for name in wanted if -len(first) <= int(name) < 0}
    # a cell of blanks is an empty one
    columns = {name: [fields[at] if fields[at].strip() else None for _, fields in body] for name, at in places.items()}
    said = [f"{DELIMITERS.get(delimiter, repr(delimiter))}-separated", "quoted" if quoted else "", encoding]
    said += ["" if header else "without a header"]
    return Read(columns, [line for line, _ in body], ", ".join(filter(None, said)))


def lines_of(text: str) -> list[str]:
    """Lines with their ends, as an editor shows them; files of old Macs have carriage returns only."""
    lines = text.replace("\r", "\n").split("\n") if "\n" not in text else text.split("\n")
    return [f"{line}\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])


def delimiter_of(lines: list[str], skip: int, wanted: Sequence[str], candidates: Sequence[str]) -> str:
    """The delimiter under which the first row has the wanted columns; else the one that splits all rows alike."""
    best, most = candidates[0], (-1, -1)
    for delimiter in candidates:
        fields = _first(lines, skip, delimiter)
        named = sum(name in fields for name in wanted)
        some = [len(line.split(delimiter)) for line in lines[skip : skip + 50] if line.strip()]
        alike = min(some) if len(set(some)) == 1 else 0
        score = (named, alike if alike > 1 else 0)
        if score > most:
            best, most = delimiter, score
    return best


def _first(lines: list[str], skip: int, delimiter: str) -> list[str]:
    try:
        return [field.strip() for field in next(iter(_quoted(lines, skip, delimiter)))[1]]
    except (Fault, StopIteration):
        return []


def _differs(records: list[Record], place: int) -> bool:
    """Whether the first row names columns: its label comes never again, or it is no number as all the others are."""
    first, *rest = (fields[place] for _, fields in records if -len(fields) <= place < len(fields))
    if first in rest or not rest:
        return False
    return 2 * len(set(rest)) <= len(rest) or (not _number(first) and all(map(_number, rest)))


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _records(
    lines: list[str], skip: int, delimiter: str, quoted: bool | None, raw_first: bool
) -> tuple[list[Record], bool]:
    """All rows, with as many fields as the first one, and whether quotes were taken off.

    Raises:
        Fault: A row has another number of fields.
    """
    has_quotes = any(QUOTE in line for line in lines)
    if quoted is None and has_quotes and raw_first and not _written_with_quotes(lines[skip:], delimiter):
        try:
            return _even(list(_plain(lines, skip, delimiter))), False
        except Fault:
            # a field in quotes may hold a tab or an end of line
            quoted = True
    if quoted is False or not has_quotes:
        return _even(list(_plain(lines, skip, delimiter))), False
    try:
        return _even(list(_quoted(lines, skip, delimiter))), True
    except Fault as fault:
        for written in _other_quotes(lines, delimiter):
            with suppress(Fault):
                return _even(list(_quoted(written, skip, delimiter))), True
        if quoted:
            raise
        try:
            return _even(list(_plain(lines, skip, delimiter))), False
        except Fault:
            raise fault from None


def _other_quotes(lines: list[str], delimiter: str) -> Iterator[list[str]]:
    """The lines as they would be with doubled quotes: of backslashes before them, of blanks behind closing ones."""
    if any('\\"' in line for line in lines):
        yield [line.replace('\\"', '""') for line in lines]
    blanks = re.compile(rf'" +(?={re.escape(delimiter)}|\r?\n|$)')
    if delimiter != " " and any(blanks.search(line) for line in lines):
        yield [blanks.sub('"', line) for line in lines]


def has_quotes(lines: list[str], skip: int, delimiter: str, raw_first: bool) -> bool:
    """Whether fields are in quotes, as far as the first lines of a file tell."""
    try:
        return _records(lines, skip, delimiter, None, raw_first)[1]
    except Fault:
        return True


def _spaced(lines: list[str], skip: int, delimiter: str) -> bool:
    """Whether a blank stands behind each delimiter, as people type it."""
    first = next((line for line in lines[skip:] if line.strip()), "").split(delimiter)
    return delimiter != " " and len(first) > 1 and all(field.startswith(" ") for field in first[1:])


def _plain(lines: list[str], skip: int, delimiter: str) -> Iterator[Record]:
    spaced = _spaced(lines, skip, delimiter)
    for number, line in enumerate(lines[skip:], start=skip + 1):
        if line.strip("\r\n"):
            fields = line.rstrip("\r\n").split(delimiter)
            yield number, [fields[0], *(field.lstrip(" ") for field in fields[1:])] if spaced else fields


def _quoted(lines: list[str], skip: int, delimiter: str) -> Iterator[Record]:
    # the library's limit is meant for headers gone wrong; documents are longer
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    spaced = _spaced(lines, skip, delimiter)
    reader = csv.reader(
        lines[skip:], delimiter=delimiter, quotechar=QUOTE, doublequote=True, strict=True, skipinitialspace=spaced
    )
    start = skip
    while True:
        begun = start + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            reason = "a quote is opened that is not closed" if "unexpected end" in str(error) else str(error)
            raise Fault(begun, f"{reason}; double quotes inside quotes, or set data.source.quoted: false.") from error
        if fields is None:
            return
        start = skip + reader.line_num
        if fields:
            yield begun, fields


def _written_with_quotes(lines: list[str], delimiter: str) -> bool:
    """Whether a program put fields in quotes: all that hold a quote are quoted, and they need it or their column is.

    A raw file, such as GLUE's, has quotes as a text has them.
    """
    rows = [line.rstrip("\r\n").split(delimiter) for line in lines if line.strip()]
    marked = [field for row in rows for field in row if QUOTE in field]
    if not all(_in_quotes(field) for field in marked):
        return False
    if all(QUOTE * 2 in field[1:-1] for field in marked):
        return True
    width = min(len(row) for row in rows)
    return any(all(_in_quotes(row[place]) for row in rows[1:]) for place in range(width) if len(rows) > 1)


def _in_quotes(field: str) -> bool:
    inside = field[1:-1]
    return len(field) > 1 and field[0] == field[-1] == QUOTE and QUOTE not in inside.replace(QUOTE * 2, "")


def _even(records: list[Record]) -> list[Record]:
    """Rows with as many fields as the first one; an empty field behind a delimiter at the end of each line is dropped.

    Raises:
        Fault: Another number of fields.
    """
    width = len(records[0][1])
    rest = records[1:]
    if rest and all(len(fields) == width + 1 and not fields[-1] for _, fields in rest):
        rest = [(line, fields[:-1]) for line, fields in rest]
    elif width > 1 and not records[0][1][-1] and all(not fields[-1] for _, fields in rest if len(fields) == width):
        # all rows have the delimiter, or the header alone
        width -= 1
        rest = [(line, fields[:-1] if len(fields) == width + 1 else fields) for line, fields in rest]
    for line, fields in rest:
        if len(fields) != width:
            raise Fault(
                line,
                f"{len(fields)} fields where the first line has {width}: {_shown(fields)}. Put a text that holds the "
                "delimiter in double quotes, or name another delimiter (data.source.delimiter).",
            )
    return [(records[0][0], records[0][1][:width]), *rest]


def _shown(fields: list[str]) -> str:
    text = " | ".join(fields)
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
