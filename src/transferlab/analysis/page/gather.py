"""What a report reads from the run directories, each file once."""

import csv
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from transferlab.analysis.comparison import naming
from transferlab.analysis.comparison.groups import Group, Summary, group, value
from transferlab.analysis.comparison.standing import Row, block_of, standing
from transferlab.analysis.page.calibration import Array
from transferlab.analysis.page.entities import Errors, errors
from transferlab.record import history
from transferlab.tasks.schemes import IOB2, Scheme, of_summary

Line = dict[str, Any]
Curve = list[tuple[float, float]]
MAJORITY = ("majority", "token_majority")
LONGEST = 50
"""Points of a curve that are drawn."""


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
        kinds = self.known("kind") == "tagging" and self.scheme.name != "tags"
        named = [IOB2.kind(label) if kinds else label for label in self.labels]
        return list(dict.fromkeys(self.scheme.outside if kinds and name == "O" else name for name in named))


class Tested(NamedTuple):
    """What the test predictions of a run say.

    Attributes:
        ids: Row numbers.
        right: Whether the prediction is right, for tagging in every word, of several labels in all; empty for
            regression.
        lengths: Tokens, for tagging without them words; empty where not known.
        unit: ``tokens`` or ``words``.
        confusion: (gold, predicted) to examples, for tagging words without the B and I of the tags.
        scores: Probabilities ``[examples, classes]``, None without.
        gold: Class numbers ``[examples]`` of those.
        selection: Scores and class numbers on the validation set, None without.
        errors: Of entities, None for other tasks.
    """

    ids: list[int]
    right: list[bool]
    lengths: list[int]
    unit: str
    confusion: Counter[tuple[str, str]]
    scores: Array | None
    gold: Array | None
    selection: tuple[Array, Array] | None
    errors: Errors | None


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


def lines(folder: Path, name: str) -> list[Line]:
    """A file of predictions; empty where there is none that can be read."""
    try:
        with (folder / "predictions" / f"{name}.jsonl").open(encoding="utf-8") as file:
            found = [json.loads(line) for line in file]
    except (OSError, ValueError):
        return []
    return found if all(isinstance(line, dict) for line in found) else []


def tested(run: Summary) -> Tested | None:
    """Reads the predictions of a run; None where there are none with gold labels."""
    folder, labels = Path(str(run.get("folder"))), [str(label) for label in run.get("labels") or []]
    found = [line for line in lines(folder, "test") if {"id", "prediction", "label"} <= line.keys()]
    if not found:
        return None
    several = run.get("kind") == "multilabel"
    tagging = isinstance(found[0]["label"], list) and not several
    regression = isinstance(found[0]["label"], int | float)
    scheme = of_summary(run)
    unit = "tokens" if all("tokens" in line for line in found) else "words" if tagging else ""
    scores, gold = _scores(found, labels)
    selection = _scores(lines(folder, "validation"), labels) if scores is not None else (None, None)
    return Tested(
        ids=[int(line["id"]) for line in found],
        right=[] if regression else [line["prediction"] == line["label"] for line in found],
        lengths=[line["tokens"] if unit == "tokens" else len(line["label"]) for line in found] if unit else [],
        unit=unit,
        confusion=Counter() if regression or several else Counter(_pairs(found, tagging, scheme)),
        scores=scores,
        gold=gold,
        selection=None if selection[0] is None or selection[1] is None else (selection[0], selection[1]),
        errors=errors(found, scheme) if tagging and scheme.name != "tags" else None,
    )


def _pairs(found: list[Line], tagging: bool, scheme: Scheme) -> Iterator[tuple[str, str]]:
    for line in found:
        if not tagging:
            yield line["label"], line["prediction"]
            continue
        for gold, guess in zip(line["label"], line["prediction"], strict=False):
            yield scheme.kind(gold), scheme.kind(guess)


def _scores(found: list[Line], labels: list[str]) -> tuple[Array | None, Array | None]:
    number = {label: position for position, label in enumerate(labels)}
    rows = (
        [
            (line["scores"], number[line["label"]])
            for line in found
            if line.get("label") in number
            and len(line.get("scores") or []) == len(labels)
            and None not in line["scores"]
        ]
        if labels and found and isinstance(found[0].get("label"), str)
        else []
    )
    if not rows:
        return None, None
    return np.array([scores for scores, _ in rows], dtype=np.float64), np.array([gold for _, gold in rows])


def curves(run: Summary) -> dict[str, Curve]:
    """Logged values by name, over steps: from ``metrics.jsonl``, of older runs from ``metrics.csv``.

    What is validated behind the last step is the selected checkpoint, which is no point of a curve over steps.
    """
    found: dict[str, Curve] = defaultdict(list)
    total = value(run, "perf", "steps") or math.inf
    for row in _logged(Path(str(run.get("folder")))):
        step = _number(row.pop("step", None))
        for name, given in row.items():
            number = _number(given)
            if step is not None and number is not None and not (name.startswith("val/") and step >= total):
                found[name].append((step, number))
    return {name: _thin(curve) for name, curve in found.items()}


def mean_curve(curves: Sequence[Curve]) -> Curve:
    """The mean at the steps that all curves have; empty where these are fewer than two."""
    values = [dict(curve) for curve in curves]
    steps = sorted(set.intersection(*(set(curve) for curve in values)))
    return [(step, sum(curve[step] for curve in values) / len(values)) for step in steps] if len(steps) > 1 else []


def _logged(folder: Path) -> list[Line]:
    if (folder / history.NAME).is_file():
        return history.rows(folder)
    try:
        with (folder / "metrics.csv").open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
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
