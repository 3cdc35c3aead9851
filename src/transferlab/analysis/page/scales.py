"""Axes of a chart: from values to places, and round numbers to write beside them."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple


class Scale(NamedTuple):
    """A linear or logarithmic axis.

    Attributes:
        low: Value at `start`.
        high: Value at `end`.
        start: Place of the lowest value, in pixels.
        end: Place of the highest.
        log: Whether equal factors take equal room.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a value."""
        low, high, at = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def places(self, values: Sequence[float]) -> list[float]:
        """The places of values, each as a call would give it."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        found = [math.log10(value) for value in values] if self.log else values
        start, room, width = self.start, self.end - self.start, high - low
        return [start + room * (at - low) / width for at in found]

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the axis."""
        return _log_ticks(self.low, self.high) if self.log else _round_ticks(self.low, self.high, count)


def around(values: Iterable[float], start: float, end: float, log: bool = False, floor: float | None = None) -> Scale:
    """An axis with some room around the values.

    Args:
        values: At least one; above 0 where `log`.
        start: Place of the lowest value.
        end: Place of the highest.
        log: See `Scale`.
        floor: The axis does not go below.
    """
    found = list(values)
    low, high = min(found), max(found)
    if log:
        factor = max((high / low) ** 0.08, 1.5)
        return Scale(low / factor, high * factor, start, end, True)
    room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
    low = low - room if floor is None else max(low - room, floor)
    return Scale(low, high + room, start, end)


def _round_ticks(low: float, high: float, count: int) -> list[float]:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    span = math.log10(high / low)
    if span < 0.7:
        return _round_ticks(low, high, 4)
    factors = (1, 2, 5) if span < 2.5 else (1,)
    every = max(1, round(span / 5)) if span >= 2.5 else 1
    return [f * 10.0**d for d in decades if d % every == 0 for f in factors if low <= f * 10.0**d <= high]


def amount(value: float) -> str:
    """A number for people: 1.2k, 22.7M, 0.032."""
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{value / power:.3g}{letter}"
    return f"{value:.3g}"
