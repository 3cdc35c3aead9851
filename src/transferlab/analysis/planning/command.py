"""``transferlab plan``: which strategies to try first, from recorded runs."""

import re
from pathlib import Path

from rich.table import Table
from rich.text import Text

from transferlab.analysis.claims import evidence, power
from transferlab.analysis.comparison.groups import Estimate
from transferlab.analysis.comparison.reading import read
from transferlab.analysis.planning.choose import Option, Plan, plan
from transferlab.config import experiments
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.escapes import visible
from transferlab.ground.progress import clock
from transferlab.ground.screen import console
from transferlab.record import folder as run_folder

UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
RUNS = Path("runs")
LEGEND = (
    "±: 95 % over seeds; to the best: seed by seed; runs: that the budget has room for; decided: seeds in all that "
    f"would tell the two apart, with a power of {100 * power.POWER:.0f} %"
)


def main(arguments: list[str]) -> None:
    """Runs ``transferlab plan``.

    Raises:
        TransferlabError: A wrong option, no runs, or none of the task.
    """
    parser = Parser(
        "transferlab plan",
        description="Which strategies to try first with so many labels and so much time, from recorded runs: your own "
        f"in {RUNS}/ where there are some of the task, else those that {evidence.FOLDER}/ keeps.",
    )
    parser.add_argument("--task", required=True, help="name of the task, as runs have it")
    parser.add_argument("--labels", type=int, required=True, help="labelled training examples at hand")
    parser.add_argument(
        "--budget", required=True, metavar="TIME", help="such as 90s, 10min or 2h, for all runs together"
    )
    parser.add_argument("--root", type=Path, help="folder of runs")
    parser.add_argument("--evidence", type=Path, default=evidence.FOLDER, help=f"kept runs [{evidence.FOLDER}]")
    asked = parser.parse_args(arguments)
    if asked.labels < 1:
        raise TransferlabError(f"--labels: {asked.labels} is no number of examples; use 1 or more.")
    budget = seconds_of(asked.budget)
    root = asked.root or _root(asked.task, asked.evidence)
    found = plan(read(root), asked.task, asked.labels, budget, experiments.strategies())
    show(found, asked.labels, asked.budget, "kept runs" if root not in (asked.root, RUNS) else f"{root}/")


def _root(task: str, kept: Path) -> Path:
    """Where there are runs of a task."""
    own = any(isinstance(run, dict) and run.get("task") == task for _, run in run_folder.summaries(RUNS))
    if own or not any(kept.glob(f"*{evidence.SUFFIX}")):
        return RUNS
    return evidence.opened(kept)


def seconds_of(text: str) -> float:
    """Seconds of a time such as ``90s``, ``10min``, ``1.5h``; a bare number is in minutes.

    Raises:
        TransferlabError: It is none.
    """
    match = re.fullmatch(r"\s*([\d.]+)\s*([a-z]*)\s*", text.lower())
    try:
        number, unit = (float(match[1]), match[2] or "min") if match else (0.0, "")
    except ValueError:
        number, unit = 0.0, ""
    unit = unit if unit in UNITS else {"minutes": "min", "hours": "h", "seconds": "s", "days": "d"}.get(unit, "")
    if not unit or number <= 0:
        raise TransferlabError(f"--budget: {text!r} is no time; write 90s, 10min or 2h.")
    return number * UNITS[unit]


def show(found: Plan, labels: int, budget: str, origin: str) -> None:
    """Prints a plan."""
    screen = console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("", justify="right")
    table.add_column("strategy", no_wrap=True)
    for name in (found.metric, "to the best", "seeds", "a run", "runs", "decided"):
        table.add_column(name, justify="right", no_wrap=True)
    names = [one.strategy for one in found.options]
    place = {one: number for number, one in enumerate(found.order, 1)}
    for one in (*found.order, *(other for other in found.options if other not in place)):
        table.add_row(*map(Text, _cells(one, place.get(one), names.count(one.strategy) > 1)))
    screen.print(
        f"{visible(found.task)}, {labels:,} labels, {budget}: from runs with {found.labels:,} labels in {origin}\n",
        markup=False,
    )
    screen.print(table)
    screen.print(LEGEND, style="dim")
    first = found.order[0]
    command = f": transferlab fit --experiment {first.experiment} --data.train_examples {labels}"
    why = "the best" if first.behind is None else "the cheapest of those that are about as good as the best"
    screen.print(f"\nTry first: {first.strategy}, {why}{command if first.experiment else ''}", markup=False)
    for limit in found.limits:
        screen.print(f"- {limit}", markup=False)


def _cells(one: Option, place: int | None, on_several: bool) -> list[str]:
    name = f"{one.strategy} ({one.encoder})" if on_several else one.strategy
    failed = f", {one.failed} failed" if one.failed else ""
    return [
        "" if place is None else str(place),
        visible(name),
        _interval(one.score),
        "" if one.behind is None else _interval(one.behind, signed=True),
        f"{one.score.n}{failed}",
        _took(one.seconds),
        str(one.runs) if one.runs else "none",
        "" if one.behind is None else power.told(one.decided),
    ]


def _interval(found: Estimate, signed: bool = False) -> str:
    """Hundredths of a metric with their interval."""
    sign = "+" if signed else ""
    text = f"{100 * found.mean:{sign}.1f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ± {50 * (found.high - found.low):.1f}"


def _took(seconds: float) -> str:
    if seconds == float("inf"):
        return "?"
    return f"{seconds:.1f} s" if seconds < 10 else clock(seconds)
