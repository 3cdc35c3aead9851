"""The table of all runs, read from their ``summary.json``. Imports nothing that takes long to import."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab.arguments import Parser
from transferlab.errors import TransferlabError, near
from transferlab.runs import folder as run_folder

if TYPE_CHECKING:
    from rich.table import Table

Summary = dict[str, Any]
Cell = str | int | float | None


@dataclass(frozen=True)
class Column:
    """One column of the table.

    Attributes:
        name: Header of the CSV file and word for ``--sort``.
        title: Header in the other formats.
        value: Reads the cell from a summary.
        form: Format of numbers for people; CSV has them in full.
        best: -1 where large values come first when sorted, 1 where small ones do.
    """

    name: str
    title: str
    value: Callable[[Summary], Cell]
    form: str = ""
    best: int = 1

    def text(self, summary: Summary) -> str:
        """The cell for people; empty where the run does not know it."""
        value = self.value(summary)
        return "" if value is None else format(value, self.form if isinstance(value, int | float) else "")


def _at(*keys: str) -> Callable[[Summary], Cell]:
    return lambda summary: _look(summary, *keys)


def _look(summary: Summary, *keys: str) -> Cell:
    found: Any = summary
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str | int | float) else None


def _metric(part: str) -> Callable[[Summary], Cell]:
    return lambda summary: _look(summary, "metrics", f"{part}/{summary.get('primary')}")


COLUMNS = (
    Column("experiment", "experiment", _at("experiment")),
    Column("task", "task", _at("task")),
    Column("strategy", "strategy", _at("strategy")),
    Column("encoder", "encoder", _at("encoder")),
    Column("seed", "seed", _at("seed"), "d"),
    Column("protocol", "protocol", _at("protocol")),
    Column("metric", "metric", _at("primary")),
    Column("primary", "test", _metric("test"), ".4f", -1),
    Column("val", "val", _metric("val"), ".4f", -1),
    Column("trainable_pct", "trainable %", _at("params", "trainable_pct"), ".2f"),
    Column("wall_s", "time s", _at("perf", "wall_s"), ".0f"),
    Column("samples_s", "samples/s", _at("perf", "samples_s"), ".0f", -1),
    Column("peak_mem_mb", "peak MB", _at("perf", "peak_mem_mb"), ".0f"),
    Column("checkpoint_mb", "ckpt MB", _at("checkpoint_mb"), ".2f"),
    Column("train_examples", "train rows", _at("data", "train_examples"), "d"),
    Column("status", "status", _at("status")),
    Column("run", "run", _at("run")),
)
BY_NAME = {column.name: column for column in COLUMNS}
KEPT = ("experiment", "primary", "val", "status")
"""Columns that a narrow terminal shows too."""
SPARE = (
    "peak_mem_mb",
    "checkpoint_mb",
    "samples_s",
    "train_examples",
    "encoder",
    "wall_s",
    "strategy",
    "trainable_pct",
    "run",
)
"""Columns that a narrow terminal does without, the first one first."""
WIDEST = 1000
"""Characters in a line for a reader that is no terminal."""
FILTERS = ("task", "strategy", "encoder", "tag")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab compare``.

    Raises:
        TransferlabError: No runs, no run that passes the filters, or a wrong option.
    """
    asked = _parser().parse_args(arguments)
    rows = sort(select(read(asked.root), {name: getattr(asked, name) for name in FILTERS}), asked.sort)
    if asked.format == "csv":
        _print_csv(rows)
    elif asked.format == "markdown":
        print("\n".join(markdown(rows)))
    else:
        _print_table(rows)


def _parser() -> Parser:
    parser = Parser("transferlab compare", description="Table of all runs, grouped by task.", allow_abbrev=False)
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path("runs"), metavar="ROOT", help="folder of runs [runs]"
    )
    for name in FILTERS:
        parser.add_argument(f"--{name}", help=f"only runs with this {name}")
    formats = ("terminal", "markdown", "csv")
    parser.add_argument("--format", choices=formats, default="terminal", help="csv has all digits")
    parser.add_argument("--sort", choices=list(BY_NAME), default="primary", help="column to sort by within a task")
    return parser


def read(root: Path) -> list[Summary]:
    """The summaries of all runs below `root`, each with its folder's name as ``run``.

    Raises:
        TransferlabError: There are none.
    """
    found: list[Summary] = []
    for path, summary in run_folder.summaries(root):
        # a file cut off halfway may still be JSON, such as a bare number
        known = summary if isinstance(summary, dict) else {"experiment": path.parent.name, "status": "unreadable"}
        found.append({"status": "unknown", **known, "run": path.name})
    if not found:
        siblings = [other.name for other in root.absolute().parent.glob("*") if other.is_dir()]
        hint = "" if root.is_dir() else near(root.name, siblings)
        raise TransferlabError(f"no runs under {root}/{hint}. `make demo` makes some, `make exp NAME=...` makes one.")
    return found


