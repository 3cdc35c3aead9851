"""From measurements to a table and a picture. Imports neither torch nor, until it is drawn, matplotlib."""

import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.measure import Measurement
from benchmarks.works import Start, Work

EQUAL = 0.005
"""A difference of scores within which both sides count as equal, whatever their spread."""


class Line(NamedTuple):
    """One row of the table.

    Attributes:
        title: What is done.
        against: What it is compared with.
        value: Median of the ratios peer / ours of CPU time over the seeds; for a `Start` seconds of wall time.
        low: Smallest of them.
        high: Largest of them.
        wall: Median ratio of wall time; None for a `Start`.
        memory: Peak memory of ours and of the peer in MB; None for a `Start`.
        scores: Mean and standard deviation over the seeds, ours and the peer's; None for a `Start`.
        least: What is to be reached.
        aim: What is aimed at.
        verdict: ``aim met``, ``met``, ``missed``, ``lost`` (slower than the peer) or ``failed``, and why.
    """

    title: str
    against: str
    value: float | None = None
    low: float = 0.0
    high: float = 0.0
    wall: float | None = None
    memory: tuple[float, float] | None = None
    scores: tuple[tuple[float, float], tuple[float, float]] | None = None
    least: float = 0.0
    aim: float = 0.0
    verdict: str = "failed"

    @property
    def is_ratio(self) -> bool:
        """Whether the value is a ratio, and not seconds."""
        return self.wall is not None


def summarise(work: Work | Start, record: Measurement) -> Line:
    """The line of a work.

    Args:
        work: What was measured.
        record: ``ours`` and ``peer`` as lists of measurements, one a seed; ``error`` where one failed.
    """
    line = Line(work.title, work.against, least=work.least, aim=work.aim)
    if record.get("error"):
        return line._replace(verdict=f"failed: {record['error']}")
    if not record["ours"]:
        return line._replace(verdict="failed: not measured")
    if isinstance(work, Start):
        return _start(line, record["ours"])
    ours, peer = record["ours"], record["peer"]
    ratios = _ratios(ours, peer, "cpu_s")
    line = line._replace(
        value=statistics.median(ratios),
        low=min(ratios),
        high=max(ratios),
        wall=statistics.median(_ratios(ours, peer, "wall_s")),
        memory=(_median(ours, "peak_mem_mb"), _median(peer, "peak_mem_mb")),
        scores=(_spread(ours), _spread(peer)),
    )
    return line._replace(verdict=_verdict(line, judged=len(ours) > 1))


def _start(line: Line, measured: Sequence[Measurement]) -> Line:
    seconds = [one["wall_s"] for one in measured]
    line = line._replace(value=statistics.median(seconds), low=min(seconds), high=max(seconds))
    assert line.value is not None
    if any(one.get("torch") for one in measured):
        return line._replace(verdict="missed: imports torch")
    return line._replace(
        verdict="aim met" if line.value <= line.aim else "met" if line.value <= line.least else "missed"
    )


def _verdict(line: Line, judged: bool) -> str:
    assert line.value is not None
    assert line.scores is not None
    if line.value < 1:
        return "lost"
    (ours, our_spread), (peer, peer_spread) = line.scores
    # one seed says nothing about a difference of scores
    if judged and peer - ours > max(EQUAL, our_spread + peer_spread):
        return "missed: less accurate"
    return "aim met" if line.value >= line.aim else "met" if line.value >= line.least else "missed"


def _ratios(ours: Sequence[Measurement], peer: Sequence[Measurement], key: str) -> list[float]:
    return [theirs[key] / max(own[key], 1e-9) for own, theirs in zip(ours, peer, strict=True)]


def _median(measured: Sequence[Measurement], key: str) -> float:
    return float(statistics.median(one[key] for one in measured))


def _spread(measured: Sequence[Measurement]) -> tuple[float, float]:
    scores = [one["score"] for one in measured]
    return statistics.fmean(scores), statistics.stdev(scores) if len(scores) > 1 else 0.0


