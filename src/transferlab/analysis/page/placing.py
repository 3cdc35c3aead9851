"""Where discs go so that none covers another."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Place = tuple[float, float]
Array = np.ndarray[Any, Any]
RINGS = range(12, 160, 4)
"""Distances that are tried, in pixels."""
DIRECTIONS = 24
AT_ONCE = 8 * DIRECTIONS
SURE = 1e-6
"""Square pixels within which rounding could decide."""
TURNS = [2 * math.pi * turn / DIRECTIONS for turn in range(DIRECTIONS)]
AROUND = np.array([(ring * math.cos(angle), ring * math.sin(angle)) for ring in RINGS for angle in TURNS])


def apart(places: Sequence[Place], radius: float, dot: float, box: tuple[float, float, float, float]) -> list[Place]:
    """The centres of discs, one for each place, as near to it as there is room.

    A disc stays on its place where it covers no other place and no other disc; else it goes to the nearest free centre
    around it. Where there is none inside the box it stays.

    Args:
        places: What the discs belong to.
        radius: Of the discs.
        dot: Radius of the mark at each place, which no other disc covers.
        box: Left, right, top and bottom of the room.
    """
    count = len(places)
    found: list[Place] = []
    # what must be kept away from, and how far: the marks, then the discs as they find their places
    away = np.array([(*place, radius + dot) for place in places] + [(math.inf, 0.0, 2 * radius)] * count)
    for number, place in enumerate(places):
        others = np.delete(away[: count + number], number, axis=0)
        around = _inside(np.array(place) + AROUND, radius, box)
        starts = range(0, len(around), AT_ONCE)
        parts = [np.array([place]), *(around[start : start + AT_ONCE] for start in starts)]
        free = next((at for part in parts if (at := _first_free(part, others)) is not None), place)
        away[count + number, :2] = free
        found.append(free)
    return found


def _inside(centres: Array, radius: float, box: tuple[float, float, float, float]) -> Array:
    left, right, top, bottom = box
    x, y = centres.T
    inside = (left + radius <= x) & (x <= right - radius) & (top + radius <= y) & (y <= bottom - radius)
    found: Array = centres[inside]
    return found


def _first_free(centres: Array, away: Array) -> Place | None:
    """The first of the centres ``[centres, 2]`` that is as far from all of ``[others, 3]`` (x, y, distance) as it must.

    All squared distances are one matrix product; where rounding could decide, the exact distance does.
    """
    if not len(away):
        return (float(centres[0, 0]), float(centres[0, 1])) if len(centres) else None
    x, y, least = away.T
    others = np.stack([-2 * x, -2 * y, np.ones(len(x)), x * x + y * y - least * least])
    own = np.column_stack([centres, (centres * centres).sum(1), np.ones(len(centres))])
    room = (own @ others).min(1)
    for number in np.flatnonzero(room > -SURE):
        at = (float(centres[number, 0]), float(centres[number, 1]))
        if room[number] > SURE or all(math.dist(at, other) >= apart for *other, apart in away.tolist()):
            return at
    return None
