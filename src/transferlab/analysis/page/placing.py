"""Where discs go so that none covers another."""

import functools
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Place = tuple[float, float]
Box = tuple[float, float, float, float]
Array = np.ndarray[Any, Any]
RINGS = range(12, 160, 4)
"""Distances that are tried, in pixels."""
DIRECTIONS = 24
CORNER = 0.708
"""Pixels from the middle of a square pixel to its corner, and a little more."""
PARTS = 4
"""Of a pixel's side: what covers pixels is drawn as if it lay in the middle of such a part of its own."""
TURNS = [2 * math.pi * turn / DIRECTIONS for turn in range(DIRECTIONS)]
STEPS = [(ring * math.cos(angle), ring * math.sin(angle)) for ring in RINGS for angle in TURNS]
"""To the centres around a place that are tried."""
ACROSS, DOWN = np.array(STEPS).T.copy()


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
    found: list[Place] = []
    # what must be kept away from, and how far: the marks, then the discs as they find their places
    room = _Room(box, radius, max(2 * radius, radius + dot))
    for number, place in enumerate(places):
        room.take(number, place, radius + dot, covers=radius + dot <= RINGS.start)
    for number, place in enumerate(places):
        free = place if room.is_free(place, number) else next(room.around(place, number), place)
        room.take(len(places) + number, free, 2 * radius)
        found.append(free)
    return found


class _Room:
    """What is taken of a box.

    Args:
        box: Left, right, top and bottom.
        radius: Of the discs, which lie inside as a whole.
        reach: The farthest that something keeps others away.
    """

    def __init__(self, box: Box, radius: float, reach: float) -> None:
        self._box, self._radius, self._reach = box, radius, reach
        # by squares so large that whatever is too near to a centre lies in the nine around it
        self._near: dict[tuple[int, int], list[tuple[int, float, float, float]]] = defaultdict(list)
        # square pixels ``[across, down]`` in which no disc finds room wherever its centre lies, a margin around the box
        self._margin = RINGS.stop
        sides = [math.ceil(box[end + 1] - box[end]) + 2 * self._margin for end in (0, 2)]
        self._covered = np.ones(sides, bool)
        first = self._margin + int(radius) - 1
        self._covered[first : sides[0] - first, first : sides[1] - first] = False

    def take(self, number: int, at: Place, least: float, covers: bool = True) -> None:
        """Keeps others away from a place.

        Args:
            number: Of what takes it.
            at: The place.
            least: How far away.
            covers: Whether it does so for all that look for room around their place.
        """
        x, y = at
        self._near[int(x // self._reach), int(y // self._reach)].append((number, x, y, least))
        if covers:
            across, down = self._pixel(at)
            stamp = _stamp(least, int(across % 1 * PARTS), int(down % 1 * PARTS))
            side = len(stamp)
            left, top = int(across) - side // 2, int(down) - side // 2
            part = self._covered[left : left + side, top : top + side]
            if left >= 0 <= top and part.shape == stamp.shape:
                part |= stamp

    def is_free(self, at: Place, own: int) -> bool:
        """Whether a disc there covers nothing; what has the number `own` does not count."""
        across, down = int(at[0] // self._reach), int(at[1] // self._reach)
        for square in [(a, b) for a in (across, across - 1, across + 1) for b in (down, down - 1, down + 1)]:
            for number, x, y, least in self._near.get(square, ()):
                if number != own and math.dist(at, (x, y)) < least:
                    return False
        return True

    def around(self, place: Place, own: int) -> Iterator[Place]:
        """The free centres around a place, the nearest first."""
        (left, right, top, bottom), radius = self._box, self._radius
        for number in self._open(place):
            x, y = place[0] + STEPS[number][0], place[1] + STEPS[number][1]
            inside = left + radius <= x <= right - radius and top + radius <= y <= bottom - radius
            if inside and self.is_free((x, y), own):
                yield x, y

    def _open(self, place: Place) -> list[int]:
        """Numbers of the centres around a place whose pixels are not covered: in a crowd few are."""
        left, right, top, bottom = self._box
        if not (left <= place[0] <= right and top <= place[1] <= bottom):
            return list(range(len(STEPS)))
        across, down = self._pixel(place)
        pixels = (ACROSS + across).astype(int) * self._covered.shape[1] + (DOWN + down).astype(int)
        found: list[int] = (~self._covered.ravel()[pixels]).nonzero()[0].tolist()
        return found

    def _pixel(self, at: Place) -> Place:
        return at[0] - self._box[0] + self._margin, at[1] - self._box[2] + self._margin


@functools.cache
def _stamp(least: float, across: int, down: int) -> Array:
    """Pixels around one that lie nearer than `least`, as a whole, to any point of a part of its square."""
    size = int(least) + 1
    places = np.arange(-size, size + 1) + 0.5
    x, y = places - (across + 0.5) / PARTS, places - (down + 0.5) / PARTS
    near: Array = x[:, None] ** 2 + y**2 < max(least - CORNER - CORNER / PARTS, 0.0) ** 2
    return near
