"""JSON: an object a line, a list of objects, or an object of lists."""

import json
import math
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.reading.place import Read
from transferlab.tasks.reading.text import decode


def read_json(path: Path, encoding: str | None = None, suffix: str = ".jsonl") -> Read:
    """Reads objects; a key that an object lacks is an empty cell.

    Raises:
        TransferlabError: No JSON, or something else than objects; names the line.
    """
    text, found = decode(path, encoding)
    said = [] if found == "UTF-8" else [found]
    if text.lstrip().startswith("[") or suffix == ".json":
        whole = _whole(path, text)
        if whole is not None:
            return Read(whole, None, ", ".join(["JSON", *said]))
    objects, lines = [], []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise TransferlabError(f"{path}, line {number}: this is not JSON: {error.msg}.") from error
        if not isinstance(value, dict):
            raise TransferlabError(
                f'{path}, line {number}: an object such as {{"text": ...}} belongs here, not {_short(value)}.'
            )
        _refuse_halves(line, value, f"{path}, line {number}")
        objects.append(value)
        lines.append(number)
    if not objects:
        raise TransferlabError(f"{path} has no rows.")
    return Read(_columns(objects), lines, ", ".join(["JSON lines", *said]))


def _whole(path: Path, text: str) -> dict[str, list[Any]] | None:
    """The columns of a file that is one JSON value; None where it is a value a line."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith("["):
            raise TransferlabError(f"{path}, line {error.lineno}: this is not JSON: {error.msg}.") from error
        return None
    _refuse_halves(text, value, str(path))
    if isinstance(value, dict):
        lists = {key: cells for key, cells in value.items() if isinstance(cells, list)}
        only = next(iter(lists.values())) if len(lists) == 1 else []
        if only and all(isinstance(cell, dict) for cell in only):
            # the rows stand under a key such as "data"
            value = only
        elif lists and len(lists) == len(value) and len(set(map(len, lists.values()))) == 1:
            return lists
        else:
            return None
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise TransferlabError(f"{path}, row {number}: an object belongs here, not {_short(row)}.")
    if not value:
        raise TransferlabError(f"{path} has no rows.")
    return _columns(value)


def _refuse_halves(text: str, value: Any, place: str) -> None:
    """Refuses an escape of half a character that stands alone: JSON has them in pairs, and it is no text.

    Raises:
        TransferlabError: There is one.
    """
    if "\\ud" not in text and "\\uD" not in text:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = ascii(str(error.object)[error.start])[1:-1]
        raise TransferlabError(
            f"{place}: {half} is half of a character, so a text was cut in its middle; write the row anew, or leave it "
            "out."
        ) from error


def _columns(objects: list[dict[str, Any]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(key for row in objects for key in row)
    return {name: [_cell(row.get(name)) for row in objects] for name in names}


def _cell(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
