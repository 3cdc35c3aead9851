"""Two distributions in plain Python: importing scipy for them would take longer than all of a comparison."""

import functools
import math


def t_tail(t: float, df: float) -> float:
    """Two-sided tail of Student's t distribution, ``P(|T| >= |t|)``.

    It is the regularised incomplete beta function ``I_x(df / 2, 1 / 2)`` at ``x = df / (df + t**2)`` (Abramowitz and
    Stegun 1964, 26.7.1), here by its continued fraction.

    Args:
        t: The statistic.
        df: Degrees of freedom, above 0, not necessarily whole; infinity gives the normal distribution.
    """
    if math.isinf(df):
        return math.erfc(abs(t) / math.sqrt(2))
    return _beta(df / (df + t * t), df / 2, 0.5)


@functools.cache
def t_quantile(df: float, level: float = 0.95) -> float:
    """The t that `level` of the distribution with `df` degrees of freedom lies within on both sides."""
    tail = 1 - level
    guess, within = _near(df, tail)
    low, high = 0.0, 1e4
    while high - low > 1e-10 * high:
        middle = (low + high) / 2
        # most steps are far from the end, where the guess knows the side
        beyond = middle > guess if abs(middle - guess) > within else t_tail(middle, df) <= tail
        low, high = (low, middle) if beyond else (middle, high)
    return high


def _near(df: float, tail: float) -> tuple[float, float]:
    """The t of a two-sided tail, by Newton's method on its logarithm, and how near it is; infinitely far without one.

    The steps are in log t, with ``d log P / dt = -2 f(t) / P`` and f the density. Each step leaves about the square of
    what it took away.
    """
    t = _start(df, tail) if df < 1e5 or math.isinf(df) else math.nan
    for _ in range(60):
        known = t_tail(t, df)
        if not known > 0:
            break
        step = (math.log(known) - math.log(tail)) * known / (2 * _density(t, df) * t)
        t *= math.exp(max(min(step, 2.0), -2.0))
        if abs(step) < 1e-5:
            return t, max(t * 1e-11, 100 * t * step * step)
    return math.nan, math.inf


def _start(df: float, tail: float) -> float:
    """The quantile for many degrees of freedom (Abramowitz and Stegun 1964, 26.7.5; 26.2.23 for infinitely many)."""
    root = math.sqrt(-2 * math.log(tail / 2))
    above = 2.515517 + root * (0.802853 + root * 0.010328)
    z = root - above / (1 + root * (1.432788 + root * (0.189269 + root * 0.001308)))
    return z if math.isinf(df) else z + (z**3 + z) / (4 * df) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * df**2)


def _density(t: float, df: float) -> float:
    if math.isinf(df):
        return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)
    log = math.lgamma((df + 1) / 2) - math.lgamma(df / 2) - (df + 1) / 2 * math.log1p(t * t / df)
    return math.exp(log) / math.sqrt(df * math.pi)


def sign_test(wins: int, losses: int) -> float:
    """Two-sided exact p-value of as uneven a split of ``wins + losses`` fair coin tosses."""
    tosses, fewer = wins + losses, min(wins, losses)
    below = sum(
        math.exp(math.lgamma(tosses + 1) - math.lgamma(k + 1) - math.lgamma(tosses - k + 1) - tosses * _LOG_2)
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * below)


_LOG_2 = math.log(2)


def _beta(x: float, a: float, b: float) -> float:
    """Regularised incomplete beta function, by Lentz's method (Press et al., Numerical Recipes, 6.4)."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, c = 1e-300, 1.0
    d = value = 1 / _not_0(1 - (a + b) * x / (a + 1), tiny)
    for m in range(1, 500):
        twice = a + 2 * m
        for term in (m * (b - m) * x / ((twice - 1) * twice), -(a + m) * (a + b + m) * x / (twice * (twice + 1))):
            # no call for what is next to never so small
            d, c = 1 + term * d, 1 + term / c
            d = 1 / (d if abs(d) > tiny else tiny)
            c = c if abs(c) > tiny else tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * value


def _not_0(number: float, tiny: float) -> float:
    return number if abs(number) > tiny else tiny
