"""How a sweep shows where it is: one live table on a terminal, a line for each change elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from transferlab.ground.progress import clock
from transferlab.launch.sweeps.cells import Cell
from transferlab.launch.sweeps.run import Board
from transferlab.record import folder as run_folder

if TYPE_CHECKING:
    from rich.console import Group

Show = Callable[[Board, str], None]
SHOWN = ("finished", "running", "failed", "waiting for another", "elsewhere", "stopped", "to do")


@contextmanager
def progress(board: Board) -> Iterator[Show]:
    """What `transferlab.launch.sweeps.run.run` tells its changes to."""
    from rich.console import Console

    screen = Console(highlight=False)
    if not screen.is_terminal:
        yield _print_lines
        return
    from rich.live import Live

    with Live(console=screen, refresh_per_second=2, get_renderable=lambda: _picture(board)) as live:

        def show(board: Board, line: str) -> None:
            # what began is in the picture already
            if line and not line.endswith(": started"):
                live.console.print(line, markup=False)

        yield show


def _print_lines(board: Board, line: str) -> None:
    if line:
        done = board.count("finished")
        print(f"[{done}/{len(board.cells)}] {line}{_value(board, line)}{_left(board)}", flush=True)


def _value(board: Board, line: str) -> str:
    """The result of the cell that a line says has finished."""
    label, _, event = line.partition(": ")
    if not event.startswith("finished"):
        return ""
    folder = next(cell.folder for cell in board.cells if cell.label == label)
    summary = run_folder.read_summary(folder)
    value = (summary.get("metrics") or {}).get(f"test/{summary.get('primary')}")
    return f", test/{summary['primary']} {value:.4f}" if isinstance(value, int | float) else ""


def _left(board: Board) -> str:
    seconds = left(board)
    return "" if seconds is None else f"; {clock(seconds)} left"


def _picture(board: Board) -> "Group":
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    counts = [f"{board.count(state)} {state}" for state in SHOWN if board.count(state)]
    lines: list[Any] = [ProgressBar(len(board.cells), board.count("finished"), width=60)]
    lines.append(Text(", ".join(counts) + f" of {len(board.cells)}{_left(board)}"))
    for one in board.running.values():
        lines.append(Text(f"  {one.cell.label}  {clock(time.monotonic() - one.started)}", style="bold"))
    return Group(*lines)


def left(board: Board) -> float | None:
    """Seconds that the rest takes if cells go on taking what those of their experiment took; None without any.

    One of an experiment that none has finished of is taken for the mean of all; a baseline says nothing of a training.
    """
    took: dict[tuple[str, ...], list[float]] = {}
    every: dict[tuple[str, ...], list[float]] = {}
    for cell in board.cells:
        if board.states[cell.number] == "finished":
            seconds = board.seconds.get(cell.number)
            if seconds is None:
                seconds = (run_folder.read_summary(cell.folder).get("perf") or {}).get("wall_s")
            if isinstance(seconds, int | float):
                took.setdefault(_kind(cell, cell.folder.parent.name), []).append(seconds)
                every.setdefault(_kind(cell), []).append(seconds)
    rest, cells = 0.0, 0
    for cell in board.cells:
        if board.states[cell.number] in {"to do", "running"}:
            times = took.get(_kind(cell, cell.folder.parent.name)) or every.get(_kind(cell))
            if times is None:
                return None
            one = board.running.get(cell.number)
            cells += 1
            rest += max(sum(times) / len(times) - (time.monotonic() - one.started if one else 0), 0)
    return rest / max(min(board.jobs, cells), 1)


def _kind(cell: Cell, *further: str) -> tuple[str, ...]:
    return (*cell.arguments[:1], *further)
