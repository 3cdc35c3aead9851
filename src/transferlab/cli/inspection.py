"""``transferlab inspect``: what the texts and labels of a task allow to say, before anything is trained."""

from pathlib import Path

from rich.table import Table

from transferlab.config import experiments, trees
from transferlab.ground import escapes, screen
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.quiet import no_bars_on_pipes
from transferlab.tasks import splits
from transferlab.tasks.inspection import telling
from transferlab.tasks.inspection.facts import Facts, kept_inspection
from transferlab.tasks.named import read_source
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.sources import read_split, split_names
from transferlab.tasks.spec import Source
from transferlab.tasks.table import TASKS, lookup

HEADS = ("task", "training examples", "repeat another", "contradictory", "share a text", "part of another")
HEADS_OF_OTHERS = (
    *("against training", "examples", "exactly", "normalized", "swapped", "looked up", "text in common", "nearest"),
)
HOLDOUT = {
    "example": "each example by itself",
    "text": "by text: examples that share one stay on one side",
    "sentence": "by sentence: whole sentences are held out, with all phrases of them",
}


def main(arguments: list[str]) -> None:
    """Runs ``transferlab inspect``.

    Raises:
        TransferlabError: No such task, or rows that cannot be read.
    """
    parser = Parser(
        "transferlab inspect",
        description="Labels and lengths of each split, repeated and contradictory texts, test texts in training.",
    )
    parser.add_argument("what", nargs="+", metavar="TASK", help="a task, an experiment, or the file of one")
    parser.add_argument("--format", choices=("terminal", "markdown"), default="terminal", help="markdown: one row each")
    asked = parser.parse_args(arguments)
    no_bars_on_pipes()
    found = []
    for what in asked.what:
        task, source = find(what)
        found.append((task, source, inspected(source)))
        if asked.format == "terminal":
            _show(*found[-1])
    if asked.format == "markdown":
        print(markdown(found))


def find(what: str) -> tuple[str, Source]:
    """The task of a name: one of the table, of ``configs/task``, of an experiment, or of a file.

    Raises:
        TransferlabError: No such task, or keys of a source that are not there.
    """
    if what in TASKS:
        return what, splits.complete(lookup(what))
    if what.endswith((".yaml", ".yml")):
        if not Path(what).is_file():
            raise TransferlabError(f"no such file: {what}.")
        tree = experiments.of_file(Path(what))
    elif what in experiments.tasks():
        tree = trees.expand(experiments.config_file(f"task/{what}"))
    elif what in experiments.names():
        tree = experiments.compose(what)
    else:
        known = [*TASKS, *experiments.tasks(), *experiments.names()]
        raise TransferlabError(f"no task or experiment {what!r}{near(what, known)}. Known tasks: {', '.join(TASKS)}.")
    settings = (tree.get("data") or {}).get("init_args") or {}
    source = settings.get("source")
    if not source:
        return str(settings.get("task")), splits.complete(lookup(str(settings.get("task") or "")))
    return str(settings.get("task") or Path(what).stem), splits.complete(read_source(source))


def inspected(source: Source) -> Facts:
    """All splits of a source against its training split."""
    known: dict[str, Rows] = {}

    def read(split: str) -> Rows:
        if split not in known:
            known[split] = read_split(source, split)._replace(split=split)
        return known[split]

    there = split_names(source)
    named = [source.train, source.validation, *source.test, *(s for s in source.predict if s in there), *there]
    return kept_inspection(source, read, list(dict.fromkeys(filter(None, named))), near=True)


def _show(task: str, source: Source, facts: Facts) -> None:
    terminal = screen.console()
    tested = f"tested on {', '.join(source.test)}" if source.test else "no test split"
    table = Table(title=f"{task} ({source.kind}, {tested})", title_justify="left", title_style="bold")
    for name, right in (("split", 0), ("examples", 1), ("labels", 0), ("words: median, 95 %, longest", 1)):
        table.add_column(name, justify="right" if right else "left")
    for split, found in facts["splits"].items():
        words = " ".join(f"{found['words'][key]:>5,}" for key in ("median", "high", "longest"))
        labels = telling.labels_in_words(found["labels"], source.kind)
        table.add_row(split, f"{found['examples']:,}", labels, words)
    terminal.print(table)
    train = facts["splits"][facts["train"]]
    terminal.print(screen.facts(telling.of_training(train), f"{facts['train']}: the same text again"))
    for split, found in facts["against"].items():
        rows = telling.of_other(found, facts["splits"][split]["examples"])
        terminal.print(screen.facts(rows, f"{split}: texts that stand in {facts['train']} too"))
    if between := {f"{other} in {one}": f"{met:,}" for one, other, met in facts["between"] if met}:
        terminal.print(screen.facts(between, "other splits: texts of one in another"))
    if not source.validation:
        terminal.print(screen.facts({"held out": HOLDOUT[facts["holdout_by"]]}, "a hold-out from these"))
    terminal.print()


def markdown(found: list[tuple[str, Source, Facts]]) -> str:
    """One row for each task and each split beside its training split."""
    lines = ["| " + " | ".join([*HEADS, *HEADS_OF_OTHERS]) + " |"]
    lines.append("| --- " + "| ---: " * 5 + "| --- " + "| ---: " * 7 + "|")
    for task, _, facts in found:
        train = facts["splits"][facts["train"]]
        inside = telling.percent(train["inside"]) if train.get("inside") is not None else ""
        first = [escapes.markdown(task), f"{train['examples']:,}", f"{train['plain']['surplus']:,}"]
        several = train["plain"]["contradictory"]
        first += ["" if several is None else f"{several:,}", telling.percent(train["shared"]), inside]
        for split, other in facts["against"].items() or [("", {})]:
            lines.append("| " + " | ".join([*first, *_cells(split, other, facts)]) + " |")
            first = [""] * len(first)
    return "\n".join(lines)


def _cells(split: str, other: Facts, facts: Facts) -> list[str]:
    if not other:
        return [""] * len(HEADS_OF_OTHERS)
    met, near_ = other["plain"] + other["swapped"], other.get("nearest")
    return [
        escapes.markdown(split),
        f"{facts['splits'][split]['examples']:,}",
        f"{other['exact']:,}",
        f"{other['plain']:,}",
        f"{other['swapped']:,}" if "columns" in other else "",
        f"{other['right']:,} of {met:,}" if met and other["right"] is not None else "",
        telling.percent(other["either"]) if "either" in other else "",
        f"{near_['right'] / near_['of']:.3f} ({near_['most'] / near_['of']:.3f})" if near_ else "",
    ]
