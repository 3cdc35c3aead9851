"""A table of columns and rows for the terminal, as Markdown, CSV and LaTeX."""

import functools
import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from transferlab.analysis.comparison.column import DIFFERING, KEPT, OF_TEXTS, SPARE, Cell, Column
from transferlab.ground import escapes

if TYPE_CHECKING:
    from rich.table import Table

T = TypeVar("T")
WIDEST = 1000
"""Characters in a line for a reader that is no terminal."""


class Sheet(NamedTuple, Generic[T]):
    """What is shown.

    Attributes:
        columns: Those without a title stand in CSV only.
        rows: From top to bottom.
        section: A line is drawn where it changes.
        style: Words of rich for a row, such as ``dim`` or ``red``; with ``bold`` its result is set in bold everywhere.
        notes: Sentences below the table.
    """

    columns: Sequence[Column[T]]
    rows: Sequence[T]
    section: Callable[[T], Any]
    style: Callable[[T], str]
    notes: Sequence[str] = ()

    @property
    def titled(self) -> list[Column[T]]:
        """The columns for people."""
        return [
            column
            for column in self.columns
            if column.title and (column.name not in OF_TEXTS or any(column.text(row) for row in self.rows))
        ]


class Kept(NamedTuple):
    """A row of a sheet whose cells are worked out: of each column the value, and the text for people."""

    values: list[Cell]
    texts: list[str]
    section: list[str]
    style: str


def pack(sheet: Sheet[T]) -> bytes:
    """All cells of a sheet, in JSON."""
    rows = []
    for row in sheet.rows:
        values = [column.value(row) for column in sheet.columns]
        texts = [
            "" if not column.title else column.shown(row) if column.shown else column.written(value)
            for column, value in zip(sheet.columns, values, strict=True)
        ]
        rows.append(Kept(values, texts, sheet.section(row), sheet.style(row)))
    columns = [(column.name, column.title, column.form) for column in sheet.columns]
    return json.dumps([columns, rows, list(sheet.notes)]).encode()


def unpack(payload: bytes) -> Sheet[Kept]:
    """The sheet that `pack` put together; its cells are those of before."""
    columns, rows, notes = json.loads(payload)
    return Sheet(
        [_kept(place, *column) for place, column in enumerate(columns)],
        [Kept(*row) for row in rows],
        lambda row: row.section,
        lambda row: row.style,
        notes,
    )


def _kept(place: int, name: str, title: str, form: str) -> Column[Kept]:
    return Column(name, title, lambda row: row.values[place], form, shown=lambda row: row.texts[place])


def show(sheet: Sheet[T], form: str) -> None:
    """Prints a sheet as ``terminal``, ``markdown``, ``csv`` or ``latex``."""
    if form == "csv":
        _print_csv(sheet)
    elif form == "terminal":
        _print_table(sheet)
    else:
        print("\n".join(markdown(sheet) if form == "markdown" else latex(sheet)))


def markdown(sheet: Sheet[T]) -> list[str]:
    """The table as lines of Markdown."""
    titled = sheet.titled
    lines = ["| " + " | ".join(column.title for column in titled) + " |"]
    lines.append("|" + "|".join(" ---: " if column.form else " --- " for column in titled) + "|")
    for row in sheet.rows:
        cells = [_emphasis(sheet, row, column, "**{}**", escapes.markdown) for column in titled]
        lines.append("| " + " | ".join(cells) + " |")
    return lines + [f"\n{escapes.markdown(note)}" for note in sheet.notes]


