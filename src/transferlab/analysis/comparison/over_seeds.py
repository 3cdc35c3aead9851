"""Tests of two settings over their seeds and the test examples, both taken as samples of many."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from transferlab.analysis.comparison.distributions import t_quantile, t_tail
from transferlab.analysis.comparison.outcomes import Array

Metric = Callable[[Array], Array]
AT_ONCE = 100_000
"""Counts at a time: with what is made of them they stay in a processor's cache, which takes a third of the time."""
METHOD = "paired seeds and examples"


class Sample(NamedTuple):
    """The runs of a setting on the same examples.

    Attributes:
        counts: ``[runs, examples, counts]``, see `transferlab.analysis.comparison.outcomes`.
        fixed: Whether a single run stands for all seeds, as that of a classical baseline does.
        seeds: Those of the runs; empty where they are not known.
    """

    counts: Array
    fixed: bool = False
    seeds: tuple[int, ...] = ()


class Result(NamedTuple):
    """A test of one setting against another.

    Attributes:
        difference: Mean metric of the one minus that of the other.
        p: Two-sided p-value, not corrected; None where the runs cannot tell it.
        method: Name of the test.
        half: Half of the 95 % interval of the difference; None where nothing can be said of it.
        assumed: Whether it takes a single run to vary over seeds as much as the other setting does.
    """

    difference: float
    p: float | None
    method: str
    half: float | None = None
    assumed: bool = False


class Errors(NamedTuple):
    """What is needed of a setting to test it over seeds and examples.

    Attributes:
        scores: The metric of each run ``[runs]``.
        influence: What each example does to it ``[runs, examples]``: jackknife values, scaled so that the product of
            two rows is the covariance of two scores over samples of examples.
        fixed: See `Sample`.
    """

    scores: Array
    influence: Array
    fixed: bool


def over_examples(one: Errors, other: Errors) -> float | None:
    """Half of the 95 % interval of the difference between two single runs over samples of examples.

    By the jackknife, for any metric, and normal; of accuracy it is the paired interval of Wald. None where the two
    never differ: with no discordant example the spread is not known.
    """
    gains = one.influence[0] - other.influence[0]
    spread = float(gains @ gains)
    return t_quantile(math.inf) * spread**0.5 if spread > 0 else None


