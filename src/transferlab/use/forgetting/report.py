"""What a measurement of forgetting says: a table and a picture."""

from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from transferlab.ground.errors import TransferlabError
from transferlab.ground.screen import console


def show(run: Path, probe: str, result: dict[str, Any]) -> None:
    """Prints the probes and the drift of a run."""
    screen = console()
    screen.print(f"\n{run}: what it left of the encoder", markup=False, style="bold")
    screen.print(f"linear probe of {probe}, {result['metric']}, {len(result['tuned'])} probes", markup=False)
    for name in ("original", "tuned"):
        screen.print(f"  {name:<10} {np.mean(result[name]):.4f}", markup=False)
    d = result["difference"]
    single = result.get("one_answer") or {}
    interval = "no interval" if d["low"] is None else f"95 % [{d['low']:+.4f}, {d['high']:+.4f}]"
    screen.print(f"  difference {d['mean']:+.4f}  {interval}", markup=False)
    for name, count in single.items():
        if count:
            screen.print(
                f"  {count} of {len(result[name])} probes of the {name} encoder give one answer to every test example: "
                "they say nothing of it. Give more training examples with --rows.",
                markup=False,
            )
    if hidden := result.get("perplexity"):
        before, after = f"{hidden['original']:.2f}", f"{hidden['tuned']:.2f}"
        said = f"perplexity of {hidden['hidden']:,} hidden tokens of {probe}: {before} -> {after}"
        screen.print(said, markup=False)
    table = Table(title=f"drift on {result['tokens']:,} tokens of {probe}", title_justify="left", box=None)
    for name in ("layer", "linear CKA", "cosine distance"):
        table.add_column(name, justify="right")
    for row in result["drift"]:
        name = str(row["layer"]) if row["layer"] else "embeddings"
        table.add_row(name, f"{row['cka']:.4f}", f"{row['cosine_distance']:.4f}")
    screen.print(table)


def draw(probes: dict[str, Any], path: Path) -> None:
    """Draws drift by layer, one line for each probe task.

    Raises:
        TransferlabError: matplotlib is not there, or the file cannot be written.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise TransferlabError("--picture needs matplotlib: pip install 'transferlab[bench]'") from error
    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(8, 3), layout="constrained")
    for key, title, axis in zip(("cka", "cosine_distance"), ("linear CKA", "mean cosine distance"), axes, strict=True):
        for name, result in probes.items():
            rows = result["drift"]
            axis.plot([row["layer"] for row in rows], [row[key] for row in rows], marker="o", label=name)
        axis.set(xlabel="layer (0: embeddings)", title=title)
        axis.set_ylim(bottom=0)
    axes[0].legend(title="texts of", loc="lower left")
    try:
        figure.savefig(path, dpi=150)
    except (OSError, ValueError) as error:
        raise TransferlabError(f"--picture: cannot write {path}: {error}") from error
    pyplot.close(figure)