def latex(sheet: Sheet[T]) -> list[str]:
    """The table in LaTeX, for the package booktabs; columns that are the same in all rows stand in a comment."""
    shown = [column for column in sheet.titled if column.name in KEPT or not _same(column, sheet.rows)]
    same = [f"{c.title} {text}" for c in sheet.titled if c not in shown and (text := c.text(sheet.rows[0]))]
    lines = [f"% the same in all rows: {', '.join(same)}"] if same else []
    lines += [r"\begin{tabular}{" + "".join("r" if column.form else "l" for column in shown) + "}", r"\toprule"]
    lines += [" & ".join(_tex(column.title) for column in shown) + r" \\", r"\midrule"]
    for number, row in enumerate(sheet.rows):
        if number and sheet.section(row) != sheet.section(sheet.rows[number - 1]):
            lines.append(r"\midrule")
        lines.append(" & ".join(_emphasis(sheet, row, column, r"\textbf{{{}}}", _tex) for column in shown) + r" \\")
    return [
        *lines,
        r"\bottomrule",
        r"\end{tabular}",
        *(f"% {' '.join(escapes.visible(note).split())}" for note in sheet.notes),
    ]


def _emphasis(sheet: Sheet[T], row: T, column: Column[T], bold: str, escape: Callable[[str], str]) -> str:
    text = escape(column.text(row))
    return bold.format(text) if text and column.name == "primary" and "bold" in sheet.style(row) else text


TEX = {
    "\\": r"\textbackslash{}",
    "±": r"$\pm$",
    "★": r"$\star$",
    "†": r"$\dagger$",
    "▼": r"$\downarrow$",
    "<": "$<$",
    ">": "$>$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}


def _tex(text: str) -> str:
    return "".join(TEX.get(letter, letter) for letter in escapes.visible(text))


def _print_csv(sheet: Sheet[T]) -> None:
    import csv

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(column.name for column in sheet.columns)
    # most words stand in many rows
    cell = functools.cache(escapes.cell)
    for row in sheet.rows:
        values = [column.value(row) for column in sheet.columns]
        writer.writerow(["" if v is None else cell(v) if isinstance(v, str) else v for v in values])
    sys.stdout.write(text.getvalue())


def _print_table(sheet: Sheet[T]) -> None:
    from rich.console import Console

    screen = Console(highlight=False)
    if not screen.is_terminal:
        # nobody looks: lines as long as they need to be
        screen = Console(highlight=False, width=WIDEST)
    shown = fitting(sheet, screen.width)
    hidden = [column for column in sheet.titled if column not in shown]
    screen.print(_table(shown, sheet))
    same = [f"{c.title} {c.text(sheet.rows[0])}" for c in hidden if _same(c, sheet.rows) and c.text(sheet.rows[0])]
    if same:
        screen.print(f"the same in all rows: {', '.join(same)}", markup=False)
    if narrow := [column.title for column in hidden if not _same(column, sheet.rows)]:
        screen.print(f"left out for want of width: {', '.join(narrow)}; --format csv has them", markup=False)
    for note in sheet.notes:
        screen.print(escapes.visible(note), markup=False)


def _same(column: Column[T], rows: Sequence[T]) -> bool:
    return len(rows) > 1 and len({column.text(row) for row in rows}) == 1


def fitting(sheet: Sheet[T], width: int) -> list[Column[T]]:
    """The columns that fit: all; else without those that say the same in all rows; else without the least needed."""
    from rich.console import Console

    screen = Console(width=WIDEST)
    shown = sheet.titled
    by_name = {column.name: column for column in shown}
    spare = [column for column in shown if _same(column, sheet.rows) and column.name not in KEPT]
    # rows that cannot be compared must look it
    kept = (*KEPT, *(name for name in DIFFERING if name in by_name and not _same(by_name[name], sheet.rows)))
    spare += [by_name[name] for name in SPARE if name in by_name and by_name[name] not in spare and name not in kept]
    while spare and screen.measure(_table(shown, sheet)).maximum > width:
        shown.remove(spare.pop(0))
    return shown


def _table(columns: Sequence[Column[T]], sheet: Sheet[T]) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column.title, justify="right" if column.form else "left", overflow="fold")
    for number, row in enumerate(sheet.rows):
        last = number + 1 < len(sheet.rows) and sheet.section(row) != sheet.section(sheet.rows[number + 1])
        cells = (escape(escapes.visible(column.text(row))) for column in columns)
        table.add_row(*cells, style=sheet.style(row), end_section=last)
    return table
