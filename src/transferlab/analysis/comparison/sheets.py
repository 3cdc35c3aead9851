"""The tables of `compare`: settings, and runs; and how they are kept."""

from collections.abc import Callable
from typing import Any

from transferlab.analysis.comparison.column import Column, T
from transferlab.analysis.comparison.columns import GROUP_COLUMNS, RUN_COLUMNS
from transferlab.analysis.comparison.groups import Summary, faults, group
from transferlab.analysis.comparison.notes import apart, equal_histories, notes
from transferlab.analysis.comparison.options import FILTERS
from transferlab.analysis.comparison.reading import finished, read, select
from transferlab.analysis.comparison.render import Sheet
from transferlab.analysis.comparison.standing import Row, block_of, standing
from transferlab.ground.errors import TransferlabError, near


def sheet(asked: Any) -> Sheet[Any]:
    """The table that is asked for on a command line.

    Raises:
        TransferlabError: No runs, no run that passes the filters, or an unknown column or reference.
    """
    columns = RUN_COLUMNS if asked.runs else GROUP_COLUMNS
    _require_column(asked.sort, [column.name for column in columns])
    summaries = select(read(asked.root), {name: getattr(asked, name) for name in FILTERS}, baselines=not asked.runs)
    hidden: list[str] = []
    if asked.finished:
        summaries, hidden = finished(summaries)
    if asked.runs:
        found: Sheet[Any] = run_sheet(summaries, asked.sort)
    else:
        found = group_sheet(summaries, asked.reference, asked.tests, asked.sort, asked.bootstrap)
    return found._replace(notes=[*found.notes, *hidden])


def _require_column(name: str, known: list[str]) -> None:
    if name not in known:
        raise TransferlabError(f"--sort: no column {name!r}{near(name, known)}. Known: {', '.join(known)}.")


def group_sheet(
    summaries: list[Summary],
    reference: str | None = None,
    tests: bool = True,
    by: str = "primary",
    bootstrap: bool = False,
) -> Sheet[Row]:
    """The table of settings.

    Args:
        summaries: What `read` returns.
        reference: See `standing`.
        tests: Whether to test for significance.
        by: Column to sort by.
        bootstrap: Whether single runs are tested by the paired bootstrap.

    Raises:
        TransferlabError: No setting has the name of the reference.
    """
    rows = standing(group(summaries), reference, tests, bootstrap)
    if by != "primary":
        rows = ordered(rows, GROUP_COLUMNS, by, _section, lambda row: row.label)
    return Sheet(GROUP_COLUMNS, rows, _section, _group_style, notes(rows))


def run_sheet(summaries: list[Summary], by: str = "primary") -> Sheet[Summary]:
    """The table of runs."""
    rows = ordered(summaries, RUN_COLUMNS, by, _task, lambda run: f"{run.get('experiment')} {run.get('run')}")
    beside = [*apart(standing(group(summaries), tests=False)), *equal_histories(summaries)]
    return Sheet(RUN_COLUMNS, rows, _task, lambda run: "dim" if faults(run) else "", beside)


def _section(row: Row) -> tuple[str, ...]:
    return block_of(row.group.key)


def _task(run: Summary) -> tuple[str, ...]:
    return (str(run.get("task") or ""),)


def _group_style(row: Row) -> str:
    if row.group.score is None:
        return "dim"
    return ("bold " if row.best else "") + ("red" if row.below else "")


def ordered(
    rows: list[T],
    columns: tuple[Column[T], ...],
    by: str,
    section: Callable[[T], tuple[str, ...]],
    name: Callable[[T], str],
) -> list[T]:
    """Sorts by section, in it by a column, the better value first and rows without a value last."""
    column = next(column for column in columns if column.name == by)

    def key(row: T) -> tuple[bool, tuple[str, ...], bool, float, str, str]:
        value, part = column.value(row), section(row)
        number, word = (0.0, value or "") if value is None or isinstance(value, str) else (column.best * value, "")
        return not part[0], part, value is None, number, word, name(row)

    return sorted(rows, key=key)
