"""Runs of one setting under several seeds, and what their results amount to."""

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.analysis.comparison import averages, configs, folds
from transferlab.analysis.comparison.distributions import t_quantile
from transferlab.record import setting
from transferlab.tasks.schemes import of_summary
from transferlab.tasks.spec import WORDED

Summary = dict[str, Any]
UNDER_WAY = ("running", "trained", "interrupted")
"""Status of a run that neither finished nor failed."""


class Estimate(NamedTuple):
    """A mean over runs.

    Attributes:
        mean: Arithmetic mean.
        std: Standard deviation with n - 1 in the denominator; None for a single value.
        low: Lower end of the 95 % interval of the mean; None for a single value.
        high: Upper end.
        n: Number of values.
    """

    mean: float
    std: float | None
    low: float | None
    high: float | None
    n: int


class Key(NamedTuple):
    """What runs must agree in to be averaged.

    Attributes:
        task: Name of the task.
        metric: The metric that leads.
        protocol: Which rows select checkpoints: ``holdout`` or ``official``.
        data: Version of the rows by content; for older runs the place that they were read from.
        tested: Number of test examples, in digits; empty where no run tells it.
        train_examples: Rows trained on; None where that is not known.
        encoder: Label of the encoder, "-" for a baseline.
        strategy: Name of the strategy.
        setting: Fingerprint of all else that decides the result; empty where the configuration is not known.
    """

    task: str
    metric: str
    protocol: str
    data: str
    tested: str
    train_examples: int | None
    encoder: str
    strategy: str
    setting: str