HEADINGS = ("Work", "Against", "Ratio", "Spread", "Wall", "MB, ours / theirs", "Score", "Their score", "Target", "")


def cells(line: Line) -> list[str]:
    """A line as text, one cell for each of `HEADINGS`."""
    unit, digits = ("×", 2) if line.is_ratio else (" s", 3)
    if line.value is None:
        target = f"{line.least:g} / {line.aim:g}"
        return [line.title, line.against, "–", "–", "–", "–", "–", "–", target, line.verdict]
    scores = [f"{100 * mean:.1f} ± {100 * spread:.1f}" for mean, spread in line.scores or ()] or ["–", "–"]
    return [
        line.title,
        line.against,
        f"{line.value:.{digits}f}{unit}",
        f"{line.low:.{digits}f}–{line.high:.{digits}f}",
        "–" if line.wall is None else f"{line.wall:.2f}×",
        "–" if line.memory is None else f"{line.memory[0]:.0f} / {line.memory[1]:.0f}",
        *scores,
        f"{'≥' if line.is_ratio else '<'} {line.least:g}, aim {line.aim:g}",
        line.verdict,
    ]


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines) + "\n"


def show(headings: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    """Prints a table, with colours where rich is installed."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        print(markdown(headings, rows))
        return
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen = Console(highlight=False, width=200)
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        bad = any(word in row[-1] for word in ("missed", "lost", "failed"))
        table.add_row(*row, style="red" if bad else "")
    screen.print(table)


def facts(environment: dict[str, Any], settings: dict[str, Any]) -> str:
    """What it was measured on and how, in two lines below the table."""
    packages = ", ".join(f"{name} {version}" for name, version in environment["packages"].items())
    how = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())
    where = f"{environment['processor']}, {environment['cores']} cores, Python {environment['python']}"
    return f"{where}, {packages}.\n{how}.\n"


def draw(lines: Sequence[Line], path: Path) -> bool:
    """Draws the ratios with their spread and targets.

    Returns:
        False where there is nothing to draw, or nothing to draw with.
    """
    drawn = [line for line in lines if line.is_ratio and line.value is not None][::-1]
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    if not drawn:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(9, 0.55 * len(drawn) + 1.2), layout="constrained")
    values = [line.value or 0.0 for line in drawn]
    below = [value - line.low for value, line in zip(values, drawn, strict=True)]
    beyond = [line.high - value for value, line in zip(values, drawn, strict=True)]
    colours = ["#4c78a8" if line.verdict in {"met", "aim met"} else "#e45756" for line in drawn]
    axes.barh(range(len(drawn)), values, xerr=[below, beyond], height=0.6, color=colours)
    axes.scatter([line.least for line in drawn], range(len(drawn)), marker="|", s=250, color="black", label="target")
    axes.scatter([line.aim for line in drawn], range(len(drawn)), marker="|", s=250, color="grey", label="aim")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xscale("log")
    end = 2 * max(*values, *(line.aim for line in drawn))
    ticks = [tick for tick in (0.5, 1, 2, 5, 10, 20, 50, 100) if tick <= end]
    axes.set_xticks(ticks, [f"{tick:g}×" for tick in ticks])
    axes.minorticks_off()
    axes.set_yticks(range(len(drawn)), [f"{line.title}\n{line.against}" for line in drawn], fontsize=7)
    axes.set_xlabel("CPU time of the other / ours, in one run")
    axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return True


def paste(document: Path, marker: str, text: str) -> None:
    """Puts text between ``<!-- marker -->`` and ``<!-- /marker -->`` of a document.

    Raises:
        ValueError: The document has no such place.
    """
    old = document.read_text(encoding="utf-8")
    pattern = re.compile(rf"(<!-- {re.escape(marker)} -->\n).*?(<!-- /{re.escape(marker)} -->)", re.DOTALL)
    if not pattern.search(old):
        raise ValueError(f"{document}: no place marked <!-- {marker} -->")
    document.write_text(pattern.sub(lambda found: f"{found[1]}{text}{found[2]}", old), encoding="utf-8")
