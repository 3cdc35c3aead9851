"""The runs of a grid as tables: what was run, the results of all strategies, what labels are worth."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from transferlab.analysis.claims import grid
from transferlab.analysis.claims.grid import Grid
from transferlab.analysis.claims.page import MISSING
from transferlab.analysis.claims.table import COMPARED, NAMES
from transferlab.analysis.comparison.columns import ASSUMED
from transferlab.analysis.comparison.groups import Group, Summary, is_baseline, value
from transferlab.analysis.comparison.standing import Row, standing

RUNS, RESULTS, CURVES = "runs", "results", "curves"
"""Names of the blocks."""


def provenance(runs: Grid, sweeps: Sequence[str]) -> str:
    """What was run: models, training and test examples, seeds; and with which versions on what."""
    lines = ["| Sweep | Runs | Encoder (parameters) | Training examples | Seeds | Test examples |"]
    lines.append("| --- | ---: | --- | --- | --- | ---: |")
    for sweep in sweeps:
        found = runs.of(sweep)
        cells = _facts(found) if found else ["0, not run", *[MISSING] * 4]
        lines.append(f"| `{runs.tag(sweep)}` | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _machines([run for sweep in sweeps for run in runs.of(sweep)])])


def _facts(found: list[Summary]) -> list[str]:
    encoders: dict[str, float] = {}
    for run in found:
        if not is_baseline(run) and (total := value(run, "params", "total")):
            name = str(run.get("encoder"))
            # a head or an adapter adds little; the encoder is the least of them
            encoders[name] = min(total, encoders.get(name, total))
    return [
        str(len(found)),
        ", ".join(f"{name} ({total / 1e6:.1f}M)" for name, total in sorted(encoders.items())) or MISSING,
        _numbers(value(run, "data", "train_examples") for run in found),
        _numbers(value(run, "seed") for run in found),
        _numbers(value(run, "test", "examples") for run in found),
    ]


def _numbers(given: Iterable[float | None]) -> str:
    known = sorted({int(number) for number in given if number is not None})
    return ", ".join(f"{number:,}" for number in known) or MISSING


def _machines(found: Sequence[Summary]) -> str:
    """Versions and processors, each as often as runs differ in it."""
    told: dict[str, set[str]] = {}
    for run in found:
        try:
            tree = json.loads((Path(run["folder"]) / "environment.json").read_text(encoding="utf-8"))
            packages, hardware = tree["packages"], tree["hardware"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        for name in ("transferlab", "torch", "transformers"):
            told.setdefault(name, set()).add(str(packages.get(name)))
        gpus = ", ".join(map(str, hardware.get("gpus") or [])) or "no GPU"
        told.setdefault("on", set()).add(f"{hardware.get('processor')}, {hardware.get('threads')} thread a run, {gpus}")
    parts = [f"{name} {' and '.join(sorted(texts))}" for name, texts in told.items()]
    return f"Made with {', '.join(parts)}." if parts else "No versions were kept."


COLUMNS = {
    "Task": "---",
    "Strategy": "---",
    "Model": "---",
    "Training examples": "---:",
    "Seeds": "---:",
    "Test score [95 % interval]": "---:",
    "Against the best": "---",
    "Trainable parameters": "---:",
    "Time per run": "---:",
}


def results(runs: Grid, tasks: tuple[str, ...] = tuple(COMPARED)) -> str:
    """The table of results: a row for each strategy of the sweeps that compare several, with as many labels as any.

    Args:
        runs: All runs.
        tasks: Those that are shown.
    """
    lines = [f"| {' | '.join(COLUMNS)} |", f"| {' | '.join(COLUMNS.values())} |"]
    for task in tasks:
        found = standing(_groups(runs, COMPARED[task], task))
        if not found:
            lines.append(f"| {NAMES[task]} | not run: `transferlab sweep {runs.tag(COMPARED[task])}` | | | | | | | |")
        for place, row in enumerate(found):
            title = f"{NAMES[task]} {row.group.key.metric}" if place == 0 else ""
            lines.append(f"| {title} | {_result(row)} |")
    return "\n".join(lines)


def _groups(runs: Grid, sweep: str, task: str) -> list[Group]:
    strategies = {str(run.get("strategy")) for run in runs.of(sweep) if run.get("task") == task}
    most = max((size for strategy in strategies for size in runs.sizes(sweep, task, strategy)), default=None)
    found = [runs.group(sweep, task, strategy, most) for strategy in sorted(strategies)]
    return [one for one in found if one is not None]


def _against(row: Row) -> str:
    if row.best:
        return "best"
    if row.difference is None or row.p is None:
        return MISSING
    worse = f"{100 * row.difference:+.1f}, p {'< 0.001' if row.p < 0.001 else f'{row.p:.3f}'}"
    worse += f" {ASSUMED}" if row.assumed else ""
    marks = ["not significantly worse"] if row.tied else []
    return ", ".join([worse, *marks, *([f"**below {row.below}**"] if row.below else [])])


def _result(row: Row) -> str:
    one = row.group
    broken = grid.failures(one)
    model = MISSING if one.key.encoder == "-" else one.key.encoder
    examples = f"{one.key.train_examples:,}" if one.key.train_examples else MISSING
    if one.score is None:
        return f"`{one.key.strategy}` | {model} | {examples} | {len(one.runs)} failed | no result | | | "
    interval = ""
    if one.score.low is not None and one.score.high is not None:
        interval = f" [{100 * one.score.low:.1f}, {100 * one.score.high:.1f}]"
    share = value(one.counted[0], "params", "trainable_pct") if one.key.encoder != "-" else None
    times = [seconds for run in one.counted if (seconds := value(run, "perf", "wall_s")) is not None]
    cells = [
        f"`{one.key.strategy}`",
        model,
        examples,
        f"{len(one.seeds)}" + (f", {broken} failed" if broken else ""),
        f"{100 * one.score.mean:.1f}{interval}",
        _against(row),
        f"{share:.2f} %" if share is not None else MISSING,
        f"{sum(times) / len(times):,.0f} s" if times else MISSING,
    ]
    return " | ".join(cells)


def curves(runs: Grid, root: Path) -> str:
    """What labels are worth, for each task whose sweep has several numbers of training examples.

    Args:
        runs: The grid.
        root: Folder of its runs.
    """
    # takes a moment to import
    from transferlab.analysis.comparison import curve

    parts = []
    for task in NAMES:
        sweep = f"{task}_labels"
        if len({value(run, "data", "train_examples") for run in runs.of(sweep)}) > 1:
            parts += [f"### {NAMES[task]}", curve.tables(curve.read(root, task, runs.tag(sweep))).strip()]
    return "\n\n".join(parts) or "No sweep over numbers of training examples was run."
