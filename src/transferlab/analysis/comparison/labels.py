"""What a label is worth: quality as a function of the number of training examples, and that function turned round."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
Curve = Mapping[int, Mapping[int, float]]
"""Number of training examples -> seed -> result; larger is better."""


class Labels(NamedTuple):
    """How many labels a method needs.

    Attributes:
        number: Their number; infinite where the largest tried is not enough, 0 where the smallest is more than needed.
        low: Lower end of the 95 % interval by the bootstrap over seeds; may be 0. NaN where there is a single
            seed.
        high: Upper end; may be infinite. NaN where there is none.
        tried: Smallest and largest number that was tried.
    """

    number: float
    low: float
    high: float
    tried: tuple[int, int]


def monotone(sizes: Sequence[int], means: Sequence[float], weights: Sequence[float]) -> Array:
    """The non-decreasing values nearest to `means` in weighted squares: more labels do no harm but by chance.

    Isotonic regression by pooling adjacent violators (Barlow et al. 1972).

    Returns:
        ``[sizes]``.

    Raises:
        ValueError: The sizes do not ascend.
    """
    from scipy.optimize import isotonic_regression

    if list(sizes) != sorted(set(sizes)):
        raise ValueError(f"sizes must ascend: {sizes}")
    return np.asarray(isotonic_regression(np.asarray(means, float), weights=np.asarray(weights, float)).x)


def needed(sizes: Sequence[int], values: Sequence[float], wanted: float) -> float:
    """The smallest number of labels at which a non-decreasing curve, linear in log n, reaches a value.

    Returns:
        Labels, a real number; infinity where the last value is below, 0 where the first is above.
    """
    if wanted < values[0]:
        return 0.0
    for place, value in enumerate(values):
        if value >= wanted:
            if place == 0:
                return float(sizes[0])
            below, low, high = values[place - 1], math.log(sizes[place - 1]), math.log(sizes[place])
            return math.exp(low + (high - low) * (wanted - below) / (value - below))
    return math.inf


def equivalent(curve: Curve, reference: Curve, size: int, draws: int = 2000) -> Labels:
    """How many labels the reference needs for what a method reaches with `size` labels, both on average over seeds.

    The interval is a percentile bootstrap over seeds (Efron 1979); all points of both curves draw the same seeds, which
    share their rows. With three seeds it has few different draws and is too narrow.

    Args:
        curve: Results of the method.
        reference: Results of what it is compared with.
        size: Number of labels; a key of `curve`.
        draws: Number of bootstrap samples.
    """
    sizes = sorted(reference)
    seeds = sorted({seed for runs in (curve[size], *reference.values()) for seed in runs})

    def count(drawn: Sequence[int]) -> float:
        points = [_mean(reference[n], drawn) for n in sizes]
        rising = monotone(sizes, points, [len(reference[n]) for n in sizes])
        return needed(sizes, rising.tolist(), _mean(curve[size], drawn))

    if len(seeds) < 2 or max(len(curve[size]), *(len(runs) for runs in reference.values())) < 2:
        return Labels(count(seeds), math.nan, math.nan, (sizes[0], sizes[-1]))
    generator = np.random.default_rng(0)
    known: dict[tuple[int, ...], float] = {}
    counts = []
    for _ in range(draws):
        drawn = tuple(sorted(generator.choice(seeds, len(seeds)).tolist()))
        known[drawn] = count(drawn) if drawn not in known else known[drawn]
        counts.append(known[drawn])
    # no interpolation between a number and infinity
    low, high = (np.quantile(counts, q, method=how) for q, how in ((0.025, "lower"), (0.975, "higher")))  # type: ignore[call-overload]
    return Labels(count(seeds), float(low), float(high), (sizes[0], sizes[-1]))


def _mean(runs: Mapping[int, float], seeds: Sequence[int]) -> float:
    """Mean over the drawn seeds that a point has; over all of its own where it has none of them."""
    drawn = [runs[seed] for seed in seeds if seed in runs] or list(runs.values())
    return sum(drawn) / len(drawn)


def text(labels: Labels, size: int) -> str:
    """The number of labels, and how many times as many that is, with the interval; for people."""
    least, most = labels.tried
    if math.isinf(labels.number):
        return f"more than {most:,} (more than {_times(most / size)})"
    if labels.number == 0:
        return f"fewer than {least:,} (less than {_times(least / size)})"
    if math.isnan(labels.low):
        return f"{labels.number:,.0f} ({_times(labels.number / size)}; one seed, no interval)"
    low = f"below {_times(least / size)}" if labels.low == 0 else _times(labels.low / size)
    high = f"above {_times(most / size)}" if math.isinf(labels.high) else _times(labels.high / size)
    return f"{labels.number:,.0f} ({_times(labels.number / size)}; {low} to {high})"


def _times(ratio: float) -> str:
    return f"{ratio:.2g}x" if ratio < 10 else f"{ratio:.0f}x"
