"""A comparison of new texts with the validation set: tables for the terminal, and a picture."""

import argparse
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from transferlab.ground.errors import TransferlabError
from transferlab.ground.escapes import visible
from transferlab.ground.screen import console
from transferlab.record.folder import write_json

Result = dict[str, Any]


def conclude(result: Result, asked: argparse.Namespace) -> None:
    """Prints a comparison and writes what was asked for.

    Raises:
        TransferlabError: A file cannot be written.
        SystemExit: Exit code 1 where something drifted and ``--fail`` is given.
    """
    show(result)
    if asked.output:
        try:
            write_json(asked.output, result)
        except OSError as error:
            raise TransferlabError(f"--output: cannot write {asked.output}: {error.strerror}.") from error
    if asked.picture:
        draw(result, asked.picture)
    if asked.fail and any(each["drift"] for each in result["checks"]):
        raise SystemExit(1)


def show(result: Result) -> None:
    """Prints tables and verdict."""
    screen = console()
    rows = result["rows"]
    screen.print(f"\n{result['run']}: drift of {result['input']}", markup=False, style="bold")
    drawn = f"{rows['new']:,} of {rows['read']:,} texts" if rows["new"] < rows["read"] else f"{rows['new']:,} texts"
    screen.print(f"{drawn} against {rows['validation']:,} validation examples", markup=False)
    table = Table(box=None, pad_edge=False)
    for name, side in (("check", "left"), ("difference", "right"), ("95 % interval", "right"), ("p (Holm)", "right")):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    for each in result["checks"]:
        cells = (f"{each['what']} {_value(each, each['value'])}", _interval(each), _p(each["corrected"]))
        table.add_row(each["name"], *cells, style="bold" if each["drift"] else None)
    screen.print(table)
    if result["labels"]:
        screen.print(_labels(result))
    for name, each in result.get("quality", {}).items():
        text = f"{each['metric']} on {name}: {each['value']:.4f} [{each['low']:.4f}, {each['high']:.4f}]"
        screen.print(text, markup=False)
    for name, reason in result["left_out"].items():
        screen.print(f"left out: {name} ({visible(reason)})", markup=False, soft_wrap=True)
    for line in result["verdict"]:
        screen.print(visible(line), markup=False, soft_wrap=True, style="bold")


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _value(each: Result, value: float) -> str:
    if each["name"] == "features (classifier)" or "moved" in each["what"]:
        return f"{value:.1%}"
    return f"{value:+.4g}"


def _interval(each: Result) -> str:
    return "" if each["low"] is None else f"[{_value(each, each['low'])}, {_value(each, each['high'])}]"


def _labels(result: Result) -> Table:
    table = Table(title="shares of labels", title_justify="left", box=None, pad_edge=False)
    right = any("right" in row for row in result["labels"].values())
    table.add_column("label")
    for name in ("validation", "predicted", "estimated", "95 % interval", *(["right"] if right else [])):
        table.add_column(name, justify="right")
    for name, row in result["labels"].items():
        shares = [f"{row[key]:.1%}" for key in ("validation", "predicted", "estimated")]
        last = [f"{row['right']:.1%}"] if right else []
        table.add_row(Text(visible(name)), *shares, f"[{row['low']:.1%}, {row['high']:.1%}]", *last)
    return table


def draw(result: Result, path: Path) -> None:
    """Draws the shares of labels, and the distributions of confidence and length.

    Raises:
        TransferlabError: matplotlib is not there, or the file cannot be written.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise TransferlabError("--picture needs matplotlib: pip install 'transferlab[plot]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    parts = list(result["distributions"])
    count = len(parts) + bool(result["labels"])
    figure, axes = pyplot.subplots(1, count, figsize=(4 * count, 3.2), layout="constrained", squeeze=False)
    rest = list(axes[0])
    if result["labels"]:
        _bars(rest.pop(0), result["labels"])
    for name, axis in zip(parts, rest, strict=True):
        found = result["distributions"][name]
        axis.stairs(found["validation"], found["edges"], label="validation", fill=True, alpha=0.5)
        axis.stairs(found["new"], found["edges"], label="new")
        axis.set(title=name, ylabel="share of texts")
        axis.legend()
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise TransferlabError(f"--picture: cannot write {path}: {error}") from error
    pyplot.close(figure)


def _bars(axis: Any, labels: Result) -> None:
    places = range(len(labels))
    rows = list(labels.values())
    axis.bar([place - 0.2 for place in places], [row["validation"] for row in rows], 0.4, label="validation")
    axis.bar([place + 0.2 for place in places], [row["estimated"] for row in rows], 0.4, label="new, estimated")
    ends = [[row["estimated"] - row["low"] for row in rows], [row["high"] - row["estimated"] for row in rows]]
    spread = [[max(end, 0) for end in side] for side in ends]
    heights = [row["estimated"] for row in rows]
    axis.errorbar([place + 0.2 for place in places], heights, yerr=spread, fmt="none", ecolor="black", capsize=3)
    axis.set_xticks(list(places), list(labels), rotation=30 if len(labels) > 3 else 0)
    axis.set(title="shares of labels")
    axis.legend(loc="lower center")
