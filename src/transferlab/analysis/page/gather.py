"""What a report reads from the run directories, each file once."""

import csv
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transferlab.analysis.comparison import kept, naming
from transferlab.analysis.comparison.groups import Group, Summary, group, value
from transferlab.analysis.comparison.standing import Row, block_of, standing
from transferlab.record import history
from transferlab.tasks.schemes import IOB2, Scheme, of_summary
from transferlab.tasks.spec import INTENT

Curve = list[tuple[float, float]]
MAJORITY = ("majority", "token_majority")
LONGEST = 50
"""Points of a curve that are drawn."""
LOGS = (history.NAME, "metrics.csv")
DRAWN = ("train/loss", "val/primary")
"""Names of the logged values that have a curve."""
VERSION = 3
"""Of kept curves; to be raised when they are made otherwise."""


class Setting(NamedTuple):
    """A setting under the number and the name that it has in the report, and how it stands to the others."""

    number: int
    name: str
    row: Row

    @property
    def group(self) -> Group:
        """Its runs."""
        return self.row.group

    @property
    def runs(self) -> tuple[Summary, ...]:
        """The runs that count, one for each seed."""
        return self.group.counted


class Task(NamedTuple):
    """All settings of a task that may be compared with one another, the best first."""

    name: str
    settings: list[Setting]

    @property
    def metric(self) -> str:
        """The metric that leads."""
        return self.settings[0].group.key.metric

    def known(self, key: str) -> Any:
        """What the first run that says so says of the task."""
        return next((run[key] for s in self.settings for run in s.group.runs if run.get(key)), None)

    @property
    def judged(self) -> list[Setting]:
        """Those with a score; without the majority where it would take most of an axis."""
        found = [s for s in self.settings if s.group.score is not None]
        others = [s for s in found if s.group.key.strategy not in MAJORITY]
        if len(others) < 2:
            return found
        return found if _reach(others) > 0.5 * _reach(found) else others

    @property
    def labels(self) -> list[str]:
        """Label names in class order."""
        return [str(label) for label in self.known("labels") or []]

    @property
    def scheme(self) -> Scheme:
        """How its tags are written."""
        return of_summary({"scheme": self.known("scheme")})

    @property
    def classes(self) -> list[str]:
        """What a matrix of confusion has rows of: labels, or types of entities and what is outside of all."""
        if self.known("kind") == "slots":
            return [name.removeprefix(INTENT) for name in self.labels if name.startswith(INTENT)]
        kinds = self.known("kind") == "tagging" and self.scheme.name != "tags"
        named = [IOB2.kind(label) if kinds else label for label in self.labels]
        return list(dict.fromkeys(self.scheme.outside if kinds and name == "O" else name for name in named))


def _reach(settings: Sequence[Setting]) -> float:
    """How far apart the scores of settings lie, their intervals included."""
    scores = [s.group.score for s in settings if s.group.score is not None]
    ends = [end for score in scores for end in (score.mean, score.low, score.high) if end is not None]
    return max(ends) - min(ends)


def tasks(summaries: Sequence[Summary]) -> list[Task]:
    """Groups runs into settings, by task; within a task by the test score, settings without one last.

    What may not be compared (other protocol, data, metric or test examples) is a task of its own, and its name says so.
    """
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in standing(group(summaries)):
        if row.group.key.task:
            blocks.setdefault(block_of(row.group.key), []).append(row)
    _join_failed(blocks)
    result = []
    for (block, rows), name in zip(blocks.items(), _titles(list(blocks)), strict=True):
        names = _names([row.group for row in rows])
        called = {row.label: title for row, title in zip(rows, names, strict=True)}
        settings = [
            Setting(n, title, row._replace(label=title, reference=called.get(row.reference, row.reference)))
            for n, (row, title) in enumerate(zip(rows, names, strict=True), start=1)
        ]
        result.append(Task(name or block[0], settings))
    return result


def _join_failed(blocks: dict[tuple[str, ...], list[Row]]) -> None:
    """Puts settings without any result beside the others of their task: they failed before much was known of them."""
    for block in [block for block, rows in blocks.items() if all(row.group.score is None for row in rows)]:
        others = [other for other in blocks if other[0] == block[0] and other != block]
        if others:
            largest = max(others, key=lambda other: sum(row.group.score is not None for row in blocks[other]))
            blocks[largest] += blocks.pop(block)


