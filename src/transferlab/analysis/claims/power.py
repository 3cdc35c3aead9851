"""How many seeds it takes to decide a number, from the spread that a few of them showed."""

import math

from transferlab.analysis.claims.effects import Effect
from transferlab.analysis.comparison.distributions import t_quantile

POWER = 0.8
"""How likely so many seeds decide it, if what was measured is true."""
MOST = 1000


def seeds_needed(effect: Effect, threshold: float, ratio: bool = False) -> int | None:
    """The least n with ``(t(n - 1, 0.975) + t(n - 1, 0.8)) s / sqrt(n) <= |effect - threshold|``.

    That is the sample size of a two-sided paired t test at 5 % with a power of 80 % (Cohen 1988, chapter 2, with t for
    z), taking the effect as it was measured for the true one. The spread s of one seed is read off the interval.

    Args:
        effect: What a few seeds gave.
        threshold: What it is to be told from.
        ratio: Whether it is a ratio, whose logarithm has the interval.

    Returns:
        Seeds in all; None where that cannot be told: a single seed, a bound, no spread, no interval that ends; over
        `MOST` counts as `MOST` + 1.
    """
    if effect.low is None or effect.high is None or effect.n < 2 or effect.bound:
        return None
    values = (effect.value, effect.low, effect.high, threshold)
    if not all(map(math.isfinite, values)) or (ratio and min(values) <= 0):
        return None
    value, low, high, at = map(math.log, values) if ratio else values
    spread = (high - low) / 2 * math.sqrt(effect.n) / t_quantile(effect.n - 1)
    if spread <= 0:
        return None
    distance = abs(value - at)
    return next((n for n in range(2, MOST + 1) if _half(n) * spread <= distance * math.sqrt(n)), MOST + 1)


def _half(n: int) -> float:
    """Quantiles of the test and of its power, in standard errors."""
    # 80 % on one side are 60 % on both
    return t_quantile(n - 1) + t_quantile(n - 1, 2 * POWER - 1)


def told(seeds: int | None) -> str:
    """Seeds in words; empty where they are not known."""
    if seeds is None:
        return ""
    return f"over {MOST:,}" if seeds > MOST else f"{seeds:,}"
