"""Where discs go so that none covers another."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

Place = tuple[float, float]
Box = tuple[float, float, float, float]
Array = np.ndarray[Any, Any]
RINGS = range(12, 160, 4)
"""Distances that are tried, in pixels."""
DIRECTIONS = 24
AT_ONCE = 8 * DIRECTIONS
FAR = 1e12
"""In place of a squared distance: further than anything in a chart."""
CORNER = 0.708
"""Pixels from the middle of a square pixel to its corner, and a little more."""
SURE = 1e-6
"""Square pixels within which rounding could decide."""
TURNS = [2 * math.pi * turn / DIRECTIONS for turn in range(DIRECTIONS)]
AROUND = np.array([(ring * math.cos(angle), ring * math.sin(angle)) for ring in RINGS for angle in TURNS]).T.copy()


def apart(places: Sequence[Place], radius: float, dot: float, box: Box) -> list[Place]:
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
    away = [(*place, radius + dot) for place in places]
    # a squared distance less that of the least is a row of these times a centre (x, y, its square, 1)
    terms = np.full((4, 2 * count), FAR) * [[0.0], [0.0], [0.0], [1.0]]
    for number, one in enumerate(away):
        terms[:, number] = _terms(*one)
    covered = np.zeros([math.ceil(box[end + 1] - box[end]) + 1 for end in (0, 2)], bool)
    # the mark of a disc's own place does not count, and the nearest ring is outside of it
    for one in away if radius + dot <= RINGS.start else ():
        _cover(covered, *one, box)
    for number, place in enumerate(places):
        own, terms[:, number] = terms[:, number].copy(), (0.0, 0.0, 0.0, FAR)
        others = terms[:, : count + number]
        free = _first_free(np.array([place]), others, away, number)
        if free is None:
            around = _uncovered(_inside(AROUND + np.array(place)[:, None], radius, box), covered, box).T
            parts = (around[start : start + AT_ONCE] for start in range(0, len(around), AT_ONCE))
            free = next((at for part in parts if (at := _first_free(part, others, away, number)) is not None), place)
        terms[:, number], terms[:, count + number] = own, _terms(*free, 2 * radius)
        away.append((*free, 2 * radius))
        _cover(covered, *away[-1], box)
        found.append(free)
    return found


def _terms(x: float, y: float, least: float) -> tuple[float, float, float, float]:
    return -2 * x, -2 * y, 1.0, x * x + y * y - least * least


def _cover(covered: Array, x: float, y: float, least: float, box: Box) -> None:
    """Marks the square pixels ``[across, down]`` of the box that are too near to something as a whole."""
    middles = []
    for at in (x - box[0], y - box[2]):
        start = max(int(at - least), 0)
        middles.append((start, np.arange(start, max(int(at + least) + 1, 0)) + (0.5 - at)))
    (left, across), (top, down) = middles
    part = covered[left : left + len(across), top : top + len(down)]
    near = (across * across)[:, None] + down * down < max(least - CORNER, 0.0) ** 2
    part |= near[: part.shape[0], : part.shape[1]]


def _uncovered(centres: Array, covered: Array, box: Box) -> Array:
    """Those of the centres, all inside the box, that may be free: most of a crowd need no look at every other disc."""
    x, y = centres
    found: Array = centres[:, covered[(x - box[0]).astype(int), (y - box[2]).astype(int)] == 0]
    return found


def _inside(centres: Array, radius: float, box: Box) -> Array:
    left, right, top, bottom = box
    x, y = centres
    inside = (left + radius <= x) & (x <= right - radius) & (top + radius <= y) & (y <= bottom - radius)
    found: Array = centres[:, inside]
    return found


def _first_free(centres: Array, terms: Array, away: Sequence[tuple[float, float, float]], left: int) -> Place | None:
    """The first of the centres ``[centres, 2]`` that is as far from all others (x, y, distance) as it must.

    All squared distances are one matrix product; where rounding could decide, the exact distance does.

    Args:
        centres: Where a disc may go, the nearest first.
        terms: Those of the others, see `_terms`.
        away: The others themselves.
        left: Number of the one among them that does not count.
    """
    own = np.column_stack([centres, (centres * centres).sum(1), np.ones(len(centres))])
    room = (own @ terms).min(1) if terms.shape[1] else np.full(len(centres), FAR)
    for number in np.flatnonzero(room > -SURE):
        at = (float(centres[number, 0]), float(centres[number, 1]))
        if room[number] > SURE or all(
            math.dist(at, (x, y)) >= apart for place, (x, y, apart) in enumerate(away) if place != left
        ):
            return at
    return None