def select(summaries: list[Summary], filters: dict[str, str | None]) -> list[Summary]:
    """The runs that pass all filters.

    Args:
        summaries: What `read` returns.
        filters: ``task``, ``strategy``, ``encoder`` or ``tag`` to the wanted value; None lets every run pass.

    Raises:
        TransferlabError: A value that no run has, or no run that has all of them.
    """
    kept = summaries
    for name, wanted in filters.items():
        if wanted is None:
            continue
        known = sorted({value for summary in summaries for value in _values(summary, name)})
        if wanted not in known:
            listed = f"Known: {', '.join(known)}." if known else f"No run has a {name}."
            raise TransferlabError(f"--{name}: no run with {name} {wanted!r}{near(wanted, known)}. {listed}")
        kept = [summary for summary in kept if wanted in _values(summary, name)]
    if not kept:
        asked = " ".join(f"--{name} {wanted}" for name, wanted in filters.items() if wanted is not None)
        raise TransferlabError(f"no run passes {asked} together; leave one of them out.")
    return kept


def _values(summary: Summary, name: str) -> list[str]:
    if name == "tag":
        tags = summary.get("tags")
        return [str(tag) for tag in tags] if isinstance(tags, list) else []
    value = summary.get(name)
    return [] if value is None else [str(value)]


def sort(summaries: list[Summary], by: str = "primary") -> list[Summary]:
    """Groups by task; within a task sorts by a column, the better value first and runs without a value last."""
    column = BY_NAME[by]

    def key(summary: Summary) -> tuple[bool, str, bool, float, str, str, str]:
        value, task = column.value(summary), _text(summary, "task")
        number, word = (0.0, value or "") if value is None or isinstance(value, str) else (column.best * value, "")
        return (not task, task, value is None, number, word, _text(summary, "experiment"), _text(summary, "run"))

    return sorted(summaries, key=key)


def _text(summary: Summary, name: str) -> str:
    return BY_NAME[name].text(summary)


def markdown(summaries: list[Summary]) -> list[str]:
    """The table as lines of Markdown."""
    lines = ["| " + " | ".join(column.title for column in COLUMNS) + " |"]
    lines.append("|" + "|".join(" ---: " if column.form else " --- " for column in COLUMNS) + "|")
    for summary in summaries:
        lines.append("| " + " | ".join(column.text(summary).replace("|", "\\|") for column in COLUMNS) + " |")
    return lines + [f"\n{note}" for note in notes(summaries)]


def notes(summaries: list[Summary]) -> list[str]:
    """A warning for each task whose runs cannot be compared with one another."""
    protocols: dict[str, set[str]] = {}
    for summary in summaries:
        if _text(summary, "protocol"):
            protocols.setdefault(_text(summary, "task"), set()).add(_text(summary, "protocol"))
    return [
        f"{task}: runs of different protocols ({', '.join(sorted(names))}); compare within one of them only."
        for task, names in sorted(protocols.items())
        if len(names) > 1
    ]


def _print_csv(summaries: list[Summary]) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(column.name for column in COLUMNS)
    writer.writerows(["" if (v := c.value(summary)) is None else v for c in COLUMNS] for summary in summaries)


def _print_table(summaries: list[Summary]) -> None:
    from rich.console import Console

    screen = Console(highlight=False)
    if not screen.is_terminal:
        # nobody looks: lines as long as they need to be
        screen = Console(highlight=False, width=WIDEST)
    shown = _fitting(summaries, screen.width)
    hidden = [column for column in COLUMNS if column not in shown]
    screen.print(_table(shown, summaries))
    same = [f"{c.title} {c.text(summaries[0])}" for c in hidden if _same(c, summaries) and c.text(summaries[0])]
    if same:
        screen.print(f"the same in all rows: {', '.join(same)}", markup=False)
    if narrow := [column.title for column in hidden if not _same(column, summaries)]:
        screen.print(f"left out for want of width: {', '.join(narrow)}; --format csv has them", markup=False)
    for note in notes(summaries):
        screen.print(note, markup=False)


def _same(column: Column, summaries: list[Summary]) -> bool:
    return len(summaries) > 1 and len({column.text(summary) for summary in summaries}) == 1


def _fitting(summaries: list[Summary], width: int) -> list[Column]:
    """The columns that fit: all; else without those that say the same in all rows; else without the least needed."""
    from rich.console import Console

    screen = Console(width=WIDEST)
    shown = list(COLUMNS)
    spare = [column for column in COLUMNS if _same(column, summaries) and column.name not in KEPT]
    spare += [BY_NAME[name] for name in SPARE if BY_NAME[name] not in spare]
    while spare and screen.measure(_table(shown, summaries)).maximum > width:
        shown.remove(spare.pop(0))
    return shown


def _table(columns: Iterable[Column], summaries: list[Summary]) -> "Table":
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
    for column in columns:
        table.add_column(column.title, justify="right" if column.form else "left", overflow="fold")
    for summary, following in zip(summaries, [*summaries[1:], {}], strict=True):
        style = "" if summary.get("status") == "finished" else "dim"
        last = _text(summary, "task") != _text(following, "task")
        table.add_row(*(escape(column.text(summary)) for column in columns), style=style, end_section=last)
    return table
