"""Tests of a table that was shown before, while nothing changed of what they read."""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transferlab import analysis, tasks
from transferlab.analysis.comparison import kept
from transferlab.analysis.comparison.groups import score_of

if TYPE_CHECKING:
    from transferlab.analysis.comparison.standing import Row

TEST = "predictions/test.jsonl"
FACTS = ("encoder", "kind", "primary", "labels", "negative", "scheme")
"""What tests read of the summary of a run, with its score."""
Results = list[tuple[int, tuple[Any, ...]]]


def tests(rows: "Sequence[Row]", reference: "Row", bootstrap: bool, make: Callable[[], Results]) -> Results:
    """What `make` returns for the rows of a block, made once for the same rows, files and code.

    Args:
        rows: The rows.
        reference: The one of them that the others are tested against.
        bootstrap: Whether single runs are tested by the paired bootstrap.
        make: The tests: results by the number of the row, which JSON knows.
    """
    runs = [[os.path.abspath(str(run.get("folder"))) for run in row.group.counted] for row in rows]
    place = next(number for number, row in enumerate(rows) if row is reference)
    asked = json.dumps([runs, place, bootstrap])
    name = f"{hashlib.sha256(asked.encode()).hexdigest()[:32]}.tests"
    places = [f"{folder}{os.sep}{TEST}" for row in runs for folder in row]
    # the summaries were read before: what they said then counts, not what their files hold now
    facts = [[[run.get(name) for name in FACTS], score_of(run)] for row in rows for run in row.group.counted]
    key = json.dumps([asked, [row.group.seeds for row in rows], facts, _code()])
    payload = kept.again(name, places, key, lambda: json.dumps(make()).encode())
    return [(number, tuple(result)) for number, result in json.loads(payload)]


def _code() -> list[tuple[str, int, int]]:
    """The modules that compute outcomes and tests: what another release worked out is worked out anew."""
    folders = [
        Path(analysis.__path__[0], "comparison"),
        *(Path(tasks.__path__[0], name) for name in ("kinds", "scoring")),
    ]
    found = []
    for folder in folders:
        with os.scandir(folder) as entries:
            files = [entry for entry in entries if entry.name.endswith(".py")]
        found += [(entry.name, (facts := entry.stat()).st_size, facts.st_mtime_ns) for entry in files]
    return sorted(found)
