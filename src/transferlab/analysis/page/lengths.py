"""Accuracy by length, with intervals for a share."""

import math
from collections.abc import Sequence
from typing import NamedTuple

Z = 1.959963984540054
"""Of the normal distribution, for 95 %."""


class Share(NamedTuple):
    """A share of successes in a number of trials, with its 95 % interval."""

    value: float
    low: float
    high: float
    trials: int


def wilson(successes: int, count: int) -> Share:
    """Wilson's score interval (1927): ``(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)``.

    With no trials at all the share is not known: 0 to 1.
    """
    if count == 0:
        return Share(0.0, 0.0, 1.0, 0)
    p, n = successes / count, count
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * math.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return Share(p, max(middle - half, 0.0), min(middle + half, 1.0), n)


def cuts(lengths: Sequence[int], count: int = 5) -> list[tuple[int, int]]:
    """Up to `count` ranges of about equally many examples, both ends included, that cover all lengths."""
    ordered = sorted(lengths)
    tops = sorted({ordered[min(len(ordered) * part // count, len(ordered)) - 1] for part in range(1, count + 1)})
    return [(low + 1, high) for low, high in zip([ordered[0] - 1, *tops[:-1]], tops, strict=True)]


def by_length(lengths: Sequence[int], right: Sequence[bool], ranges: Sequence[tuple[int, int]]) -> list[Share]:
    """The share of examples that are right in each range of lengths."""
    found = []
    for low, high in ranges:
        inside = [good for length, good in zip(lengths, right, strict=True) if low <= length <= high]
        found.append(wilson(sum(inside), len(inside)))
    return found
