"""What runs were tested on beside their record: other files, and changed texts."""

import json
import os
from collections.abc import Sequence
from typing import Any

from transferlab.analysis.comparison.groups import Summary
from transferlab.analysis.comparison.standing import Row
from transferlab.ground.contents import content
from transferlab.record import folder as run_folder

FILE = "robustness.json"
"""What ``transferlab robustness`` keeps in a run directory."""


def entries(run: Summary) -> dict[str, dict[str, Any]]:
    """The newest result of a run on each file that is not of its data set, by the name of the file."""
    found = {}
    for _, result in run_folder.retests(str(run.get("folder", ""))):
        if isinstance(result.get("files"), str) and isinstance(result.get("metrics"), dict):
            found[result["files"]] = result
    return found


def changes(run: Summary) -> dict[str, Any]:
    """What ``transferlab robustness`` found of a run; empty where it was not measured, or is damaged."""
    try:
        found = json.loads(content(os.path.join(str(run.get("folder", "")), FILE)).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("changes"), dict) else {}


def value(result: dict[str, Any], metric: str) -> float | None:
    """The metric of a result, whether of ``test`` or of ``validate``."""
    metrics = result["metrics"]
    found = metrics.get(f"test/{metric}", metrics.get(f"val/{metric}"))
    return found if isinstance(found, float | int) else None


def files_of(runs: Sequence[Summary]) -> list[str]:
    """All files that some of the runs were tested on."""
    return list(dict.fromkeys(name for run in runs for name in entries(run)))


def notes(rows: Sequence[Row]) -> list[str]:
    """A sentence for each other file on what runs reach there; it enters no rank and no test."""
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for run in row.group.counted:
            for name, result in entries(run).items():
                score = value(result, row.group.key.metric)
                if score is not None:
                    text = f"{row.label} {score:.4f} (seed {run.get('seed')})"
                    found.setdefault((row.group.key.task, name), []).append(text)
    return [
        f"{task}: on {name}, which is no test set of record and not ranked: {'; '.join(texts)}."
        for (task, name), texts in found.items()
    ]
