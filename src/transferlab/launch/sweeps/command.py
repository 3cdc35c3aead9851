"""``transferlab sweep`` and ``transferlab seeds``."""

import os
import re
import sys
from argparse import Namespace
from pathlib import Path

import yaml

from transferlab.config import grids as spec
from transferlab.ground import room
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import clock
from transferlab.launch.cluster import arrays
from transferlab.launch.cluster.command import split
from transferlab.launch.cluster.settings import Slurm, read
from transferlab.launch.sweeps import run, view, worker
from transferlab.launch.sweeps.cells import Cell, build, state, tracks
from transferlab.record import folder as run_folder

JOBS = "runs at a time [as many as there are cores and memory for; 1 with a GPU]"
MEMORY = 2500.0
"""MB that a run is taken to need before one of them has shown it."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab sweep``.

    Raises:
        TransferlabError: A mistake in the file or the options.
    """
    parser = _parser("transferlab sweep", "A grid of runs; those that are finished are left alone.")
    parser.add_argument("file", metavar="FILE", help="configs/sweep/FILE.yaml, or a path")
    mine, cluster = split(arguments)
    asked, rest = parser.parse_known_args(mine)
    _reject(parser, rest)
    again = ["sweep", asked.file]
    _go(spec.read(spec.find(asked.file)), asked, again, cluster)


def seeds(arguments: list[str]) -> None:
    """Runs ``transferlab seeds``: one experiment with several seeds.

    Raises:
        TransferlabError: A mistake in the options.
    """
    parser = _parser(
        "transferlab seeds", "An experiment with several seeds; further --key value pairs are handed to every run."
    )
    parser.add_argument("name", metavar="NAME", help="an experiment, as in `transferlab list`")
    parser.add_argument("--seeds", type=int, help="how many, from 0 on [5; with folds 1]")
    parser.add_argument("--folds", type=int, help="cross-validation: as many runs for each seed, a fold each")
    parser.add_argument("--name", dest="sweep", default="seeds", help="begins the names of the run directories [seeds]")
    mine, cluster = split(arguments)
    asked, rest = parser.parse_known_args(mine)
    count = asked.seeds if asked.seeds is not None else 1 if asked.folds else 5
    tree = {"experiments": [asked.name], "seeds": count, "folds": asked.folds, "set": _pairs(parser, rest)}
    folds = ["--folds", str(asked.folds)] if asked.folds else []
    again = ["seeds", asked.name, "--seeds", str(count), *folds, "--name", asked.sweep, *rest]
    _go(spec.parse(tree, asked.sweep, parser.prog), asked, again, cluster)


def _parser(name: str, description: str) -> Parser:
    parser = Parser(name, description=description)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder that holds all runs [runs]")
    parser.add_argument("--dry", action="store_true", help="only list the cells and what has become of them")
    parser.add_argument("--jobs", type=int, help=JOBS)
    parser.add_argument(
        "--launcher", choices=("local", "slurm"), default="local", help="slurm: an array of jobs [local]"
    )
    parser.add_argument(
        "--cluster", default="slurm", metavar="NAME", help="with slurm: configs/cluster/NAME.yaml [slurm]"
    )
    parser.add_argument("--cell", default="", metavar="N[,N]", help="only these cells, by their number in --dry")
    return parser


def _reject(parser: Parser, rest: list[str]) -> None:
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")


def _pairs(parser: Parser, rest: list[str]) -> dict[str, object]:
    found: dict[str, object] = {}
    words = iter(rest)
    for word in words:
        key, given, value = word.partition("=")
        # a key of an experiment has a dot; anything else is a misspelt option
        if not re.fullmatch(r"--[a-z_]+(\.\w+)+", key):
            parser.error(f"unrecognized arguments: {word}")
        value = value if given else next(words, "")
        try:
            found[key[2:]] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise TransferlabError(f"{key}: {value!r} is no value.") from error
    return found