def _titles(blocks: Sequence[tuple[str, ...]]) -> list[str]:
    """Names of tasks: with metric, protocol, data and number of test examples where one task has several."""
    titles, forms = [], ("{}", "{}", "data {}", "{} test examples")
    for block in blocks:
        rivals = [other for other in blocks if other[0] == block[0]]
        shown = [
            form.format(part or "not known")
            for place, (part, form) in enumerate(zip(block[1:], forms, strict=True))
            if len({other[place + 1] for other in rivals}) > 1
        ]
        titles.append(f"{block[0]} ({', '.join(shown)})" if shown else block[0])
    return titles


def _names(groups: Sequence[Group]) -> list[str]:
    """The strategy, and as little as tells settings of the same strategy apart: encoder, rows, protocol, keys."""
    counts = Counter(g.key.encoder for g in groups if g.key.encoder != "-")
    usual = max(counts, key=counts.__getitem__, default="")
    names = [g.key.strategy + (f" · {g.key.encoder}" if _unusual(g, groups, usual) else "") for g in groups]
    for name in sorted({name for name in names if names.count(name) > 1}):
        places = [place for place, other in enumerate(names) if other == name]
        rivals = [groups[place] for place in places]
        facts = [[f"{g.key.train_examples} training examples" for g in rivals]]
        for place, told in zip(places, naming.told_apart(rivals, facts), strict=True):
            names[place] = ", ".join([name, *told])
    return names


def _unusual(one: Group, groups: Sequence[Group], usual: str) -> bool:
    """Whether the encoder has to be named: it is another one, or a variant beside another of the same strategy."""
    if one.key.encoder in {"-", usual}:
        return False
    rivals = {other.key.encoder for other in groups if other.key.strategy == one.key.strategy}
    return len(rivals) > 1 or not one.key.encoder.startswith(f"{usual}-")


def curves(run: Summary) -> dict[str, Curve]:
    """What is `DRAWN` of the logged values, over steps: from ``metrics.jsonl``, of older runs from ``metrics.csv``.

    What is validated behind the last step is the selected checkpoint, which is no point of a curve over steps.
    """
    folder, total = str(run.get("folder")), value(run, "perf", "steps") or math.inf
    payload = kept.kept(folder, "curves", LOGS, json.dumps([VERSION, total]), lambda sources: _curves(sources, total))
    return {name: list(map(tuple, curve.tolist())) for name, curve in kept.unpack(payload)[1].items()}


def _curves(sources: kept.Sources, total: float) -> bytes:
    found: dict[str, Curve] = defaultdict(list)
    for row in _logged(*sources):
        step = _number(row.get("step"))
        for name in DRAWN:
            number = _number(row.get(name))
            if step is not None and number is not None and not (name.startswith("val/") and step >= total):
                found[name].append((step, number))
    return kept.pack(None, **{name: np.array(_thin(curve)) for name, curve in found.items()})


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean at the steps that all curves have; empty where these are fewer than two."""
    values = [dict(curve) for curve in curves]
    steps = sorted(set.intersection(*(set(curve) for curve in values)))
    return [(step, sum(curve[step] for curve in values) / len(values)) for step in steps] if len(steps) > 1 else []


def _logged(lines: bytes | None, table: bytes | None) -> list[dict[str, Any]]:
    if lines is not None:
        return history.parse(lines)
    try:
        return list(csv.DictReader(io.StringIO((table or b"").decode("utf-8"), newline="")))
    except (ValueError, csv.Error):
        return []


def _number(given: Any) -> float | None:
    try:
        value = float(given)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _thin(curve: Curve) -> Curve:
    """Means of neighbours, so that a long run has no more points than can be seen."""
    if len(curve) <= LONGEST:
        return curve
    size = math.ceil(len(curve) / LONGEST)
    parts = [curve[start : start + size] for start in range(0, len(curve), size)]
    return [(sum(a for a, _ in part) / len(part), sum(b for _, b in part) / len(part)) for part in parts]
