"""``transferlab demo``: what transfer gains, on a generated task, with nothing from the network."""

import os
import sys
import time
from collections.abc import Sequence
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
BESIDE = {
    "demo_answers": Sweep(
        "demo",
        tasks=("demo_answers",),
        strategies=("full_finetuning",),
        baselines=("word_overlap", "no_answer"),
        set={"data.train_examples": 500},
        # many small steps: it has seconds
        set_for={"full_finetuning": {"trainer.max_epochs": 2, "data.batch_size": 8, "model.optimizer.lr": 3e-4}},
    ),
    "demo_relations": Sweep(
        "demo",
        tasks=("demo_relations",),
        strategies=("full_finetuning",),
        baselines=("tfidf",),
        set={"data.train_examples": 400},
        set_for={"full_finetuning": {"trainer.max_epochs": 2}},
    ),
    "demo_slots": Sweep(
        "demo",
        tasks=("demo_slots",),
        strategies=("full_finetuning",),
        baselines=("tfidf",),
        set={"data.train_examples": 400},
        set_for={"full_finetuning": {"trainer.max_epochs": 2}},
    ),
    # a decoder and an encoder-decoder, both small enough to learn from scratch
    "demo_dates": Sweep(
        "demo",
        tasks=("demo_dates",),
        strategies=("from_scratch",),
        encoders=("tiny_llama", "tiny_t5"),
        set_for={"tiny_t5": {"trainer.max_epochs": 6, "model.optimizer.lr": 4e-3}},
    ),
}
"""Other kinds of task that a demo without ``--task`` shows too, with few runs each."""
METHODS = {
    "tagging": ("majority", "token_majority"),
    "qa": ("word_overlap", "no_answer"),
    "relation": ("majority", "tfidf"),
    "slots": ("majority", "token_majority", "tfidf"),
}
"""Methods without an encoder, by kind of task."""
USUAL = ("majority", "tfidf", "nbsvm")


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
        help=f"demo_sentences (and a little of {', '.join(BESIDE)}) where left out, demo_pairs, demo_entities, "
        "demo_topics, demo_relations, demo_answers, demo_slots or demo_dates",
    )
    parser.add_argument("--root", default="runs", help="folder that holds all runs")
    parser.add_argument("--jobs", type=int, help=command.JOBS)
    options, rest = parser.parse_known_args(arguments)
    os.environ.setdefault("WANDB_MODE", "offline")
    task = options.task or TASK
    tasks = (task,) if options.task else (task, *BESIDE)
    made = cells(tasks, Path(options.root), rest)
    todo = [cell for cell in made if state(cell) != "finished"]
    jobs = command.jobs_of(options.jobs, made)
    beside = f" (and a little of {', '.join(tasks[1:])})" if tasks[1:] else ""
    methods = sum(cell.arguments[0] == "baseline" for cell in made)
    # the folder of a run is named by strategy and task, that of a method begins with "baseline"
    strategies = len({name for name in _experiments(made) if name.endswith(f"_{task}")})
    print(
        f"{len(made)} runs: {strategies} strategies on {task}{beside} and {methods} methods without an encoder; "
        f"{_how_many(made, todo, jobs)}.",
        flush=True,
    )
    if todo:
        _run(made, todo, jobs)
    _compare(options.root, tasks)


def cells(tasks: Sequence[str], root: Path, rest: list[str]) -> list[Cell]:
    """The runs of the demo: all strategies on the first task, a few runs on each of the others.

    Args:
        tasks: Generated tasks; those behind the first are of `BESIDE`.
        root: Folder that holds all runs.
        rest: Keys and values that every run takes.

    Raises:
        TransferlabError: Words that are no pairs of a key and a value.
    """
    words = [part for word in rest for part in (word.split("=", 1) if word.startswith("--") else [word])]
    if len(words) % 2 or not all(word.startswith("--") for word in words[::2]):
        raise TransferlabError(f"demo: {' '.join(rest)} is no list of --key value pairs, which every run would take.")
    kind = TASKS[tasks[0]].kind if tasks[0] in TASKS else ""
    # the tokens of a window are no classes to be solved for
    own = {"feature_extraction": {"model.solver": "sgd", "trainer.max_epochs": 20}} if kind == "qa" else {}
    methods = METHODS.get(kind, USUAL)
    named = Sweep("demo", tasks=tuple(tasks[:1]), strategies=STRATEGIES, baselines=methods, set_for=own)
    # nothing is pretrained that the other strategies of the demo would transfer to texts
    whole = BESIDE[tasks[0]] if kind == "text" else named
    found: list[Cell] = []
    for sweep in (whole, *(BESIDE[task] for task in tasks[1:])):
        before = len(found)
        for cell in build(sweep, root):
            after = tuple(before + number for number in cell.after)
            found.append(cell._replace(number=before + cell.number, after=after))
    return [
        cell._replace(arguments=(*cell.arguments, *words)) if cell.arguments[0] == "fit" else cell for cell in found
    ]


def _experiments(made: list[Cell]) -> list[str]:
    return [cell.folder.parent.name for cell in made if cell.arguments[0] == "fit"]


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


def _compare(root: str, tasks: Sequence[str]) -> None:
    from transferlab.analysis.comparison.command import main as compare
    from transferlab.analysis.page.command import main as report

    for task in tasks:
        compare([root, "--task", task])
    report([root] if len(tasks) > 1 else [root, "--task", tasks[0]])
    if tasks[0] == TASK:
        print(
            "\nThe test sentences use words that the training sentences never have. A pretrained encoder knows them; "
            "random weights (from_scratch) and counts of words (TF-IDF, NB-SVM) can only guess, so they stay near 0.5."
        )
    if "demo_answers" in tasks:
        print(
            "A third of the questions of demo_answers have no answer: no_answer gives none to any, and word_overlap "
            "looks for the words of the question."
        )
    print("Next: your own data, docs/own_data.md; a task of the field, transferlab fit --experiment lora_sst2.")
