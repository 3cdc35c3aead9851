"""``transferlab demo``: what transfer gains, on a generated task, with nothing from the network."""

import os
import sys
import time
from pathlib import Path

from transferlab.config.grids import Sweep
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import clock
from transferlab.launch.sweeps import command, run, view, worker
from transferlab.launch.sweeps.cells import Cell, build, state
from transferlab.tasks.table import TASKS

TASK = "demo_sentences"
STRATEGIES = (
    "full_finetuning",
    "feature_extraction",
    "lora",
    "distillation",
    "adapter",
    "distillation_no_teacher",
    "from_scratch",
)
"""The teacher first, so that its student need not be waited for at the end."""


def main(arguments: list[str]) -> None:
    """Runs every strategy and the baselines, as cells of a sweep, then prints the comparison and writes the report.

    A demo that was stopped goes on where it was; one that is finished is only compared.

    Raises:
        TransferlabError: A wrong option.
    """
    parser = Parser(
        "transferlab demo",
        description="Every strategy on a generated task; further --key value pairs are handed to every run.",
    )
    parser.add_argument(
        "--task",
        default=TASK,
        help="demo_sentences, demo_pairs, demo_entities, demo_topics, demo_relations or demo_answers",
    )
    parser.add_argument("--root", default="runs", help="folder that holds all runs")
    parser.add_argument("--jobs", type=int, help=command.JOBS)
    options, rest = parser.parse_known_args(arguments)
    os.environ.setdefault("WANDB_MODE", "offline")
    made = cells(options.task, Path(options.root), rest)
    todo = [cell for cell in made if state(cell) != "finished"]
    jobs = command.jobs_of(options.jobs, made)
    methods = len(made) - len(STRATEGIES)
    print(
        f"{len(made)} runs: {len(STRATEGIES)} strategies on {options.task} and {methods} methods without an encoder; "
        f"{_how_many(made, todo, jobs)}.",
        flush=True,
    )
    if todo:
        _run(made, todo, jobs)
    _compare(options.root, options.task)


def cells(task: str, root: Path, rest: list[str]) -> list[Cell]:
    """The runs of the demo.

    Raises:
        TransferlabError: Words that are no pairs of a key and a value.
    """
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        raise TransferlabError(f"demo: {' '.join(rest)} is no list of --key value pairs, which every run would take.")
    tagging = task in TASKS and TASKS[task].kind == "tagging"
    methods = ("majority", "token_majority") if tagging else ("majority", "tfidf", "nbsvm")
    sweep = Sweep("demo", tasks=(task,), strategies=STRATEGIES, baselines=methods)
    found = build(sweep, root)
    return [
        cell._replace(arguments=(*cell.arguments, *words)) if cell.arguments[0] == "fit" else cell for cell in found
    ]


def _how_many(made: list[Cell], todo: list[Cell], jobs: int) -> str:
    if not todo:
        return "all of them are finished (another --root trains them again)"
    done = f"{len(made) - len(todo)} are finished, " if len(todo) < len(made) else ""
    return f"{done}{jobs} at a time, the output of each in {worker.LOG} of its folder"


def _run(made: list[Cell], todo: list[Cell], jobs: int) -> None:
    started = time.monotonic()
    board = run.Board(made, {cell.number: "to do" if cell in todo else "finished" for cell in made})
    run.prepare()
    # all take the same further words
    run.check([cell for cell in todo if cell.arguments[0] == "fit"][:1])
    with view.progress(board) as show:
        code = run.run(board, jobs, show)
    command.report(board, code)
    if code:
        sys.exit(code)
    print(f"\nAll runs took {clock(time.monotonic() - started)}.\n", flush=True)


def _compare(root: str, task: str) -> None:
    from transferlab.analysis.comparison.command import main as compare
    from transferlab.analysis.page.command import main as report

    compare([root, "--task", task])
    report([root, "--task", task])
    if task == TASK:
        print(
            "\nThe test sentences use words that the training sentences never have. A pretrained encoder knows them; "
            "random weights (from_scratch) and counts of words (TF-IDF, NB-SVM) can only guess, so they stay near 0.5."
        )
    print("Next: your own data, docs/own_data.md; a task of the field, transferlab fit --experiment lora_sst2.")
