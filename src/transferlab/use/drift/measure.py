"""Compares what a run answered to its validation examples with what it answers to new texts; imports no torch."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from transferlab.analysis.comparison.significance import holm
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.kinds import KINDS, SUMS
from transferlab.tasks.kinds.multilabel import flags
from transferlab.tasks.kinds.qa import OUTCOMES, answered
from transferlab.tasks.spec import TaskSpec
from transferlab.use.drift import samples, shift

Array = np.ndarray[Any, Any]
Records = Sequence[dict[str, Any]]
Result = dict[str, Any]
LEVEL = 0.05


def compare(task: TaskSpec, validation: Records, new: Records, seed: int = 0) -> tuple[list[Result], dict[str, str]]:
    """Tests predictions, confidence and length.

    Args:
        task: Kind and labels.
        validation: Records of the validation examples, with ``tokens``.
        new: Records of the new texts, with ``tokens``.
        seed: Seed of the permutations.

    Returns:
        The checks, and what is left out with the reason.
    """
    left_out: dict[str, str] = {}
    checks = []
    if task.kind == "regression":
        values = [np.array([line["prediction"] for line in side], dtype=float) for side in (validation, new)]
        checks.append(check("predicted values", "mean", samples.numbers(*values)))
    else:
        found = [answers(task, [line["prediction"] for line in side]) for side in (validation, new)]
        checks.append(check("predicted labels", "share that moved", samples.shares(found[0], found[1], seed=seed)))
    if is_sure(task):
        checks.append(check("confidence", "mean", samples.numbers(*(_confidence(task, s) for s in (validation, new)))))
    else:
        left_out["confidence"] = f"{task.kind} has no probabilities in the record"
    lengths = [
        np.array([line["tokens"] for line in side if "tokens" in line], dtype=float) for side in (validation, new)
    ]
    if all(len(side) > 1 for side in lengths):
        checks.append(check("length in tokens", "mean", samples.numbers(*lengths)))
    else:
        left_out["length in tokens"] = "the record of the run is older and does not tell it"
    return checks, left_out


def check(name: str, what: str, test: samples.Compared) -> Result:
    """A row of the result."""
    return {"name": name, "what": what, **test._asdict()}


def correct(checks: list[Result]) -> list[Result]:
    """Adds ``corrected``, the p-values by Holm, and ``drift``, whether they are below 5 %."""
    corrected = holm([each["p"] for each in checks])
    return [{**each, "corrected": p, "drift": p < LEVEL} for each, p in zip(checks, corrected, strict=True)]


def answers(task: TaskSpec, found: Sequence[Any]) -> Array:
    """Counts of the answers to each example ``[examples, columns]``; with several labels yes and no of each."""
    if task.kind == "multilabel":
        given = flags(found, task.labels)
        return np.concatenate([given, 1 - given], 1)
    names = classes(task)
    table = np.zeros((len(found), len(names)))
    for row, numbers in zip(table, _numbers(task, found, names), strict=True):
        np.add.at(row, numbers[numbers >= 0], 1)
    return table


def classes(task: TaskSpec) -> list[str]:
    """What is counted: the labels, for tagging types of entities, whose words and not whose beginnings count.

    Of questions it is whether they have an answer.
    """
    if task.kind == "qa":
        return list(OUTCOMES)
    if task.kind != "tagging":
        return list(task.labels)
    return list(dict.fromkeys(_type(task, tag) for tag in task.labels))


def _type(task: TaskSpec, tag: str) -> str:
    return tag.partition("-")[2] or tag if task.entities else tag


def _numbers(task: TaskSpec, found: Sequence[Any], names: list[str]) -> list[Array]:
    """Class numbers of each example, one or one a word; -1 for a word that was not read."""
    places = {name: number for number, name in enumerate(names)}
    if task.kind == "qa":
        found = list(map(answered, found))
    if task.kind != "tagging":
        return [np.array([places[answer]]) for answer in found]
    read = task.spelling.read
    return [np.array([places.get(_type(task, tag), -1) for tag in read(tags)], dtype=int) for tags in found]


def label_shares(
    task: TaskSpec, validation: Records, new: Records | Array, seed: int = 0
) -> tuple[dict[str, Result], str]:
    """Shares of the right labels among the new texts, see `transferlab.use.drift.shift`.

    With several labels each is a question of its own, yes or no.

    Args:
        task: Kind and labels.
        validation: Records of the validation examples.
        new: Records of the new texts, or how many of them were given each label ``[labels]``; with several labels
            how many were not, and were, ``[labels, 2]``.
        seed: Seed of the bootstrap.

    Returns:
        For each label ``validation``, ``predicted``, ``estimated``, ``low``, ``high``, ``weight``; and why there is
        none, or an empty text.
    """
    if task.kind == "regression":
        return {}, "regression has no labels; the predicted values are compared"
    gold, guess = ([line[key] for line in validation] for key in ("label", "prediction"))
    counted = isinstance(new, np.ndarray)
    given: Any = new if counted else [line["prediction"] for line in new]
    try:
        if task.kind == "multilabel":
            tables = [flags(column, task.labels).astype(int) for column in (gold, guess)]
            now = given if counted else [np.eye(2)[row] for row in flags(given, task.labels).astype(int).T]
            found = {}
            for number, name in enumerate(task.labels):
                truth, answer = (table[:, number : number + 1] for table in tables)
                yes = shift.estimate(shift.cells(list(truth), list(answer), 2), now[number], seed=seed)
                found[name] = _row(yes, 1)
            return found, ""
        names = classes(task)
        pairs = [
            (truth[both], answer[both])
            for truth, answer in zip(_numbers(task, gold, names), _numbers(task, guess, names), strict=True)
            if (both := (truth >= 0) & (answer >= 0)).any()
        ]
        cells = shift.cells([pair[0] for pair in pairs], [pair[1] for pair in pairs], len(names))
        whole = shift.estimate(cells, given if counted else answers(task, given), seed=seed)
        return {name: _row(whole, number) for number, name in enumerate(names)}, ""
    except TransferlabError as error:
        return {}, str(error)


def _row(found: shift.Shift, number: int) -> Result:
    names = {"known": "validation", "answered": "predicted", "shares": "estimated", "weights": "weight"}
    return {names.get(key, key): float(values[number]) for key, values in found._asdict().items()}


def is_sure(task: TaskSpec) -> bool:
    """Whether an answer comes with a probability."""
    return KINDS[task.kind].scored or task.kind == "qa"


def _confidence(task: TaskSpec, lines: Records) -> Array:
    """Probability of what was answered; with several labels the mean over them."""
    if task.kind == "qa":
        return np.array([line["score"] for line in lines], dtype=float)
    scores = np.array([line["scores"] for line in lines], dtype=float)
    sure: Array = np.maximum(scores, 1 - scores).mean(1) if task.kind == "multilabel" else scores.max(1)
    return sure


def features(one: Array, other: Array, seed: int = 0) -> list[Result]:
    """Compares the features of texts ``[texts, hidden]`` by `samples.mmd` and `samples.classifier`."""
    return [
        check("features (MMD)", "MMD^2", samples.mmd(one, other, seed=seed)),
        check("features (classifier)", "accuracy", samples.classifier(one, other, seed)),
    ]


def quality(task: TaskSpec, lines: Records) -> Result:
    """The primary metric of records with labels, with its 95 % interval by the jackknife over examples."""
    read = partial(KINDS[task.kind].read, task.spelling)
    gold, found = ([read(line[key]) for line in lines] for key in ("label", "prediction"))
    kind = KINDS[task.kind]
    counts = kind.counts(found, gold, task.primary, kind.counted(task.labels, task.negative))
    metric = SUMS[task.kind, task.primary]
    total, value = counts.sum(0), float(metric(counts.sum(0)))
    without = metric(total - counts)
    half = samples.NORMAL * float(((without - without.mean()) ** 2).sum() * (len(counts) - 1) / len(counts)) ** 0.5
    return {"metric": task.primary, "value": value, "low": value - half, "high": value + half}


def verdict(result: Result) -> list[str]:
    """What the checks come to, in lines."""
    drifted = [each["name"] for each in result["checks"] if each["drift"]]
    others = [each["name"] for each in result["checks"] if not each["drift"]]
    lines = [f"drifted: {', '.join(drifted)}" if drifted else "no drift was found"]
    if drifted and others:
        lines.append(f"not shown to have drifted: {', '.join(others)}")
    moved = [
        f"{name} {row['validation']:.1%} -> {row['estimated']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
        for name, row in result["labels"].items()
        if not row["low"] <= row["validation"] <= row["high"]
    ]
    if moved:
        lines.append(f"label shares moved: {'; '.join(moved)}")
    if moved and any(name.startswith("features") for name in drifted):
        lines.append("the features drifted too: the shares hold only if texts of one label are still what they were")
    return lines


def distributions(task: TaskSpec, validation: Records, new: Records, bins: int) -> Result:
    """Histograms of confidence, length and predicted values as shares of each side, with the edges of their bins."""
    sides: dict[str, list[Array]] = {}
    if is_sure(task):
        sides["confidence"] = [_confidence(task, side) for side in (validation, new)]
    if task.kind == "regression":
        sides["predicted value"] = [np.array([line["prediction"] for line in side]) for side in (validation, new)]
    if all("tokens" in line for line in (validation[0], new[0])):
        sides["length in tokens"] = [np.array([line["tokens"] for line in side]) for side in (validation, new)]
    found = {}
    for name, (known, now) in sides.items():
        both = np.concatenate([known, now]).astype(float)
        edges = np.histogram_bin_edges(both, bins)
        if name == "length in tokens":
            # as many whole numbers in each bin as in any other
            step = max(1, -(-int(both.max() - both.min() + 1) // bins))
            edges = np.arange(both.min() - 0.5, both.max() + step, step)
        parts = [np.histogram(side, edges)[0] / len(side) for side in (known, now)]
        found[name] = {"edges": edges.tolist(), "validation": parts[0].tolist(), "new": parts[1].tolist()}
    return found