class Group(NamedTuple):
    """Runs of one setting.

    Attributes:
        key: What they agree in.
        runs: All of them, in the order of their names, unfinished and failed ones too.
        counted: Those with a test result, one for each seed, or for each seed and fold: of several with the same the
            one named last, since two runs of one seed say nothing about the spread over seeds.
        seeds: Seeds of the counted runs, ascending.
        score: The leading metric on the test over the counted runs; None where there are none.
        sound: The same without runs that collapsed; equal to `score` where none did.
    """

    key: Key
    runs: tuple[Summary, ...]
    counted: tuple[Summary, ...]
    seeds: tuple[int, ...]
    score: Estimate | None
    sound: Estimate | None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean, standard deviation and the 95 % interval of the mean by Student's t: ``mean ± t(n - 1) std / sqrt(n)``.

    The interval is about the mean over seeds on these very test examples; that others would give other numbers is not
    in it. None without values.
    """
    if not values:
        return None
    n, mean = len(values), averages.mean(values)
    if n == 1:
        return Estimate(mean, None, None, None, 1)
    std = averages.deviation(values)
    half = t_quantile(n - 1) * std / math.sqrt(n)
    return Estimate(mean, std, mean - half, mean + half, n)


def fold_of(summary: Summary) -> int | None:
    """The fold that a run was tested on; None where it is none of a cross-validation."""
    found = summary.get("fold")
    return found if isinstance(found, int) else None


def fold_ratio(runs: Sequence[Summary]) -> float:
    """Test examples divided by training examples, over the folds of a setting; those that select are in neither."""
    pairs = [(value(run, "test", "examples"), value(run, "data", "train_examples")) for run in runs]
    known = [test / train for test, train in pairs if test and train]
    return averages.mean(known) if known else 0.0


def group(summaries: Sequence[Summary]) -> list[Group]:
    """Puts runs of the same setting together, in the order in which settings first appear.

    Args:
        summaries: Contents of ``summary.json``. With ``folder``, the run directory, older ones that lack ``setting``
            are told apart by their ``config.yaml``; without it they are told apart by what the summary says.
    """
    keys = [key_of(summary) for summary in summaries]
    usual = _usual_test(keys)
    found: dict[Key, list[Summary]] = {}
    for key, summary in zip(keys, summaries, strict=True):
        # a run that has not come to its test stands with those of its setting, or of its task, that have
        tested = key.tested or usual.get(key) or usual.get(key[:4], "")
        found.setdefault(key._replace(tested=tested), []).append(summary)
    return [_group(key, runs) for key, runs in found.items()]


def _usual_test(keys: Sequence[Key]) -> dict[tuple[Any, ...], str]:
    """The commonest number of test examples of each setting, and of each task, metric, protocol and data."""
    counts: dict[tuple[Any, ...], Counter[str]] = {}
    for key in keys:
        if key.tested:
            for name in (key._replace(tested=""), key[:4]):
                counts.setdefault(name, Counter())[key.tested] += 1
    return {name: count.most_common(1)[0][0] for name, count in counts.items()}


def key_of(summary: Summary) -> Key:
    """What a run must share with others to be averaged with them."""
    data = summary.get("data")
    data = data if isinstance(data, dict) else {}
    # of a run that was trained on from another one that of the other, where both are tested on the same examples
    beside: dict[str, str] = (summary.get("start") or {}).get("beside") or {}
    examples = data.get("train_examples")
    tests = data.get("test")
    # folds differ in size by an example or two
    in_folds = fold_of(summary) is not None
    place = " ".join([str(data.get("origin", "")), *map(str, tests if isinstance(tests, list) else [])])
    return Key(
        task=_text(summary, "task"),
        metric=_text(summary, "primary"),
        protocol=beside.get("protocol") or _text(summary, "protocol"),
        data=str(beside.get("data") or data.get("version") or place.strip()),
        tested="" if in_folds else _test_examples(summary),
        train_examples=examples if isinstance(examples, int) and not in_folds else None,
        encoder=_text(summary, "encoder"),
        strategy=_text(summary, "strategy"),
        setting=_setting(summary),
    )


def value(summary: Summary, *keys: str) -> float | None:
    """A finite number in a summary, such as ``value(summary, "perf", "wall_s")``; None where there is none."""
    found: Any = summary
    for key in keys:
        if not isinstance(found, dict):
            return None
        found = found.get(key)
    # most are of this very type, or are not there: a report asks for tens of thousands of numbers
    if type(found) is float:
        return found if math.isfinite(found) else None
    number = isinstance(found, int | float) and not isinstance(found, bool)
    return float(found) if number and math.isfinite(found) else None


def score_of(summary: Summary, part: str = "test") -> float | None:
    """The leading metric of a run on the test, or on ``val``."""
    return value(summary, "metrics", f"{part}/{summary.get('primary')}")


def faults(summary: Summary) -> list[str]:
    """What is wrong with a run, in words: not finished, no numbers, collapsed.

    A classifier has failed if it is no better than the most frequent class of the test (Mosbach et al. 2021, On the
    stability of fine-tuning BERT); it has collapsed if it gives a single answer to everything. A baseline may do so.
    """
    status = summary.get("status", "unknown")
    if status != "finished":
        return ["NaN" if " nan" in str(summary.get("error", "")).lower() else str(status)]
    broken = value(summary, "test", "not_finite")
    if broken or (score_of(summary) is None and score_of(summary, "val") is not None and _tested(summary)):
        return ["NaN"]
    if is_baseline(summary):
        return []
    if _collapsed(summary):
        return ["collapsed"]
    share, accuracy = _majority(summary)
    return ["no better than the majority"] if share is not None and accuracy <= share + 1e-9 else []


def is_baseline(summary: Summary) -> bool:
    """Whether no encoder takes part."""
    return summary.get("encoder") == "-"


def _group(key: Key, runs: list[Summary]) -> Group:
    ordered = sorted(runs, key=lambda run: str(run.get("run", "")))
    by_seed: dict[tuple[int, int], Summary] = {}
    wrong: dict[int, list[str]] = {}
    for run in ordered:
        if run.get("status") == "finished" and score_of(run) is not None:
            wrong[id(run)] = faults(run)
            if "NaN" not in wrong[id(run)]:
                by_seed[drawn(run)] = run
    places = sorted(by_seed)
    counted = tuple(by_seed[place] for place in places)
    seeds = tuple(dict.fromkeys(seed for seed, _ in places))
    scores = [(run, score) for run in counted if (score := score_of(run)) is not None]
    sound = [score for run, score in scores if not wrong[id(run)]]
    whole = _estimate(counted, [score for _, score in scores])
    return Group(
        key, tuple(ordered), counted, seeds, whole, whole if len(sound) == len(scores) else _estimate(counted, sound)
    )


def drawn(summary: Summary) -> tuple[int, int]:
    """Seed and fold of a run; without folds the fold is -1."""
    seed, fold = summary.get("seed"), fold_of(summary)
    return seed if isinstance(seed, int) else 0, -1 if fold is None else fold


def _estimate(counted: Sequence[Summary], values: Sequence[float]) -> Estimate | None:
    plain = estimate(values)
    if plain is None or plain.std is None or fold_of(counted[0]) is None:
        return plain
    half = folds.half_of_interval(values, fold_ratio(counted))
    return plain._replace(low=plain.mean - half, high=plain.mean + half)


def _collapsed(summary: Summary) -> bool:
    tested = summary.get("test")
    if isinstance(tested, dict) and "collapsed" in tested:
        return bool(tested["collapsed"])
    # an older run: its per-class report says so too
    rows = _classes(summary)
    if not rows:
        return summary.get("kind") == "regression" and value(summary, "metrics", "test/pearson") == 0
    if summary.get("kind") == "tagging" and of_summary(summary).name != "tags":
        return all(row["recall"] == 0 for row in rows)
    recalls = sorted(row["recall"] for row in rows)
    return len(rows) > 1 and recalls[-1] == 1 and recalls[-2] == 0


def _majority(summary: Summary) -> tuple[float | None, float]:
    """Share of the most frequent class in the test, and the accuracy, both from the per-class report."""
    rows = _classes(summary) if summary.get("kind") == "classification" else []
    supports = [row["support"] for row in rows]
    total = sum(supports)
    if not total:
        return None, 0.0
    return max(supports) / total, sum([row["recall"] * row["support"] for row in rows]) / total


def _classes(summary: Summary) -> list[dict[str, float]]:
    rows = summary.get("per_class")
    return [row for row in rows.values() if row.get("support")] if isinstance(rows, dict) else []


def _test_examples(summary: Summary) -> str:
    known = value(summary, "test", "examples")
    if known is None and score_of(summary) is not None:
        # an older run: its predictions or the classes of its test say so too
        known = _lines(summary) or sum(row["support"] for row in _classes(summary) if summary.get("kind") not in WORDED)
    return str(int(known)) if known else ""


def _lines(summary: Summary) -> int:
    try:
        with (Path(str(summary.get("folder"))) / "predictions" / "test.jsonl").open("rb") as file:
            return sum(1 for _ in file)
    except OSError:
        return 0


def _tested(summary: Summary) -> bool:
    return f"test/{summary.get('primary')}" in (summary.get("metrics") or {})


def _setting(summary: Summary) -> str:
    if known := summary.get("setting"):
        return str(known)
    if folder := summary.get("folder"):
        tree = configs.of_folder(str(folder))
        return setting.fingerprint(tree) if tree else ""
    return ""


def _text(summary: Summary, name: str) -> str:
    found = summary.get(name)
    return "" if found is None else str(found)
