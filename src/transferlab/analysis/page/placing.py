"""Where discs go so that none covers another."""

import math
from collections.abc import Sequence

Place = tuple[float, float]
RINGS = range(12, 160, 4)
"""Distances that are tried, in pixels."""
DIRECTIONS = 24


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
    found: list[Place] = []

    def is_free(at: Place, own: int) -> bool:
        return all(math.dist(at, other) >= 2 * radius for other in found) and all(
            math.dist(at, other) >= radius + dot for number, other in enumerate(places) if number != own
        )

    for number, place in enumerate(places):
        tried = (at for at in _around(place, radius, box) if is_free(at, number))
        found.append(place if is_free(place, number) else next(tried, place))
    return found


def _around(place: Place, radius: float, box: tuple[float, float, float, float]) -> list[Place]:
    left, right, top, bottom = box
    centres = [
        (place[0] + ring * math.cos(angle), place[1] + ring * math.sin(angle))
        for ring in RINGS
        for angle in (2 * math.pi * turn / DIRECTIONS for turn in range(DIRECTIONS))
    ]
    return [(x, y) for x, y in centres if left + radius <= x <= right - radius and top + radius <= y <= bottom - radius]
