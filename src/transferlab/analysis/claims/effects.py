"""Effects with 95 % intervals over seeds, and what they say of a claim."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple

from transferlab.analysis.comparison.distributions import t_quantile
from transferlab.analysis.comparison.groups import Estimate, estimate

Verdict = Literal["supported", "partly", "not supported", "undecided", "not run"]


class Effect(NamedTuple):
    """A measured number.

    Attributes:
        value: The estimate.
        low: Lower end of its 95 % interval; None where one seed gives none.
        high: Upper end.
        n: Seeds, or pairs of runs with the same seed.
        bound: ``>=`` or ``<=`` where runs ended before the number was reached, so that it is only a bound.
    """

    value: float
    low: float | None
    high: float | None
    n: int
    bound: str = ""


def of(found: Estimate | None) -> Effect | None:
    """The mean of an estimate as an effect."""
    return None if found is None else Effect(found.mean, found.low, found.high, found.n)


def exact(value: float, n: int) -> Effect:
    """A number that no seed changes, such as a number of parameters."""
    return Effect(value, value, value, n)


def mean(values: Sequence[float]) -> Effect | None:
    """Mean with Student's t interval; None without values."""
    return of(estimate(values))


def geometric(values: Sequence[float], bound: str = "") -> Effect | None:
    """Geometric mean of positive ratios; the interval is Student's t of their logarithms."""
    found = mean([math.log(value) for value in values if value > 0])
    if found is None:
        return None
    low, high = (None if end is None else math.exp(end) for end in (found.low, found.high))
    return Effect(math.exp(found.value), low, high, found.n, bound)


def spread_difference(wide: Sequence[float], narrow: Sequence[float]) -> Effect | None:
    """How much further results of one kind lie from their median than those of another, on average.

    The difference of the mean absolute deviations from the median, with the pooled t interval of Brown and Forsythe
    1974 (Robust tests for the equality of variances, https://doi.org/10.1080/01621459.1974.10482955). None with fewer
    than three values on a side.
    """
    if min(len(wide), len(narrow)) < 3:
        return None
    parts = [[abs(value - statistics.median(values)) for value in values] for values in (wide, narrow)]
    sizes = [len(part) for part in parts]
    df = sum(sizes) - 2
    pooled = sum(statistics.variance(part) * (len(part) - 1) for part in parts) / df
    half = t_quantile(df) * math.sqrt(pooled * (1 / sizes[0] + 1 / sizes[1]))
    value = statistics.fmean(parts[0]) - statistics.fmean(parts[1])
    return Effect(value, value - half, value + half, min(sizes))


def judge(effect: Effect | None, threshold: float, at_most: bool = False) -> Verdict:
    """The verdict on one number.

    Supported where the whole interval lies beyond the threshold (above it, or with `at_most` not above it), not
    supported where the whole of it lies on the other side, undecided in between or without an interval.
    """
    if effect is None:
        return "not run"
    if effect.low is None or effect.high is None:
        return "undecided"
    if at_most:
        supported, refuted = effect.high <= threshold, effect.low > threshold
    else:
        supported, refuted = effect.low > threshold, effect.high <= threshold
    # beyond a bound lies the true number
    if effect.bound:
        supported &= (effect.bound == "<=") == at_most
        refuted &= (effect.bound == "<=") != at_most
    return "supported" if supported else "not supported" if refuted else "undecided"


def combine(verdicts: Sequence[Verdict]) -> Verdict:
    """The verdict on a claim from those on its numbers; what was not run does not count.

    Supported where all are; not supported where some are not and none is; undecided where none is decided; else partly.
    """
    known = {verdict for verdict in verdicts if verdict != "not run"}
    if not known:
        return "not run"
    if known == {"supported"}:
        return "supported"
    if "supported" in known:
        return "partly"
    return "not supported" if "not supported" in known else "undecided"
