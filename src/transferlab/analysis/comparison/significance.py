"""Is one setting better than another, or is it chance? Paired tests on the same test examples.

Dror et al. 2018, The hitchhiker's guide to testing statistical significance in NLP, says which test fits which metric.
"""

import math
from collections.abc import Sequence

import numpy as np

from transferlab.analysis.comparison.distributions import sign_test
from transferlab.analysis.comparison.outcomes import Array
from transferlab.analysis.comparison.over_seeds import (
    Metric,
    Result,
    Sample,
    by_seed,
    errors_of,
    over_examples,
    over_seeds,
    paired_all,
    same_seeds,
)

SHUFFLES = 10_000
BLOCK = 500
"""Shuffles in memory at a time."""
RESAMPLES = 1000
BOOTSTRAP_SEED = 12345
"""That of sacrebleu, so that both draw the same examples."""
LEVEL = 0.05


def against(
    reference: Sample,
    others: Sequence[Sample],
    metric: Metric,
    accuracy: bool,
    texts: Array | None = None,
    bootstrap: bool = False,
) -> list[Result]:
    """Tests settings against a reference.

    A single run against a single run, or against a baseline: `mcnemar` for accuracy, else `randomisation`, or
    `paired_bootstrap` where it is asked for; that speaks of these two trained models. As soon as one of the two has
    several seeds: `seeds_and_examples`, which speaks of the settings. Examples with the same text are one sample of it,
    not several: `by_text`.

    Args:
        reference: What the others are compared with.
        others: Settings on the same examples.
        metric: A metric of sums, from `transferlab.tasks.kinds.SUMS`.
        accuracy: Whether the metric is a share of right answers.
        texts: ``[examples]``, equal numbers where texts are equal; None where none is known to stand there twice.
        bootstrap: Whether single runs are tested by `paired_bootstrap`.
    """
    if texts is not None:
        reference = reference._replace(counts=by_text(reference.counts, texts))
        others = [other._replace(counts=by_text(other.counts, texts)) for other in others]
    results: dict[int, Result] = {}
    single = [n for n, other in enumerate(others) if len(other.counts) == len(reference.counts) == 1]
    known, *errors = errors_of([reference, *others], metric)
    if bootstrap:
        results |= {n: paired_bootstrap(others[n].counts[0], reference.counts[0], metric) for n in single}
    elif single and accuracy:
        results |= {n: mcnemar(others[n].counts[0], reference.counts[0]) for n in single}
    elif single:
        stacked = np.stack([others[n].counts[0] for n in single])
        results |= dict(zip(single, randomisation(stacked, reference.counts[0], metric), strict=True))
    for n in single:
        if results[n].half is None:
            results[n] = results[n]._replace(half=over_examples(errors[n], known))
    several = [n for n in range(len(others)) if n not in results]
    alike = [n for n in several if same_seeds(others[n], reference)]
    tested = paired_all([by_seed(errors[n], others[n].seeds) for n in alike], by_seed(known, reference.seeds))
    results |= dict(zip(alike, tested, strict=True))
    for n in several:
        if n not in results:
            results[n] = over_seeds(others[n], reference, errors[n], known)
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


def paired_bootstrap(
    one: Array, other: Array, metric: Metric, resamples: int = RESAMPLES, seed: int = BOOTSTRAP_SEED
) -> Result:
    """The paired bootstrap (Koehn 2004, https://aclanthology.org/W04-3250), as sacrebleu and Moses compute it.

    Examples are drawn with replacement, the same for both models. With d the difference of the metric in each draw, the
    p-value is ``(1 + hits) / (1 + resamples)``, hits being the draws whose ``|d| - mean(|d|)`` exceeds the observed
    difference. The interval is half of the distance of the 2.5th and the 97.5th percentile of d. Where no draw
    tells the two apart p is 1; in sacrebleu it is the least that there is.

    Args:
        one: Counts ``[examples, counts]`` of a model.
        other: Those of the model that it is tested against.
        metric: A metric of sums.
        resamples: Number of draws.
        seed: Seed of the draws.
    """
    examples = len(one)
    drawn = np.random.default_rng(seed).choice(examples, size=(resamples, examples), replace=True)
    gains = np.empty(resamples)
    for start in range(0, resamples, BLOCK):
        times = np.stack([np.bincount(row, minlength=examples) for row in drawn[start : start + BLOCK]]).astype(float)
        gains[start : start + BLOCK] = metric(times @ one) - metric(times @ other)
    observed = float(metric(one.sum(0)) - metric(other.sum(0)))
    if not gains.any():
        return Result(observed, 1.0, "paired bootstrap")
    distances = np.abs(gains)
    hits = int((distances - distances.mean() > abs(observed)).sum())
    low, high = np.percentile(gains, [2.5, 97.5])
    return Result(observed, (1 + hits) / (1 + resamples), "paired bootstrap", float(high - low) / 2)


def holm(values: Sequence[float]) -> list[float]:
    """Corrects p-values for their number (Holm 1979): sorted, ``max over j <= i of min(1, (m - j) p_j)``, j from 0."""
    order = sorted(range(len(values)), key=values.__getitem__)
    corrected, highest = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - place) * values[number]))
        corrected[number] = highest
    return corrected
