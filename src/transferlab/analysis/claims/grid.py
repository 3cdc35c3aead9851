"""The runs of a sweep by their place in it."""

import json
import math
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.analysis.comparison.groups import UNDER_WAY, Group, Summary, faults, group, score_of, value
from transferlab.config import shipped, trees
from transferlab.config.grids import FOLDERS
from transferlab.record import folder as run_folder
from transferlab.record import history

GRIDS = {"small": "_small", "full": ""}
"""Grids by name: what the names of their sweeps end in. The small one is kept in the repository."""
Cell = dict[int, Summary]
"""Seed to the run that counts."""


class Grid:
    """Runs of all sweeps below a folder.

    Args:
        runs: Their summaries, each with ``folder``.
        size: A key of `GRIDS`.
    """

    def __init__(self, runs: Sequence[Summary], size: str = "full") -> None:
        self.runs = [run for run in runs if isinstance(run.get("tags"), list)]
        self.size = size

    def tag(self, sweep: str) -> str:
        """The name of a sweep in this grid, such as ``sst2_small``: the file in ``configs/sweep`` and the tag."""
        return f"{sweep}{GRIDS[self.size]}"

    def of(self, sweep: str) -> list[Summary]:
        """All runs of a sweep, as they are."""
        return [run for run in self.runs if self.tag(sweep) in run["tags"]]

    def group(self, sweep: str, task: str, strategy: str, size: int | None = None) -> Group | None:
        """The runs of one cell: of several settings the one with the most results.

        Args:
            sweep: Name of the sweep in the full grid.
            task: Name of the task.
            strategy: Name of the strategy.
            size: Training examples; None for whatever there are.
        """
        found = [
            run
            for run in self.of(sweep)
            if (run.get("task"), run.get("strategy")) == (task, strategy)
            if size is None or value(run, "data", "train_examples") == size
        ]
        return max(group(found), key=lambda one: len(one.counted), default=None)

    def sizes(self, sweep: str, task: str, strategy: str) -> list[int]:
        """Numbers of training examples with a result, ascending."""
        found = {
            value(run, "data", "train_examples")
            for run in self.of(sweep)
            if (run.get("task"), run.get("strategy")) == (task, strategy)
            if score_of(run) is not None
        }
        return sorted(int(size) for size in found if size is not None)


def load(root: Path, size: str = "full") -> Grid:
    """Reads the summaries of all runs below a folder; none where there is no such folder."""
    return Grid([{**summary, "run": path.name, "folder": str(path)} for path, summary in _summaries(root)], size)


def _summaries(root: Path) -> list[tuple[Path, Summary]]:
    return [(path, summary) for path, summary in run_folder.summaries(root) if isinstance(summary, dict)]


def by_seed(found: Group | None) -> Cell:
    """The counted runs of a cell by seed."""
    return {} if found is None else dict(zip(found.seeds, found.counted, strict=True))


def failures(found: Group) -> int:
    """Runs of a cell that gave nothing usable: ended by an error, NaN, collapsed, or no better than the majority."""
    return sum(bool(faults(run)) and run.get("status") not in UNDER_WAY for run in found.runs)


def seconds(found: Group, run: Summary) -> float | None:
    """How long a run took, with the time to compute the features that it read from disk because another seed had them.

    None where no run of the group tells that time.
    """
    took, work = value(run, "perf", "wall_s"), " ".join(run.get("frozen_work") or [])
    if took is None or "read from disk" not in work:
        return took
    texts = [" ".join(other.get("frozen_work") or []) for other in found.runs]
    computed = [sum(map(float, parts)) for text in texts if (parts := re.findall(r"computed in ([\d.]+) s", text))]
    return took + max(computed) if computed else None


def seeds_wanted(sweep: str, root: Path | None = None) -> int | None:
    """Seeds that the sweep file asks for; None where there is no such file."""
    path = shipped.find(f"{FOLDERS['sweep']}/{sweep}.yaml", root)
    if path is None:
        return None
    seeds = trees.read_yaml(path).get("seeds", 1)
    return seeds if isinstance(seeds, int) else len(seeds)


class Point(NamedTuple):
    """One validation.

    Attributes:
        step: Optimizer steps done.
        score: The metric that selects checkpoints.
    """

    step: int
    score: float


def validations(run: Summary) -> list[Point]:
    """The validations while a run was trained, in order.

    A line counts its step from 0. The first one holds the validation of the untrained head too, and the one behind the
    last step that of the selected checkpoint.
    """
    total = value(run, "perf", "steps") or 0
    rows = [(row.get("step"), row.get("val/primary")) for row in history.rows(Path(run["folder"]))]
    known = [(step, score) for step, score in rows if isinstance(step, int) and isinstance(score, int | float)]
    return [Point(step + 1, float(score)) for step, score in known if (step > 0 or total == 1) and step < total]


def steps_until(run: Summary, target: float) -> tuple[int, bool] | None:
    """Optimizer steps until validation first reaches a score.

    Returns:
        Steps, and whether it was reached; if not, the steps of the whole run. None where nothing was logged.
    """
    points = validations(run)
    if not points:
        return None
    reached = [point.step for point in points if point.score >= target]
    return (reached[0], True) if reached else (points[-1].step, False)


def train_loss(run: Summary) -> float | None:
    """Mean of the last fifth of the logged training losses, in nats; at least one."""
    logged = [row.get("train/loss") for row in history.rows(Path(run["folder"]))]
    losses = [loss for loss in logged if isinstance(loss, int | float)]
    return statistics.fmean(losses[-max(1, len(losses) // 5) :]) if losses else None


def test_loss(run: Summary) -> float | None:
    """Mean cross-entropy of a classifier on the test, in nats, from its predictions; None without probabilities.

    Probabilities count as no less than 1e-6, which is as far as they are kept.
    """
    labels = run.get("labels") or []
    losses = []
    try:
        with (Path(run["folder"]) / "predictions" / "test.jsonl").open(encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                losses.append(-math.log(max(row["scores"][labels.index(row["label"])], 1e-6)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return statistics.fmean(losses) if losses else None


def probes(run: Summary) -> dict[str, Any]:
    """What `transferlab forgetting` measured of a run: probe task to result."""
    try:
        found = json.loads((Path(run["folder"]) / "forgetting.json").read_text(encoding="utf-8"))["probes"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
