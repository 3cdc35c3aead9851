"""Are two samples from one distribution? Tests for numbers, for counts and for vectors."""

import math
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.lean import import_sklearn

Array = np.ndarray[Any, Any]
PERMUTATIONS = 999
NORMAL = 1.959964
"""The 97.5 % quantile of the normal distribution."""


class Compared(NamedTuple):
    """A comparison of two samples.

    Attributes:
        value: How far they are apart; what it is depends on the test.
        p: p-value of "they are from one distribution".
        low: Lower end of the 95 % interval of `value`; None where there is none.
        high: Its upper end.
    """

    value: float
    p: float
    low: float | None = None
    high: float | None = None


def shares(one: Array, other: Array, permutations: int = PERMUTATIONS, seed: int = 0) -> Compared:
    """Compares shares by a permutation test, with ``sum_k (a_k - b_k)^2 / c_k`` of the shares a, b and pooled c.

    That is the statistic of the chi-squared test. Examples are permuted whole, so words of a sentence stay together.

    Args:
        one: Counts of each example ``[examples, columns]``.
        other: Those of the other sample.
        permutations: Random divisions into two samples.
        seed: Their seed.

    Returns:
        `value` is the total variation distance ``sum_k |a_k - b_k| / 2``.
    """
    pooled = np.concatenate([one, other]).astype(float)
    pooled = pooled[:, pooled.any(0)]
    total = pooled.sum(0)
    expected = total / total.sum()
    hits = 0
    parts = _divisions(len(one), len(pooled), permutations, seed)
    known = _apart(pooled[: len(one)].sum(0), total)
    observed = float((known**2 / expected).sum())
    for part in parts:
        hits += float((_apart(pooled[part].sum(0), total) ** 2 / expected).sum()) >= observed - 1e-12
    return Compared(float(np.abs(known).sum() / 2), (1 + hits) / (1 + permutations))


def _apart(counts: Array, total: Array) -> Array:
    rest = total - counts
    found: Array = counts / counts.sum() - rest / rest.sum()
    return found


def _divisions(first: int, examples: int, permutations: int, seed: int) -> Any:
    generator = np.random.default_rng(seed)
    return (generator.permutation(examples)[:first] for _ in range(permutations))


def numbers(one: Array, other: Array) -> Compared:
    """Compares two samples of numbers ``[numbers]`` by the test of Kolmogorov and Smirnov.

    Returns:
        `value` is the difference of the means, other minus one, with its interval by Welch.
    """
    from scipy import stats

    gain = float(other.mean() - one.mean())
    parts = [sample.var(ddof=1) / len(sample) for sample in (one, other)]
    spread = sum(parts)
    p = float(stats.ks_2samp(one, other).pvalue)
    if spread == 0:
        return Compared(gain, p, gain, gain)
    freedom = spread**2 / sum(part**2 / (len(s) - 1) for part, s in zip(parts, (one, other), strict=True))
    half = float(stats.t.ppf(0.975, freedom)) * spread**0.5
    return Compared(gain, p, gain - half, gain + half)


def mmd(one: Array, other: Array, permutations: int = PERMUTATIONS, seed: int = 0) -> Compared:
    """Maximum mean discrepancy of two samples of vectors (Gretton et al. 2012, JMLR 13).

    The unbiased estimate, their equation 3, with the kernel ``k(x, y) = exp(-|x - y|^2 / (2 s^2))``, where s is the
    median distance between two vectors of both samples::

        MMD^2 = mean_(i != j) k(x_i, x_j) + mean_(i != j) k(y_i, y_j) - 2 mean_(i, j) k(x_i, y_j)

    The p-value is that of a permutation test, ``(1 + hits) / (1 + permutations)``; the interval that of the jackknife,
    which holds where the two differ.

    Args:
        one: ``[examples, width]``.
        other: ``[examples, width]``.
        permutations: Random divisions into two samples.
        seed: Their seed.

    Returns:
        `value` is MMD^2: about 0 for one distribution, below 0 by chance.
    """
    from scipy.spatial.distance import pdist, squareform

    pooled, first = np.concatenate([one, other]).astype(float), len(one)
    distances = pdist(pooled, "sqeuclidean")
    # the median of squares is the square of the median
    width = float(np.median(distances)) or 1.0
    kernel = squareform(np.exp(-distances / (2 * width)))
    members = np.zeros((len(pooled), permutations + 1))
    members[:first, 0] = 1
    for number, part in enumerate(_divisions(first, len(pooled), permutations, seed), start=1):
        members[part, number] = 1
    found = _discrepancies(kernel, members)
    value, half = float(found[0]), _jackknife(kernel, first)
    return Compared(value, float((found >= value - 1e-12).mean()), value - half, value + half)


def _discrepancies(kernel: Array, members: Array) -> Array:
    """MMD^2 of each division ``[divisions]``, where `members` has 1 for the first sample ``[examples, divisions]``."""
    m = members[:, 0].sum()
    n = len(kernel) - m
    rows = kernel @ members
    within = (members * rows).sum(0)
    across = rows.sum(0) - within
    others = kernel.sum() - within - 2 * across
    found: Array = within / (m * (m - 1)) + others / (n * (n - 1)) - 2 * across / (m * n)
    return found


def _jackknife(kernel: Array, m: int) -> float:
    """Half of the 95 % interval of MMD^2, from the values without each one of the examples."""
    n = len(kernel) - m
    own = np.concatenate([kernel[:m, :m].sum(1), kernel[m:, m:].sum(1)])
    cross = kernel.sum(1) - own
    within, others, across = own[:m].sum(), own[m:].sum(), cross[:m].sum()
    first = _value(within - 2 * own[:m], others, across - cross[:m], m - 1, n)
    second = _value(within, others - 2 * own[m:], across - cross[m:], m, n - 1)
    variance = sum((len(v) - 1) / len(v) * ((v - v.mean()) ** 2).sum() for v in (first, second))
    return NORMAL * math.sqrt(float(variance))


def _value(within: Any, others: Any, across: Any, m: int, n: int) -> Array:
    found: Array = within / (m * (m - 1)) + others / (n * (n - 1)) - 2 * across / (m * n)
    return found


def classifier(one: Array, other: Array, seed: int = 0) -> Compared:
    """Classifier two-sample test (Lopez-Paz & Oquab 2017, https://arxiv.org/abs/1610.06545).

    Logistic regression learns on half of the vectors to tell the samples apart, equally many of each. Of two samples
    from one distribution it has half of the others right, up to chance: ``hits ~ Binomial(examples, 1 / 2)``.

    Args:
        one: ``[examples, width]``.
        other: ``[examples, width]``.
        seed: Seed of the halves.

    Returns:
        `value` is the accuracy on the other half, with the interval of Wilson.
    """
    import_sklearn()
    from scipy.stats import binomtest
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(seed)
    size = min(len(one), len(other))
    half = size // 2
    parts = [sample[generator.permutation(len(sample))[:size]] for sample in (one, other)]
    known, asked = (np.concatenate([part[cut] for part in parts]) for cut in (slice(half), slice(half, size)))
    wanted = [np.repeat([0, 1], count) for count in (half, size - half)]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(known, wanted[0])
    hits = int((model.predict(asked) == wanted[1]).sum())
    result = binomtest(hits, len(asked), alternative="greater")
    interval = binomtest(hits, len(asked)).proportion_ci(method="wilson")
    return Compared(hits / len(asked), float(result.pvalue), float(interval.low), float(interval.high))
