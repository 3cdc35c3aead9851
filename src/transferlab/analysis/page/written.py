"""Sections on texts that were written: scores with how they are counted, and outputs side by side."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison.groups import value
from transferlab.analysis.page import answers
from transferlab.analysis.page.gather import Setting, Task
from transferlab.analysis.page.markup import Html, details, join, note, table, tag
from transferlab.analysis.page.settings import named
from transferlab.tasks import squad

TITLE = "Scores"
SHOWN = 20
"""Rows that are shown."""
COMPARED = 2000
"""Rows that are looked at, the first ones of the test set."""
MOST = 6
"""Settings whose outputs are shown, the best ones."""
CHARACTERS = 600
Line = Mapping[str, Any]


def scores(task: Task) -> Html:
    """Every score of each setting, the mean over seeds, and the signatures."""
    names = list(
        dict.fromkeys(
            name.removeprefix("test/")
            for setting in task.settings
            for run in setting.group.counted
            for name in run.get("metrics") or {}
            if name.startswith("test/")
        )
    )
    rows = []
    for setting in task.settings:
        found = [
            [score for run in setting.group.counted if (score := value(run, "metrics", f"test/{name}")) is not None]
            for name in names
        ]
        if any(found):
            rows.append([named(setting), *(f"{sum(own) / len(own):.4f}" if own else "-" for own in found)])
    if not rows:
        return note("No run of these texts has been tested.")
    signed = [
        run["test"].get("signatures") for s in task.settings for run in s.runs if isinstance(run.get("test"), dict)
    ]
    told: dict[str, str] = next((one for one in signed if one), {})
    return join(
        table(["setting", *names], rows, numeric=range(1, len(names) + 1)),
        note("Shares, not per cent: a BLEU of 27.4 stands here as 0.274. Of several seeds the mean."),
        details("how they are counted", table(["score", "signature"], [[name, told[name]] for name in told]))
        if told
        else None,
    )


def outputs(task: Task) -> Html:
    """Inputs, references and outputs of the settings side by side, the rows where they differ most first."""
    read: list[tuple[Setting, dict[int, Line]]] = []
    for setting in task.settings[:MOST]:
        for run in setting.runs[:1]:
            lines = answers.lines(Path(str(run.get("folder"))), "test")[:COMPARED]
            read.append((setting, {int(line["id"]): line for line in lines if {"id", "prediction"} <= line.keys()}))
    read = [(setting, lines) for setting, lines in read if lines]
    if not read:
        return note("No test predictions in these folders.")
    more = f", and of {len(task.settings)} settings the {MOST} best" if len(task.settings) > MOST else ""
    shared = sorted(set.intersection(*(set(lines) for _, lines in read)))
    ranked = sorted(shared, key=lambda row: (*apart([lines[row] for _, lines in read]), row))[:SHOWN]
    rows = []
    for row in ranked:
        one = next((lines[row] for _, lines in read if "text" in lines[row]), read[0][1][row])
        given = [join(*map(_clipped, _listed(one.get(key)))) for key in ("text", "label")]
        rows.append([str(row), *given, *(_output(lines[row]) for _, lines in read)])
    head = ["row", "input", "references", *(named(setting) for setting, _ in read)]
    text = (
        f"Of several seeds the first{more}. In brackets the F1 of words against the nearest reference. "
        f"First stand the rows where that differs most, then those where the outputs share the fewest words, of "
        f"{len(shared):,} test examples."
    )
    return join(table(head, rows, class_="outputs"), note(text))


def apart(lines: Sequence[Line]) -> tuple[float, float]:
    """How far apart the outputs for a row are, as a key to sort by: negative spread of quality, negative distance."""
    qualities = [quality(line) for line in lines]
    pairs = list(combinations([str(line["prediction"]) for line in lines], 2))
    distance = sum(1 - squad.f1(*pair) for pair in pairs) / len(pairs) if pairs else 0.0
    return round(min(qualities) - max(qualities), 6), round(-distance, 6)


def quality(line: Line) -> float:
    """F1 of words against the nearest reference; 0 without one."""
    return max((squad.f1(str(line["prediction"]), one) for one in _listed(line.get("label"))), default=0.0)


def _output(line: Line) -> Html:
    end = f", {line['end']}" if line.get("end") not in (None, "ended") else ""
    said = str(line["prediction"]) or "(empty)"
    return join(_short(said), f" ({quality(line):.2f}{end})")


def _clipped(text: str) -> Html:
    return tag("div", _short(text))


def _short(text: str) -> str:
    return text if len(text) <= CHARACTERS else text[:CHARACTERS] + " \u2026"


def _listed(cell: Any) -> list[str]:
    return [str(one) for one in cell] if isinstance(cell, list) else [] if cell is None else [str(cell)]