def _go(sweep: spec.Sweep, asked: Namespace, again: list[str], cluster: dict[str, str]) -> None:
    if cluster and asked.launcher != "slurm":
        raise TransferlabError(f"--cluster.{next(iter(cluster))}: is for --launcher slurm (LAUNCHER=slurm).")
    cells = build(sweep, asked.root)
    states = {cell.number: state(cell) for cell in cells}
    jobs = jobs_of(asked.jobs, cells)
    if asked.dry and asked.launcher == "local":
        _list(cells, states, jobs)
        return
    cells = _chosen(cells, asked.cell)
    todo = [cell for cell in cells if states[cell.number] != "finished"]
    if asked.launcher == "slurm":
        settings = read(Path("configs") / "cluster" / f"{asked.cluster}.yaml", cluster)
        if todo and not asked.dry:
            run.prepare()
            run.check(todo)
        _submit(sweep.name, cells, asked, again, settings)
        return
    at_once = f"; {jobs} at a time" if len(todo) > 1 and jobs > 1 else ""
    print(f"{sweep.name}: {len(cells)} cells, {len(cells) - len(todo)} of them finished{at_once}", flush=True)
    board = run.Board(cells, {c.number: "to do" if c in todo else "finished" for c in cells})
    if todo:
        run.prepare()
        run.check(todo)
        with view.progress(board) as show:
            code = run.run(board, jobs, show)
        report(board, code)
        sys.exit(code)


def jobs_of(asked: int | None, cells: list[Cell]) -> int:
    """How many cells run at a time: what was asked for, else what the machine has cores and memory for.

    Args:
        asked: What was asked for.
        cells: All of them; the largest peak memory of those that are finished is what another one is taken to need.

    Raises:
        TransferlabError: Less than one.
    """
    if asked is not None:
        if asked < 1:
            raise TransferlabError(f"--jobs: {asked} is not 1 or more.")
        return asked
    known = [(run_folder.read_summary(cell.folder).get("perf") or {}).get("peak_mem_mb") for cell in cells]
    peak = max((1.2 * found for found in known if isinstance(found, int | float)), default=MEMORY)
    threads = os.environ.get("OMP_NUM_THREADS", "1")
    return min(room.processes(peak, int(threads) if threads.isdigit() else 1), len(cells))


def _submit(name: str, cells: list[Cell], asked: Namespace, again: list[str], settings: Slurm) -> None:
    """One element of an array for each cell, or for a teacher with its students."""
    elements = []
    for track in tracks(cells):
        numbers = ",".join(str(cell.number) for cell in track)
        arguments = [*again, "--root", str(asked.root), "--cell", numbers]
        elements.append(arrays.Element(arguments, [cell.folder for cell in track]))
    folder = asked.root / "sweeps" / name
    if number := arrays.submit_elements(elements, folder, settings, asked.dry):
        print(f"job {number}: {folder}")
        print(f"  squeue --jobs={number}   scancel {number}   the same command submits what is not finished again")


def _chosen(cells: list[Cell], numbers: str) -> list[Cell]:
    if not numbers:
        return cells
    wanted = numbers.split(",")
    if not all(number.isdigit() and int(number) < len(cells) for number in wanted):
        raise TransferlabError(
            f"--cell: {numbers!r} is not a number from 0 to {len(cells) - 1}, or several joined by commas."
        )
    return [cell for cell in cells if str(cell.number) in wanted]


def _list(cells: list[Cell], states: dict[int, str], jobs: int) -> None:
    width = max(len(cell.label) for cell in cells)
    for cell in cells:
        behind = f"  after {', '.join(map(str, cell.after))}" if cell.after else ""
        print(f"{cell.number:>4}  {cell.label:<{width}}  {states[cell.number]}{behind}")
    finished = sum(1 for known in states.values() if known == "finished")
    print(f"{len(cells)} cells, {finished} finished, {len(cells) - finished} to do")
    if finished < len(cells):
        board = run.Board(cells, {n: known if known == "finished" else "to do" for n, known in states.items()})
        seconds = view.left(board)
        print(
            "no time estimate before one of them has finished"
            if seconds is None
            else f"about {clock(seconds / jobs)} left with {jobs} at a time, if they take as long as the finished ones"
        )


def report(board: run.Board, code: int) -> None:
    """Prints what did not finish, and why."""
    for cell in board.cells:
        known = board.states[cell.number]
        if known == "failed":
            print(f"failed: {cell.label}: {run.reason(cell)}  [{cell.folder}/{worker.LOG}]")
        elif known in {"waiting for another", "elsewhere", "stopped"}:
            print(f"{known}: {cell.label}")
    print(f"{board.count('finished')} of {len(board.cells)} cells finished", end="")
    print("; the same command runs the rest." if code else ".")
