"""What a run gained and forgot against the one that it started from, on the same test examples."""

from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from transferlab.analysis.comparison.over_seeds import Sample
from transferlab.analysis.comparison.significance import against, holm
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.tasks import schemes
from transferlab.tasks.kinds import KINDS, SUMS, counted
from transferlab.tasks.spec import Kind

NAME = "update.json"
Result = dict[str, Any]


def of_run(folder: Path) -> Result:
    """Compares the test predictions of a run with those in its folder ``before``, test set by test set.

    Returns:
        For each test set ``metric``, ``before``, ``after``, ``difference`` with its 95 % interval ``low`` to ``high``
        (None where the two never differ), ``p`` of the paired test corrected by Holm, its ``method``; where an answer
        is right or wrong, ``gained`` and ``forgotten``: examples that only the new or only the old run has right.
        Empty where either side was not tested.
    """
    summary = run_folder.read_summary(folder)
    spec = summary.get("spec") or {}
    found: Result = {}
    for name in spec.get("tests") or []:
        paths = [predictions.place(place, name) for place in (folder / "before", folder)]
        if all(path.is_file() for path in paths):
            found[name] = _compared(summary, *map(predictions.read, paths))
    corrected = holm([each["p"] for each in found.values()])
    return {name: {**each, "p": p} for (name, each), p in zip(found.items(), corrected, strict=True)}


def _compared(summary: Result, before: list[Result], after: list[Result]) -> Result:
    kind, metric = cast(Kind, summary["kind"]), str(summary["primary"])
    old = {line["id"]: line for line in before}
    pairs = [(old[line["id"]], line) for line in after if line["id"] in old]
    if len(pairs) != len(after) or any(one["label"] != other["label"] for one, other in pairs):
        raise ValueError("the two runs were tested on other examples")
    read = partial(KINDS[kind].read, schemes.of_summary(summary))
    gold = [read(line["label"]) for line in after]
    sides = [[read(pair[side]["prediction"]) for pair in pairs] for side in (0, 1)]
    counts = [KINDS[kind].counts(side, gold, metric, counted(summary)) for side in sides]
    texts = np.array([int(line["repeats"] if "repeats" in line else line["id"]) for line in after])
    repeated = texts if len(np.unique(texts)) < len(texts) else None
    of_sums = SUMS[kind, metric]
    one, other = (Sample(side[None]) for side in counts)
    test = against(one, [other], of_sums, metric == "accuracy", repeated)[0]
    result: Result = {
        "metric": metric,
        "examples": len(after),
        "before": float(of_sums(counts[0].sum(0))),
        "after": float(of_sums(counts[1].sum(0))),
        "difference": test.difference,
        "low": None if test.half is None else test.difference - test.half,
        "high": None if test.half is None else test.difference + test.half,
        "p": 1.0 if test.p is None else test.p,
        "method": test.method,
    }
    if kind != "regression":
        right = [[answer == truth for answer, truth in zip(side, gold, strict=True)] for side in sides]
        result["gained"] = sum(now and not then for then, now in zip(*right, strict=True))
        result["forgotten"] = sum(then and not now for then, now in zip(*right, strict=True))
    return result


def show(folder: Path) -> None:
    """Prints what `of_run` says and keeps it in the run directory."""
    from rich.table import Table

    from transferlab.ground.screen import console

    screen, found = console(), of_run(folder)
    start = run_folder.read_summary(folder).get("start") or {}
    if not found:
        screen.print(f"\n{folder}: what was gained and forgotten is not known: there is no test.", markup=False)
        return
    run_folder.write_json(folder / NAME, {"start": start, "tests": found})
    screen.print(f"\ngained and forgotten since {start.get('run')}", markup=False, style="bold")
    table = Table(box=None, pad_edge=False)
    table.add_column("test set")
    for name in ("metric", "before", "after", "difference", "95 % interval", "p (Holm)", "gained", "forgotten"):
        table.add_column(name, justify="right")
    for name, each in found.items():
        interval = "" if each["low"] is None else f"[{each['low']:+.4f}, {each['high']:+.4f}]"
        shown = [f"{each[key]:.4f}" for key in ("before", "after")] + [f"{each['difference']:+.4f}", interval]
        changed = [f"{each[key]:,}" if key in each else "" for key in ("gained", "forgotten")]
        table.add_row(name, each["metric"], *shown, f"{each['p']:.3f}", *changed)
    screen.print(table)
    screen.print(f"kept in {folder / NAME}", markup=False, style="dim")
