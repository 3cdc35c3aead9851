"""What a run logged while it was trained, from ``metrics.jsonl``."""

import json
from pathlib import Path
from typing import Any

NAME = "metrics.jsonl"


def rows(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's ``metrics.jsonl``, none where there is no such file.

    A line that cannot be read is passed over: the last one of a run that is being trained or was killed.
    """
    try:
        return parse((folder / NAME).read_bytes())
    except OSError:
        return []


def parse(content: bytes) -> list[dict[str, Any]]:
    """The rows in the content of such a file."""
    found = []
    for line in content.decode("utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found
