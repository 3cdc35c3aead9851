"""Mean and standard deviation as the module `statistics` gives them, digit for digit, without its fractions.

A table asks for thousands, and importing that module alone takes longer than all of these.
"""

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one number."""
    return math.fsum(values) / len(values)


def deviation(values: Sequence[float]) -> float:
    """The standard deviation of at least two finite numbers, n - 1 in the denominator, rounded once at the end.

    Every float is a whole number over a power of two. Over the largest of these, D, the values are whole numbers x, and
    the variance is ``(n sum(x²) - sum(x)²) / (n (n - 1) D²)``.
    """
    ratios = [value.as_integer_ratio() for value in values]
    count, below = len(ratios), max(bottom for _, bottom in ratios)
    whole = [top * (below // bottom) for top, bottom in ratios]
    return _root(count * sum(one * one for one in whole) - sum(whole) ** 2, count * (count - 1) * below * below)


def _root(above: int, below: int) -> float:
    """The square root of a quotient, correctly rounded: 109 bits of it, the last one set where there are more."""
    shift = (above.bit_length() - below.bit_length() - 109) // 2
    above, below = above << max(-2 * shift, 0), below << max(2 * shift, 0)
    found = math.isqrt(above // below)
    found |= found * found * below != above
    return (found << max(shift, 0)) / (1 << max(-shift, 0))
