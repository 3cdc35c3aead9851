"""Test predictions as sums: each metric is a function of counts that add up over examples.

That one form serves every test: leaving an example out subtracts its counts, swapping an example between two models
exchanges them.
"""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from transferlab.analysis.comparison.groups import Group, Summary, score_of
from transferlab.config.places import cache_folder
from transferlab.tasks.iob import spans

Array = np.ndarray[Any, Any]
VERSION = "1"
"""Part of the name of kept outcomes; to be raised when they are computed otherwise."""


class Outcomes(NamedTuple):
    """What a run made of each test example.

    Attributes:
        examples: Names ids and gold labels; two runs are paired only if they agree in it.
        counts: ``[examples, counts]``; what they are depends on the metric, see `METRICS`.
    """

    examples: str
    counts: Array


def _ratio(above: Array, below: Array) -> Array:
    """A quotient, 0 where the denominator is."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def _accuracy(sums: Array) -> Array:
    return _ratio(sums[..., 1], sums[..., 0])


def _f1(sums: Array) -> Array:
    """Counts: hits, predicted, gold."""
    return _ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def _precision(sums: Array) -> Array:
    return _ratio(sums[..., 0], sums[..., 1])


def _recall(sums: Array) -> Array:
    return _ratio(sums[..., 0], sums[..., 2])


def _f1_macro(sums: Array) -> Array:
    """Counts: hits, predicted, gold of every class; a class that occurs in neither is left out of the mean."""
    hits, found, gold = np.split(sums, 3, axis=-1)
    return _ratio(_ratio(2 * hits, found + gold).sum(-1), (found + gold > 0).sum(-1))


def _matthews(sums: Array) -> Array:
    """Counts: examples, hits, then predicted and gold of every class (Gorodkin 2004)."""
    total, hits = sums[..., 0], sums[..., 1]
    found, gold = np.split(sums[..., 2:], 2, axis=-1)
    spread = (total**2 - (found**2).sum(-1)) * (total**2 - (gold**2).sum(-1))
    return _ratio(hits * total - (found * gold).sum(-1), np.sqrt(np.maximum(spread, 0)))


def _correlation(sums: Array) -> Array:
    """Counts: 1, x, y, x squared, y squared, x times y."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spread = np.maximum(xx - x * x / n, 0) * np.maximum(yy - y * y / n, 0)
    return _ratio(xy - x * y / n, np.sqrt(spread))


METRICS: dict[tuple[str, str], Callable[[Array], Array]] = {
    ("classification", "accuracy"): _accuracy,
    ("classification", "f1"): _f1,
    ("classification", "f1_macro"): _f1_macro,
    ("classification", "matthews"): _matthews,
    ("regression", "pearson"): _correlation,
    ("regression", "spearman"): _correlation,
    ("regression", "mse"): _accuracy,
    ("tagging", "f1"): _f1,
    ("tagging", "precision"): _precision,
    ("tagging", "recall"): _recall,
}
"""Kind of task and name of metric to the metric of sums ``[..., counts]``, which returns ``[...]``."""


def outcomes(summary: Summary) -> Outcomes | None:
    """What a run made of the examples of its main test split.

    They are kept in the folder of caches, named by file, size and time of change. None where there are no predictions
    with gold labels, or where these do not give the metric that the summary names.
    """
    kind, metric = str(summary.get("kind")), str(summary.get("primary"))
    path = Path(str(summary.get("folder"))) / "predictions" / "test.jsonl"
    score = score_of(summary)
    if (kind, metric) not in METRICS or score is None:
        return None
    try:
        state = path.stat()
        key = [VERSION, str(path.absolute()), state.st_size, state.st_mtime_ns, kind, metric, summary.get("labels")]
        kept = cache_folder() / "outcomes" / f"{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]}.npz"
        found = _read(kept) or _keep(kept, _count(path, kind, metric, summary.get("labels") or []))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    recomputed = float(METRICS[kind, metric](found.counts.sum(0)))
    return found if abs(recomputed - score) < 1e-3 * max(1.0, abs(score)) else None


def _count(path: Path, kind: str, metric: str, labels: list[str]) -> Outcomes:
    with path.open(encoding="utf-8") as file:
        lines = json.loads("[" + ",".join(file) + "]")
    gold, found = [line["label"] for line in lines], [line["prediction"] for line in lines]
    examples = hashlib.sha256(json.dumps([[line["id"] for line in lines], gold]).encode()).hexdigest()[:16]
    if kind == "tagging":
        counts = np.array([_spans(*pair) for pair in zip(found, gold, strict=True)], dtype=float)
    elif kind == "regression":
        counts = _moments(np.array(found, dtype=float), np.array(gold, dtype=float), metric)
    else:
        places = {label: number for number, label in enumerate(labels)}
        one, other = (np.array([places[label] for label in column]) for column in (found, gold))
        counts = _classes(one, other, metric, len(labels))
    return Outcomes(examples, counts)


def _spans(found: list[str], gold: list[str]) -> tuple[int, int, int]:
    one, other = spans(found), spans(gold)
    return len(one & other), len(one), len(other)


def _moments(found: Array, gold: Array, metric: str) -> Array:
    ones = np.ones(len(gold))
    if metric == "mse":
        return np.stack([ones, (found - gold) ** 2], 1)
    x, y = (_standard(_ranks(values) if metric == "spearman" else values) for values in (found, gold))
    return np.stack([ones, x, y, x * x, y * y, x * y], 1)


def _standard(values: Array) -> Array:
    # a correlation does not change by it, and sums of squares lose no digits
    centred: Array = values - values.mean()
    spread = centred.std()
    return centred / spread if spread > 1e-9 else np.zeros_like(centred)


def _ranks(values: Array) -> Array:
    """Ranks from 1, equal values share their mean rank."""
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(count)
    ranks: Array = (ends - (count - 1) / 2)[place]
    return ranks


def _classes(found: Array, gold: Array, metric: str, classes: int) -> Array:
    right = (found == gold).astype(float)
    if metric == "accuracy":
        return np.stack([np.ones(len(gold)), right], 1)
    if metric == "f1":
        return np.stack([right * (gold == 1), found == 1, gold == 1], 1).astype(float)
    one_of = np.eye(classes)
    if metric == "f1_macro":
        return np.concatenate([right[:, None] * one_of[gold], one_of[found], one_of[gold]], 1)
    return np.concatenate([np.ones((len(gold), 1)), right[:, None], one_of[found], one_of[gold]], 1)


def _read(path: Path) -> Outcomes | None:
    if not path.is_file():
        return None
    try:
        with np.load(path) as kept:
            return Outcomes(str(kept["examples"]), kept["counts"].astype(float))
    except (OSError, ValueError, KeyError):
        return None


def _keep(path: Path, found: Outcomes) -> Outcomes:
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # counts are small whole numbers, moments are not
        whole = bool((found.counts == found.counts.astype(np.uint8)).all())
        np.savez(temporary, examples=found.examples, counts=found.counts.astype(np.uint8) if whole else found.counts)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
    return found


def sample(group: Group) -> tuple[str, Array] | None:
    """The outcomes of all counted runs of a setting.

    Returns:
        A name of the examples and ``[runs, examples, counts]``; None where a run has none or has others.
    """
    found = [outcomes(run) for run in group.counted]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found) or len({one.examples for one in known}) > 1:
        return None
    return known[0].examples, np.stack([one.counts for one in known])