def errors_of(samples: Sequence[Sample], metric: Metric) -> list[Errors]:
    """Those of each sample; some runs at a time, with about `AT_ONCE` numbers."""
    runs = [(place, run) for place, sample in enumerate(samples) for run in range(len(sample.counts))]
    size = max(AT_ONCE // samples[0].counts[0].size, 1)
    scores: list[Array] = []
    influences: list[Array] = []
    for start in range(0, len(runs), size):
        counts = np.stack([samples[place].counts[run] for place, run in runs[start : start + size]])
        totals = _totals(counts)
        examples = counts.shape[1]
        without = metric(totals[:, None] - counts)
        scores.append(metric(totals))
        influences.append((without - without.mean(1, keepdims=True)) * np.sqrt((examples - 1) / examples))
    score, influence = np.concatenate(scores), np.concatenate(influences)
    ends = np.cumsum([len(sample.counts) for sample in samples])
    parts = [slice(end - len(sample.counts), end) for end, sample in zip(ends, samples, strict=True)]
    return [
        Errors(score[part], influence[part], sample.fixed or False) for part, sample in zip(parts, samples, strict=True)
    ]


def _totals(counts: Array) -> Array:
    """The sums over examples ``[runs, counts]``, added up in their order.

    With the examples first the innermost loop goes over all runs at once, not over a few counts of one: a fifth of the
    time for the same additions.
    """
    if counts.shape[2] == 1:
        # numpy adds a single column in pairs
        return np.asarray(counts.sum(1))
    return np.asarray(counts.swapaxes(0, 1).copy().sum(0))


def over_seeds(one: Sample, other: Sample, errors: Errors, known: Errors) -> Result:
    """The test over seeds and examples that the runs of two settings allow."""
    runs = sorted((len(one.counts), len(other.counts)))
    alone = min((one, other), key=lambda sample: len(sample.counts))
    borrowed = runs[0] == 1 and not alone.fixed
    if borrowed and runs[1] == 2:
        # the spread of one setting from two runs, and of the other from none
        return Result(float(errors.scores.mean() - known.scores.mean()), None, "")
    return seeds_and_examples(errors, known)._replace(assumed=borrowed)


def same_seeds(one: Sample, other: Sample) -> bool:
    """Whether both have several runs, of the same seeds, one each."""
    return (
        len(one.counts) > 1
        and set(one.seeds) == set(other.seeds)
        and (len(set(one.seeds)) == len(one.counts) == len(other.counts))
    )


def by_seed(errors: Errors, seeds: tuple[int, ...]) -> Errors:
    """The runs in the order of their seeds."""
    order = np.argsort(seeds)
    return errors._replace(scores=errors.scores[order], influence=errors.influence[order])


def paired(one: Errors, other: Errors) -> Result:
    """`paired_all` of a single setting."""
    return paired_all([one], other)[0]


def paired_all(ones: Sequence[Errors], other: Errors) -> list[Result]:
    """Tests settings against another that was run with the same seeds, in the same order.

    A seed draws the training examples where not all are taken, their order, and the new weights, for both settings.
    What they share of it is no more in the difference of two runs of a seed. So `seeds_and_examples` is asked about
    these differences: ``V = S²_d / r + max(0, c_d)`` with r - 1 degrees of freedom before those of the examples. With
    endless examples it is the paired t test.
    """
    if not ones:
        return []
    gains = np.stack([one.scores - other.scores for one in ones])
    runs = gains.shape[1]
    products = [(moved := one.influence - other.influence) @ moved.T for one in ones]
    diagonal = np.array([np.trace(table) for table in products])
    shared = (np.array([table.sum() for table in products]) - diagonal) / (runs * (runs - 1))
    variances = gains.var(axis=1, ddof=1) / runs
    totals = variances + np.maximum(0.0, shared)
    numbers = zip(gains.mean(1).tolist(), totals.tolist(), variances.tolist(), strict=True)
    return [_judged(gain, total, _by_satterthwaite(total, [(part, runs - 1)]), METHOD) for gain, total, part in numbers]


def _judged(gain: float, total: float, freedom: float, method: str) -> Result:
    """Of a difference with a variance and its degrees of freedom."""
    if total <= 0:
        return Result(gain, 1.0 if gain == 0 else 0.0, method)
    half = t_quantile(freedom) * total**0.5
    return Result(gain, t_tail(gain / total**0.5, freedom), method, half)


def seeds_and_examples(one: Errors, other: Errors) -> Result:
    """Tests two settings with both their seeds and the test examples as samples of many.

    The design is that of several readers who judge the same cases with two instruments, here seeds, examples and
    settings: Obuchowski and Rockette 1995, with readers of each instrument's own, and the degrees of freedom of
    Hillis 2007. With S² the variance of the scores over r seeds, and c the covariance over examples of the scores of
    two different runs, estimated by the jackknife, for any metric::

        t = (mean_1 - mean_2) / sqrt(V),    V = S²_1 / r_1 + S²_2 / r_2 + max(0, c_11 + c_22 - 2 c_12)
        df = V² / sum((S² / r)² / (r - 1))

    With endless examples it is Welch's t test over seeds. A test over examples alone would take seeds for granted: it
    calls far more than one in twenty pairs of equal settings different. A setting with a single run is taken to vary
    over seeds as much as the other one; a classical baseline does not vary.
    """
    gain = float(one.scores.mean() - other.scores.mean())
    pairs = ((one, other), (other, one))
    noise = [_seed_noise(*pair) for pair in pairs]
    shared = [_shared(errors, alone) for (errors, _), (_, alone, _) in zip(pairs, noise, strict=True)]
    crossed = float((one.influence @ other.influence.T).mean())
    spread = sum(variance / len(errors.scores) for (errors, _), (variance, _, _) in zip(pairs, noise, strict=True))
    total = spread + max(0.0, sum(shared) - 2 * crossed)
    freedom = _freedom(pairs, noise, total) if total > 0 else math.inf
    return _judged(gain, total, freedom, "seeds and examples")


def _seed_noise(errors: Errors, stand_in: Errors) -> tuple[float, float, int]:
    """Variance over seeds, the part of it that is of single examples, and its degrees of freedom (0: borrowed)."""
    runs = len(errors.scores)
    if errors.fixed and runs == 1:
        return 0.0, 0.0, 0
    source = errors if runs > 1 else stand_in
    if len(source.scores) < 2:
        return 0.0, 0.0, 0
    table = source.influence @ source.influence.T
    count = len(table)
    own = float(np.trace(table) / count - (table.sum() - np.trace(table)) / (count * (count - 1)))
    return float(source.scores.var(ddof=1)), own, runs - 1


def _shared(errors: Errors, alone: float) -> float:
    """Covariance over examples of two different runs of a setting."""
    table = errors.influence @ errors.influence.T
    count = len(table)
    if count == 1:
        return float(table[0, 0]) - alone
    return float((table.sum() - np.trace(table)) / (count * (count - 1)))


def _freedom(pairs: tuple[tuple[Errors, Errors], ...], noise: list[tuple[float, float, int]], total: float) -> float:
    parts = [
        (variance / len(errors.scores), free) for (errors, _), (variance, _, free) in zip(pairs, noise, strict=True)
    ]
    if any(part and not free for part, free in parts):
        # the one variance serves both sides
        parts = [(sum(part for part, _ in parts), max(free for _, free in parts))]
    return _by_satterthwaite(total, parts)


def _by_satterthwaite(total: float, parts: Sequence[tuple[float, int]]) -> float:
    """Degrees of freedom of a variance, from those of its parts that have some."""
    below = sum(part**2 / free for part, free in parts if free)
    return total**2 / below if below else math.inf
