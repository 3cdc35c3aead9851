"""``transferlab robustness``: several runs side by side, and what is kept of each."""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from transferlab.analysis.comparison.elsewhere import FILE
from transferlab.analysis.comparison.elsewhere import changes as changes_of
from transferlab.config import hashes
from transferlab.ground.errors import TransferlabError
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console
from transferlab.record import folder as run_folder
from transferlab.tasks.augmentation import wordnet
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import WORDED, Kind
from transferlab.use.labelled import judge, own_test
from transferlab.use.predictor import Predictor
from transferlab.use.refused import refuse_texts
from transferlab.use.reread import data_of
from transferlab.use.robustness import perturbations
from transferlab.use.robustness.measure import measure
from transferlab.use.robustness.perturbations import Perturbation

NO_WORDNET = (
    "synonyms: skipped, there is no WordNet: pip install 'transferlab[robustness]', or name the folder with its files "
    f"in {wordnet.VARIABLE}"
)


def run(asked: argparse.Namespace) -> None:
    """Measures, keeps and prints.

    Raises:
        TransferlabError: See `transferlab.use.robustness.options.main`; or synonyms alone, and no WordNet.
    """
    quiet()
    place = wordnet.folder()
    wanted = set(asked.change or ())
    table = wordnet.synonyms(place) if place and (not wanted or "synonyms" in wanted) else None
    changes = [change for change in perturbations.known(table) if not wanted or change.name in wanted]
    if not changes:
        raise TransferlabError(f"--change {NO_WORDNET}.")
    found = []
    for name in asked.run:
        folder = run_folder.find(name, asked.root)
        result = of_run(folder, changes, asked)
        # a file of its own: the record stays as it is
        run_folder.write_json(folder / FILE, added(changes_of({"folder": str(folder)}), result))
        found.append((f"{folder.parent.name}/{folder.name}", result))
    show(found)
    if table is None and (not wanted or "synonyms" in wanted):
        console().print(NO_WORDNET, markup=False)


SAME = ("checkpoint", "test", "examples", "seed", "rate")
"""What two measurements must share to stand in one table."""


def added(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """A measurement, with the changes of an older one of the same weights, examples and seed that it lacks."""
    if any(old.get(key) != new[key] for key in SAME):
        return new
    return new | {"changes": {**old["changes"], **new["changes"]}}


def of_run(folder: Path, changes: Sequence[Perturbation], asked: argparse.Namespace) -> dict[str, Any]:
    """What all perturbations do to a run.

    Raises:
        TransferlabError: No change is left that keeps the right answers what they are.
    """
    predictor = Predictor.load(folder, False, asked.device, asked.batch_size, asked.root)
    refuse_texts(predictor.task, "robustness")
    examples = own_test(predictor, data_of(folder), asked.examples)
    kind = predictor.task.kind
    fitting = [change for change in changes if fits(change, kind)]
    if not fitting:
        left = ", ".join(change.name for change in changes) or "nothing"
        raise TransferlabError(f"--change: {left} is left, which would {does(kind)}; use typos, say.")
    plain = judge(predictor, examples, "texts as they are")
    return {
        "run": folder.name,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "checkpoint": hashes.of_path(folder / "checkpoints" / "best.ckpt"),
        "test": examples.version,
        "examples": len(examples.ids),
        "seed": asked.seed,
        "rate": perturbations.RATE,
        "metric": predictor.task.primary,
        "kind": kind,
        "metrics": plain.metrics,
        "left_out": [change.name for change in changes if change not in fitting],
        "changes": {change.name: measure(predictor, examples, plain, change, asked.seed) for change in fitting},
    }


def fits(change: Perturbation, kind: Kind) -> bool:
    """Whether a change leaves the right answer what it is: words with tags or marks, and who a question is about."""
    if kind == "qa":
        return not change.bias and change.name != "longer"
    return change.of_words is not None or not (kind in WORDED or KINDS[kind].marked)


def does(kind: Kind) -> str:
    """What a change that does not fit would do."""
    return "ask something else" if kind == "qa" else "move words"


def show(found: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Prints a table of the perturbations for each run."""
    screen = console()
    for name, result in found:
        metric = result["metric"]
        title = f"{name}: {result['examples']:,} test examples, {metric} {result['metrics'][metric]:.4f}"
        table = Table(title=title, title_justify="left", box=None, title_style="bold")
        table.min_width = len(title)
        table.add_column("change")
        for column in ("texts changed", metric, RIGHT[result["kind"]], "predictions changed"):
            table.add_column(column, justify="right")
        for change, row in result["changes"].items():
            table.add_row(change, *cells(row, metric))
        screen.print(table)
        if result["left_out"]:
            screen.print(
                f"left out, as they would {does(result['kind'])}: {', '.join(result['left_out'])}", markup=False
            )


RIGHT = {
    "classification": "difference of accuracy",
    "multilabel": "difference of all right",
    "relation": "difference of accuracy",
    "tagging": "difference of words right",
    "slots": "difference of all right",
    "regression": "difference of -|error|",
    "qa": "difference of F1",
}
"""What ``difference`` is of, by kind."""


def cells(row: dict[str, Any], metric: str) -> list[str]:
    """The cells of a perturbation in a table."""
    share, apart = row["changed_predictions"], row["difference"]
    if not row["changed_texts"]:
        return ["0", "-", "-", "-"]
    interval = "" if apart["low"] is None else f" [{apart['low']:+.3f}, {apart['high']:+.3f}]"
    moved = f"{100 * share['value']:.1f} % [{100 * share['low']:.1f}, {100 * share['high']:.1f}]"
    return [
        f"{row['changed_texts']:,}",
        f"{row['metrics'][metric]:.4f}",
        f"{apart['mean']:+.4f}{interval}",
        moved,
    ]
