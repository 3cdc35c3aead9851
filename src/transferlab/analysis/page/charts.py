"""Charts as inline SVG, about 400 pixels wide, so that text stays readable where the screen is narrow."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from transferlab.analysis.page.markup import Child, Html, join, tag
from transferlab.analysis.page.placing import apart
from transferlab.analysis.page.scales import Scale, amount, around

WIDTH, HEIGHT = 400, 290
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 44
COLOURS = 10
ROW = 42
"""Height of a row with a name above its marks."""
DISC, DOT = 8.5, 3.5
"""Radius of a disc with a number in it, and of the mark that it belongs to where it had to move aside."""
MANY = 50
"""How many times as large as the smallest the largest value of a curve is, for its axis to be logarithmic."""
Range = tuple[float, float]


class Point(NamedTuple):
    """A marker with a number in it.

    Attributes:
        x: Place.
        y: Place.
        bar: Ends of an interval around `y`.
        number: Written into it; also picks the colour.
        title: Shown when pointed at.
        fence: Whether it belongs to the frontier.
    """

    x: float
    y: float
    bar: Range | None
    number: int
    title: str
    fence: bool = False


class Line(NamedTuple):
    """A line through points, `number` picks the colour."""

    points: Sequence[tuple[float, float]]
    number: int
    title: str
    faint: bool = False


def figure(title: Child, drawing: Html, caption: Child = None) -> Html:
    """A chart with a heading."""
    return tag("figure", tag("h4", title) if title else None, drawing, tag("figcaption", caption) if caption else None)


def grid(figures: Sequence[Html]) -> Html:
    """Charts side by side, as many as there is room for."""
    return tag("div", *figures, class_="grid")


def colour(number: int) -> str:
    """The class that colours a setting."""
    return f"c{(number - 1) % COLOURS}"


def drawn_as(number: int) -> str:
    """The classes of what is drawn of a setting: its colour, and the name under which it can be hidden."""
    return f"{colour(number)} s{number}"


def scatter(points: Sequence[Point], across: str, up: str, log: bool) -> Html:
    """Numbered points with intervals, and the frontier of those that nothing beats in both."""
    ends = [end for point in points for end in (point.bar or (point.y, point.y))]
    x = around([point.x for point in points], LEFT + 8, WIDTH - RIGHT - 8, log)
    y = around(ends, HEIGHT - BOTTOM, TOP)
    fence = sorted((x(point.x), y(point.y)) for point in points if point.fence)
    steps = " ".join(
        [f"M{fence[0][0]:.1f} {fence[0][1]:.1f}"] + [f"H{a:.1f}V{b:.1f}" for a, b in fence[1:]] + [f"H{WIDTH - RIGHT}"]
        if fence
        else []
    )
    drawn: list[Html] = [tag("path", d=steps, class_="fence")] if steps else []
    places = [(x(point.x), y(point.y)) for point in points]
    discs = apart(places, DISC, DOT, (LEFT, WIDTH - RIGHT, TOP, HEIGHT - BOTTOM))
    # no interval lies over a disc
    for point, (at, _) in zip(points, places, strict=True):
        if point.bar:
            bar = tag("line", x1=at, x2=at, y1=y(point.bar[0]), y2=y(point.bar[1]))
            drawn.append(tag("g", bar, class_=f"point {drawn_as(point.number)}"))
    drawn += [_disc(*one) for one in zip(points, places, discs, strict=True)]
    return frame(drawn, x, y, across, up)


def _disc(point: Point, place: Range, at: Range) -> Html:
    """The number of a point, with a line to its place where it had to move aside."""
    parts: list[Html] = [tag("title", point.title)]
    if at != place:
        parts.append(tag("line", x1=place[0], x2=at[0], y1=place[1], y2=at[1], class_="leader"))
        parts.append(tag("circle", cx=place[0], cy=place[1], r=DOT))
    parts.append(tag("circle", cx=at[0], cy=at[1], r=DISC))
    parts.append(tag("text", str(point.number), x=at[0], y=at[1] + 3.5, class_="inside"))
    return tag("g", *parts, class_=f"point {drawn_as(point.number)}")


def lines(series: Sequence[Line], across: str, up: str, floor: float | None = None, start: float | None = 0) -> Html:
    """Lines over steps, or over what does not begin at `start`."""
    x = around([a for line in series for a, _ in line.points], LEFT, WIDTH - RIGHT, floor=start)
    values = [b for line in series for _, b in line.points]
    # curves that lie on the ground together are told apart by orders of magnitude
    log = floor == 0 and min(values) > 0 and max(values) > MANY * min(values)
    y = around(values, HEIGHT - BOTTOM, TOP, log, floor)
    up += " (logarithmic)" if log else ""
    drawn = []
    for line in series:
        title = tag("title", line.title)
        numbers = [0.0] * (2 * len(line.points))
        numbers[::2], numbers[1::2] = x.places([a for a, _ in line.points]), y.places([b for _, b in line.points])
        # one form for all of them: a report has ten thousands
        places = " ".join(["%.1f,%.1f"] * len(line.points)) % tuple(numbers)
        marked = len(line.points) < 20 and not line.faint
        marks = [tag("circle", cx=x(a), cy=y(b), r=2.2) for a, b in line.points] if marked else []
        look = f"line {drawn_as(line.number)}{' faint' if line.faint else ''}"
        drawn.append(tag("g", title, tag("polyline", points=places), *marks, class_=look))
    return frame(drawn, x, y, across, up)


def reliability(
    bins: Sequence[tuple[float, float, float, float, int]],
    after: Sequence[tuple[float, float, float, float, int]] | None = None,
) -> Html:
    """Accuracy in bins of confidence, beside the diagonal of a calibrated classifier.

    Args:
        bins: Lower and upper edge, mean confidence, accuracy, count of each bin that is not empty.
        after: The same after scaling, drawn as a line.
    """
    x, y = Scale(0, 1, LEFT, WIDTH - RIGHT), Scale(0, 1, HEIGHT - BOTTOM, TOP)
    total = sum(count for *_, count in bins) or 1
    drawn = [tag("line", x1=x(0), y1=y(0), x2=x(1), y2=y(1), class_="diagonal")]
    for low, high, sure, right, count in bins:
        title = f"confidence {sure:.3f}, accuracy {right:.3f}, {count} examples ({100 * count / total:.1f} %)"
        box = tag("rect", x=x(low) + 0.5, width=x(high) - x(low) - 1, y=y(right), height=y(0) - y(right))
        gap = tag("line", x1=x(sure), x2=x(sure), y1=y(sure), y2=y(right), class_="gap")
        dot = tag("circle", cx=x(sure), cy=y(right), r=2 + 6 * (count / total) ** 0.5)
        drawn.append(tag("g", tag("title", title), box, gap, dot, class_="bin"))
    if after:
        places = " ".join(f"{x(sure):.1f},{y(right):.1f}" for _, _, sure, right, _ in after)
        title = tag("title", "scaled by the temperature")
        drawn.append(tag("g", title, tag("polyline", points=places), class_="after"))
    return frame(drawn, x, y, "confidence", "accuracy")


def intervals(rows: Sequence[tuple[int, str, float, Range | None, Sequence[float]]], across: str) -> Html:
    """One row each: number, name, mean, interval, single values."""
    tall = TOP + ROW * len(rows) + BOTTOM
    found = [v for _, _, mean, bar, values in rows for v in (mean, *(bar or ()), *values)]
    x = around(found, 12, WIDTH - 12)
    drawn = []
    for position, (number, name, mean, bar, values) in enumerate(rows):
        at = TOP + ROW * position + 29
        parts = [tag("text", _short(f"{number}  {name}"), x=12, y=at - 13, class_="rowname")]
        if bar:
            parts.append(tag("line", x1=x(bar[0]), x2=x(bar[1]), y1=at, y2=at))
        parts += [tag("circle", cx=x(value), cy=at, r=3, class_="single") for value in values]
        parts.append(tag("path", d=f"M{x(mean):.1f} {at - 6}V{at + 6}", class_="mean"))
        title = f"{name}: {mean:.4f}" + (f", 95 % interval {bar[0]:.4f} to {bar[1]:.4f}" if bar else ", one seed")
        drawn.append(tag("g", tag("title", title), *parts, class_=f"row {drawn_as(number)}"))
    y = Scale(0, 1, tall - BOTTOM, TOP)
    return frame(drawn, x, y, across, "", tall=tall, left=12)


def buckets(
    names: Sequence[str], series: Sequence[tuple[int, str, Sequence[tuple[float, float, float]]]], across: str, up: str
) -> Html:
    """For each bucket the value and its interval, the series side by side.

    Args:
        names: Buckets from left to right.
        series: Number, name, and for each bucket value, lower and upper end.
        across: Label of the buckets.
        up: Label of the values.
    """
    y = around([v for _, _, row in series for cell in row for v in cell], HEIGHT - BOTTOM, TOP)
    room = (WIDTH - LEFT - RIGHT) / len(names)
    x = Scale(0, len(names), LEFT, WIDTH - RIGHT)
    gap = 0.8 * room / max(len(series), 1)
    # side by side also where there are many
    radius = min(3.0, 0.42 * gap)
    drawn = []
    for position, (number, name, row) in enumerate(series):
        parts = []
        for bucket, (value, low, high) in enumerate(row):
            at = x(bucket + 0.5) + gap * (position - (len(series) - 1) / 2)
            title = tag("title", f"{name}, {names[bucket]}: {value:.3f}, 95 % interval {low:.3f} to {high:.3f}")
            bar = tag("line", x1=at, x2=at, y1=y(low), y2=y(high), style=f"stroke-width:{0.6 * radius:.2f}")
            parts.append(tag("g", title, bar, tag("circle", cx=at, cy=y(value), r=radius)))
        drawn.append(tag("g", *parts, class_=f"row {drawn_as(number)}"))
    labels = [(bucket + 0.5, name) for bucket, name in enumerate(names)]
    return frame(drawn, x, y, across, up, labels=labels)


def bars(names: Sequence[str], values: Sequence[float], number: int, across: str, up: str) -> Html:
    """Upright bars."""
    x = Scale(0, len(names), LEFT, WIDTH - RIGHT)
    y = Scale(0, 1.1 * max(values), HEIGHT - BOTTOM, TOP)
    drawn = [
        tag(
            "g",
            tag("title", f"{name}: {value:.3f}"),
            tag("rect", x=x(i + 0.12), width=x(0.76) - x(0), y=y(value), height=y(0) - y(value)),
            class_=f"bar {drawn_as(number)}",
        )
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    return frame(drawn, x, y, across, up, labels=[(i + 0.5, name) for i, name in enumerate(names)])


def stacked(rows: Sequence[tuple[int, str, Sequence[tuple[str, float]]]], across: str) -> Html:
    """Lying bars of parts; the parts have the same names in all rows."""
    tall = TOP + 40 * len(rows) + BOTTOM
    x = Scale(0, 1.02 * (max(sum(v for _, v in parts) for _, _, parts in rows) or 1), 12, WIDTH - 12)
    drawn = []
    for position, (number, name, parts) in enumerate(rows):
        at, done = TOP + 40 * position + 18, 0.0
        drawn.append(tag("text", _short(f"{number}  {name}"), x=12, y=at - 5, class_="rowname"))
        for part, (kind, value) in enumerate(parts):
            box = tag("rect", x=x(done), width=max(x(done + value) - x(done) - 0.6, 0), y=at, height=14)
            drawn.append(tag("g", tag("title", f"{name}, {kind}: {value:g}"), box, class_=f"bar c{part} s{number}"))
            done += value
    return frame(drawn, x, Scale(0, 1, tall - BOTTOM, TOP), across, "", tall=tall, left=12)


def _short(name: str) -> str:
    return name if len(name) <= 58 else f"{name[:57]}…"


def frame(
    drawn: Sequence[Html],
    x: Scale,
    y: Scale,
    across: str,
    up: str,
    tall: float = HEIGHT,
    left: float = LEFT,
    labels: Sequence[tuple[float, str]] | None = None,
) -> Html:
    """Axes with round numbers and labels around what is drawn."""
    ground = tall - BOTTOM
    marks: list[Html] = []
    wanted = [(value, amount(value)) for value in x.ticks()] if labels is None else labels
    for value, text in wanted:
        if labels is None:
            marks.append(tag("line", x1=x(value), x2=x(value), y1=TOP, y2=ground))
        marks.append(tag("text", text, x=x(value), y=ground + 15, class_="across"))
    if up:
        write = amount if y.log else _decimals(y.ticks())
        for value in y.ticks():
            marks.append(tag("line", x1=left, x2=WIDTH - RIGHT, y1=y(value), y2=y(value)))
            marks.append(tag("text", write(value), x=left - 6, y=y(value) + 4, class_="up"))
        middle = (TOP + ground) / 2
        marks.append(tag("text", up, transform=f"translate(11 {middle:.0f}) rotate(-90)", class_="label"))
    marks.append(tag("text", across, x=(left + WIDTH - RIGHT) / 2, y=tall - 8, class_="label"))
    axes = tag("g", *marks, class_="axes")
    name = f"{up or 'settings'} against {across}"
    return tag("svg", axes, join(*drawn), viewBox=f"0 0 {WIDTH} {tall:g}", role="img", aria_label=name)


def _decimals(ticks: Sequence[float]) -> Callable[[float], str]:
    if len(ticks) < 2 or max(map(abs, ticks)) >= 1000:
        return amount
    step = ticks[1] - ticks[0]
    places = next((n for n in range(6) if abs(round(step, n) - step) < 1e-9), 6)
    return lambda value: f"{value:.{places}f}"
