"""Runs cells one after another, or a few at a time; stops them properly when asked to."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from typing import NamedTuple

from transferlab.ground import signals
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import loading
from transferlab.launch.sweeps import worker
from transferlab.launch.sweeps.cells import Cell, note
from transferlab.training import lock

TICK = 0.5
"""Seconds between two looks at signals and progress."""


class Running(NamedTuple):
    """A cell at work."""

    cell: Cell
    process: ForkServerProcess
    started: float


class Board:
    """What has become of the cells.

    Attributes:
        cells: All of them, in their order.
        states: By number: ``to do``, ``running``, ``finished``, ``failed``, ``stopped``, ``waiting for another`` (its
            teacher failed) or ``elsewhere`` (another process trains there).
        seconds: How long those took that ended in this start.
        running: Those at work.
        jobs: Cells at a time.
    """

    def __init__(self, cells: list[Cell], states: dict[int, str]) -> None:
        self.cells = cells
        self.states = states
        self.seconds: dict[int, float] = {}
        self.running: dict[int, Running] = {}
        self.jobs = 1

    def count(self, state: str) -> int:
        """Number of cells in a state."""
        return sum(1 for known in self.states.values() if known == state)

    def next(self) -> Cell | None:
        """The first cell whose turn it is."""
        for cell in self.cells:
            if self.states[cell.number] != "to do":
                continue
            before = [self.states[number] for number in cell.after]
            if any(state in {"failed", "elsewhere", "waiting for another"} for state in before):
                self.states[cell.number] = "waiting for another"
            elif all(state == "finished" for state in before):
                return cell
        return None


def prepare() -> None:
    """Starts the server that cells are forked from; it imports what they need."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # read at the import, which is the server's; a cell writes into a file
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    # one thread: on matrices as small as these more of them gain little, and on a busy machine they lose much
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    multiprocessing.get_context("forkserver").set_forkserver_preload(worker.PRELOAD)


def check(cells: list[Cell]) -> None:
    """Parses every cell's command.

    Raises:
        TransferlabError: The first mistake, with the cell that it is in.
    """
    # seeds are numbers, and cells that differ in nothing else are parsed alike
    different: dict[tuple[str, ...], Cell] = {}
    for cell in cells:
        place = cell.arguments.index("--seed_everything")
        different.setdefault((*cell.arguments[:place], *cell.arguments[place + 2 :]), cell)
    check_commands([(cell.label, cell.arguments) for cell in different.values()])


def check_commands(named: list[tuple[str, tuple[str, ...]]]) -> None:
    """Parses commands, in a process that has the slow imports behind it.

    Args:
        named: What to call each command, and what follows ``transferlab``.

    Raises:
        TransferlabError: The first mistake, behind the name of its command.
    """
    # the server of the processes does, and has not answered before
    loading()
    context = multiprocessing.get_context("forkserver")
    receive, answer = context.Pipe(duplex=False)
    process = context.Process(target=worker.check, args=([command for _, command in named], answer))
    process.start()
    answer.close()
    try:
        for name, _ in named:
            if message := receive.recv():
                raise TransferlabError(f"{name}: {message}")
    except EOFError:
        process.join()
        raise TransferlabError(
            f"the commands could not be checked: that process ended with exit code {process.exitcode}."
        ) from None
    finally:
        process.join()


def run(board: Board, jobs: int, show: Callable[[Board, str], None]) -> int:
    """Runs what is to do.

    Args:
        board: The cells, with what is known of them; kept up to date.
        jobs: Cells at a time.
        show: Told of every change with a line, and of every tick with an empty one.

    Returns:
        Exit status: 0 all finished, 1 some failed, 75 stopped.
    """
    board.jobs = jobs
    with signals.handled():
        signals.request.deferred = True
        try:
            while not signals.request.received:
                while len(board.running) < jobs and (cell := board.next()):
                    _start(board, cell, show)
                if not board.running:
                    break
                wait([one.process.sentinel for one in board.running.values()], TICK)
                _collect(board, show)
                show(board, "")
            _stop(board, show)
        finally:
            for one in board.running.values():
                send(one, signal.SIGKILL)
    if signals.request.received or board.count("stopped"):
        return signals.STOPPED
    return 0 if board.count("finished") == len(board.cells) else 1


def _start(board: Board, cell: Cell, show: Callable[[Board, str], None]) -> None:

    if lock.taken(cell.folder):
        board.states[cell.number] = "elsewhere"
        show(board, f"{cell.label}: another process is training there")
        return
    note(cell)
    process = multiprocessing.get_context("forkserver").Process(target=worker.work, args=(cell.arguments, cell.folder))
    process.start()
    board.running[cell.number] = Running(cell, process, time.monotonic())
    board.states[cell.number] = "running"
    show(board, f"{cell.label}: started")


def _collect(board: Board, show: Callable[[Board, str], None]) -> None:
    for number, one in list(board.running.items()):
        if one.process.is_alive():
            continue
        one.process.join()
        del board.running[number]
        board.seconds[number] = time.monotonic() - one.started
        code = one.process.exitcode
        stopped = code == signals.STOPPED or (code and signals.request.received)
        board.states[number] = "finished" if code == 0 else "stopped" if stopped else "failed"
        ending = f"{board.states[number]} after {board.seconds[number]:.0f} s"
        show(
            board, f"{one.cell.label}: {ending}" + (f", {reason(one.cell)}" if board.states[number] == "failed" else "")
        )


def _stop(board: Board, show: Callable[[Board, str], None]) -> None:
    """Asks the cells at work to save and end, and waits for them; a second Ctrl-C kills them."""
    for one in board.running.values():
        show(board, f"{one.cell.label}: asked to stop")
        send(one, signal.SIGTERM)
    while board.running:
        wait([one.process.sentinel for one in board.running.values()], TICK)
        _collect(board, show)
        show(board, "")


def send(one: Running, number: int) -> None:
    """Sends a signal to a cell at work, if it still is."""
    with suppress(ProcessLookupError):
        os.kill(one.process.pid or 0, number)


def reason(cell: Cell) -> str:
    """The last line that a cell printed, which says why it failed."""
    try:
        text = (cell.folder / worker.LOG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return "no output"
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"
