"""Is one setting better than another, or is it chance? Paired tests on the same test examples.

Dror et al. 2018, The hitchhiker's guide to testing statistical significance in NLP, says which test fits which metric.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from transferlab.analysis.comparison.distributions import sign_test, t_quantile, t_tail
from transferlab.analysis.comparison.outcomes import Array

Metric = Callable[[Array], Array]
SHUFFLES = 10_000
BLOCK = 500
"""Shuffles in memory at a time."""
LEVEL = 0.05


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


def against(
    reference: Sample, others: Sequence[Sample], metric: Metric, accuracy: bool, texts: Array | None = None
) -> list[Result]:
    """Tests settings against a reference.

    A single run against a single run, or against a baseline: `mcnemar` for accuracy, else `randomisation`; that
    speaks of these two trained models. As soon as one of the two has several seeds: `seeds_and_examples`, which speaks
    of the settings. Examples with the same text are one sample of it, not several: `by_text`.

    Args:
        reference: What the others are compared with.
        others: Settings on the same examples.
        metric: A metric of sums, from `transferlab.tasks.kinds.SUMS`.
        accuracy: Whether the metric is a share of right answers.
        texts: ``[examples]``, equal numbers where texts are equal; None where none is known to stand there twice.
    """
    if texts is not None:
        reference = reference._replace(counts=by_text(reference.counts, texts))
        others = [other._replace(counts=by_text(other.counts, texts)) for other in others]
    results: dict[int, Result] = {}
    single = [n for n, other in enumerate(others) if len(other.counts) == len(reference.counts) == 1]
    known = _errors(reference, metric)
    if single and accuracy:
        results |= {n: mcnemar(others[n].counts[0], reference.counts[0]) for n in single}
    elif single:
        stacked = np.stack([others[n].counts[0] for n in single])
        results |= dict(zip(single, randomisation(stacked, reference.counts[0], metric), strict=True))
    for n in single:
        results[n] = results[n]._replace(half=over_examples(_errors(others[n], metric), known))
    several = [n for n in range(len(others)) if n not in results]
    results |= {n: _over_seeds(others[n], reference, _errors(others[n], metric), known) for n in several}
    return [results[n] for n in range(len(others))]


def by_text(counts: Array, texts: Array) -> Array:
    """Adds up the counts ``[runs, examples, counts]`` of examples with the same text, in the order of `texts`.

    A model answers a text that stands there three times three times alike: that is one observation, and whoever counts
    three finds differences that are not there.
    """
    order = np.argsort(texts, kind="stable")
    starts = np.flatnonzero(np.diff(texts[order], prepend=texts[order[0]] - 1))
    found: Array = np.add.reduceat(counts[:, order], starts, axis=1)
    return found


def mcnemar(one: Array, other: Array) -> Result:
    """McNemar's exact test (McNemar 1947): of the examples that one of two models has right, how many are whose?

    Texts that stand there several times are clusters: the sum of gains in each is as likely to have the one sign as the
    other, and the p-value is that of all signs, exactly. (Durkalski et al. 2003 have the chi-squared statistic of it.)
    Where no text is repeated that is McNemar's test.

    Args:
        one: Counts ``[texts, 2]`` of accuracy: examples of the text, and how many are right.
        other: Those of the other model.
    """
    gains = (one[:, 1] - other[:, 1]).astype(int)
    difference = float(gains.sum() / one[:, 0].sum())
    if np.abs(gains).max(initial=0) <= 1:
        return Result(difference, sign_test(int((gains > 0).sum()), int((gains < 0).sum())), "McNemar")
    return Result(difference, _sign_flips(gains), "McNemar by text")


def _sign_flips(gains: Array) -> float:
    """Share of all choices of signs whose sum is at least as far from 0 as that of whole numbers."""
    chances = np.ones(1)
    for size, count in zip(*np.unique(np.abs(gains[gains != 0]), return_counts=True), strict=True):
        # so many of them get a plus: the sum is size * (2 * pluses - count)
        tosses = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(count + 1)]
        spread = np.zeros(2 * size * count + 1)
        spread[:: 2 * size] = np.exp(np.array(tosses) - count * math.log(2))
        chances = np.convolve(chances, spread)
    sums = np.arange(len(chances)) - len(chances) // 2
    return float(min(1.0, chances[np.abs(sums) >= abs(gains.sum())].sum()))


def randomisation(ones: Array, other: Array, metric: Metric, shuffles: int = SHUFFLES, seed: int = 0) -> list[Result]:
    """Approximate randomisation (Noreen 1989; Yeh 2000, More accurate tests for the significance of results).

    If two models are alike, their outputs on an example may be swapped. The p-value is the share of random swaps, the
    real one included, whose difference is at least as large: ``(1 + hits) / (1 + shuffles)``. For Spearman ranks are
    taken before swapping.

    Args:
        ones: Counts ``[models, examples, counts]``.
        other: Counts ``[examples, counts]`` of the model that they are tested against.
        metric: A metric of sums.
        shuffles: Number of random swaps.
        seed: Seed of the swaps, so that a table stays what it is.
    """
    models, examples, width = ones.shape
    totals, total = ones.sum(1), other.sum(0)
    observed = metric(totals) - metric(total)
    gains = (ones - other).transpose(1, 0, 2).reshape(examples, models * width).astype(np.float32)
    generator = np.random.default_rng(seed)
    hits = np.zeros(models)
    for start in range(0, shuffles, BLOCK):
        size = min(BLOCK, shuffles - start)
        bits = np.frombuffer(generator.bytes(size * (-(-examples // 8))), dtype=np.uint8).reshape(size, -1)
        swaps = np.unpackbits(bits, axis=1, count=examples).astype(np.float32)
        moved = (swaps @ gains).reshape(size, models, width).astype(float)
        found = metric(totals - moved) - metric(total + moved)
        hits += (np.abs(found) >= np.abs(observed) - 1e-9).sum(0)
    return [
        Result(float(gain), float((1 + hit) / (1 + shuffles)), "randomisation")
        for gain, hit in zip(observed, hits, strict=True)
    ]


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


def _errors(sample: Sample, metric: Metric) -> Errors:
    totals = sample.counts.sum(1)
    examples = sample.counts.shape[1]
    without = metric(totals[:, None] - sample.counts)
    influence = (without - without.mean(1, keepdims=True)) * np.sqrt((examples - 1) / examples)
    return Errors(metric(totals), influence, sample.fixed or False)


def _over_seeds(one: Sample, other: Sample, errors: Errors, known: Errors) -> Result:
    """The test over seeds and examples that the runs of two settings allow."""
    runs = sorted((len(one.counts), len(other.counts)))
    alone = min((one, other), key=lambda sample: len(sample.counts))
    borrowed = runs[0] == 1 and not alone.fixed
    if borrowed and runs[1] == 2:
        # the spread of one setting from two runs, and of the other from none
        return Result(float(errors.scores.mean() - known.scores.mean()), None, "")
    if runs[0] > 1 and set(one.seeds) == set(other.seeds) and len(set(one.seeds)) == runs[0] == runs[1]:
        return paired(_by_seed(errors, one.seeds), _by_seed(known, other.seeds))
    return seeds_and_examples(errors, known)._replace(assumed=borrowed)


def _by_seed(errors: Errors, seeds: tuple[int, ...]) -> Errors:
    order = np.argsort(seeds)
    return errors._replace(scores=errors.scores[order], influence=errors.influence[order])


def paired(one: Errors, other: Errors) -> Result:
    """Tests two settings that were run with the same seeds, in the same order.

    A seed draws the training examples where not all are taken, their order, and the new weights, for both settings.
    What they share of it is no more in the difference of two runs of a seed. So `seeds_and_examples` is asked about
    these differences: ``V = S²_d / r + max(0, c_d)`` with r - 1 degrees of freedom before those of the examples. With
    endless examples it is the paired t test.
    """
    gains = Errors(one.scores - other.scores, one.influence - other.influence, fixed=False)
    nothing = Errors(np.zeros(1), np.zeros((1, gains.influence.shape[1])), fixed=True)
    return seeds_and_examples(gains, nothing)._replace(method="paired seeds and examples")


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
    if total <= 0:
        return Result(gain, 1.0 if gain == 0 else 0.0, "seeds and examples")
    freedom = _freedom(pairs, noise, total)
    half = t_quantile(freedom) * total**0.5
    return Result(gain, t_tail(gain / total**0.5, freedom), "seeds and examples", half)


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
    below = sum(part**2 / free for part, free in parts if free)
    return total**2 / below if below else float("inf")


def holm(values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number (Holm 1979): sorted, ``max over j <= i of min(1, (m - j) p_j)``, j from 0."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[number]))
        corrected[number] = highest
    return corrected
