"""``transferlab rank-encoders``."""

import time
from argparse import Namespace
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from transferlab.baselines.rows import evaluate
from transferlab.cli.chosen import weights
from transferlab.config import experiments, shipped, trees
from transferlab.config.places import find_run
from transferlab.encoders import EncoderConfig
from transferlab.ground.numbers import at_least
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console
from transferlab.record import folder as run_folder
from transferlab.use.forgetting.probe import Draw, Features, score
from transferlab.use.ranking import features
from transferlab.use.ranking.scores import h_score, logme, neighbours

SCORES = ("logme", "h_score", "knn", "probe")
Row = dict[str, Any]


def run(asked: Namespace) -> None:
    """Scores the encoders, and prints them in the order of the linear probe.

    Raises:
        TransferlabError: See `transferlab.use.ranking.options.main`.
    """
    at_least(10, **{"--rows": asked.rows, "--validation-rows": asked.validation_rows})
    quiet()
    rows: list[Row] = []
    for name in asked.encoders:
        encoder = named(name, asked.root)
        sizes = asked.rows, asked.validation_rows
        for layer in features.read(asked.task, encoder, *sizes, asked.seed, asked.layers == "all"):
            rows.append({"encoder": encoder.label, "layer": layer.number, **scored(layer)})
    tuned = fine_tuned(asked.root, asked.task, asked.strategy, {row["encoder"] for row in rows})
    for row in rows:
        row["fine_tuned"] = tuned.scores.get(row["encoder"])
    rows.sort(key=lambda row: -row["probe"])
    agreement = agreements(rows) if asked.layers == "last" else {}
    _show(asked, rows, agreement, tuned.examples)
    if asked.output:
        run_folder.write_json(asked.output, {"task": asked.task, "encoders": rows, "rank_correlation": agreement})


def named(name: str, root: Path) -> EncoderConfig:
    """The encoder of a config, a run, a name on the Hub or a folder; a config may name a run itself."""
    given: dict[str, Any] = {"name": str(find_run(name, root) or name)}
    if name in shipped.listed("configs/encoder"):
        given = trees.expand(experiments.config_file(f"encoder/{name}"))["encoder"]
    config = SimpleNamespace(**{"from_run": None, "revision": None} | given)
    weights(config, root)
    values: Any = {key: tuple(value) if isinstance(value, list) else value for key, value in vars(config).items()}
    return EncoderConfig(**values)


def scored(layer: features.Layer) -> Row:
    """All scores of a layer, and the seconds that each takes."""
    task, known, held = layer.task, layer.known, layer.held
    labels, gold = np.array(layer.labels), np.array(layer.gold)
    classes = len(task.labels) if task.kind == "classification" else 0
    found: Row = {"train_examples": len(labels), "validation_examples": len(gold), "features_s": layer.seconds}

    def timed(name: str, compute: Any) -> None:
        begun = time.perf_counter()
        found[name] = compute()
        found[f"{name}_s"] = time.perf_counter() - begun

    timed("logme", lambda: logme(known, labels, classes))
    timed("h_score", lambda: h_score(known, labels) if classes else None)
    timed("knn", lambda: evaluate(task, neighbours(known, labels, held, classes), gold)[task.primary])
    draw = Draw(np.arange(len(labels)), np.arange(len(gold)))
    one = Features(draw.train, list(known), list(labels), [])
    other = Features(draw.test, list(held), list(gold), [])
    timed("probe", lambda: score(task, one, other, draw).value)
    return found


class Tuned(NamedTuple):
    """Test results of fine-tuned runs under one setting.

    Attributes:
        scores: Mean over seeds of the main metric, by encoder.
        examples: Training examples of these runs.
    """

    scores: dict[str, float]
    examples: int


def fine_tuned(root: Path, task: str, strategy: str, encoders: Collection[str]) -> Tuned:
    """Test results of finished runs of a task by encoder, seeds averaged.

    Runs of other training examples, tests or protocols are no comparison: of all that were run those count that
    most of the encoders have, and of these the ones with the most training examples.
    """
    found: dict[tuple[Any, ...], dict[str, list[float]]] = {}
    for _, summary in run_folder.summaries(root) if root.is_dir() else ():
        value = (summary.get("metrics") or {}).get(f"test/{summary.get('primary')}")
        same = summary.get("task") == task and summary.get("strategy") == strategy
        encoder = str(summary.get("encoder"))
        if same and summary.get("status") == "finished" and value is not None and encoder in encoders:
            data, test = summary.get("data") or {}, summary.get("test") or {}
            key = (data.get("train_examples") or 0, data.get("version"), summary.get("protocol"), test.get("examples"))
            found.setdefault(key, {}).setdefault(encoder, []).append(float(value))
    if not found:
        return Tuned({}, 0)
    key, scores = max(found.items(), key=lambda item: (len(item[1]), item[0][0]))
    return Tuned({encoder: float(np.mean(values)) for encoder, values in scores.items()}, int(key[0]))


def agreements(rows: list[Row]) -> dict[str, float]:
    """Spearman's rank correlation of each score with the results of fine-tuning, where three encoders have both."""
    from scipy.stats import spearmanr

    found = {}
    for name in SCORES:
        pairs = [(row[name], row["fine_tuned"]) for row in rows if None not in (row[name], row["fine_tuned"])]
        if len(pairs) >= 3 and len({one for one, _ in pairs}) > 1 and len({other for _, other in pairs}) > 1:
            found[name] = float(spearmanr(*zip(*pairs, strict=True)).statistic)
    return found


def _show(asked: Namespace, rows: list[Row], agreement: dict[str, float], examples: int) -> None:
    screen = console()
    read = f"{rows[0]['train_examples']:,} training and {rows[0]['validation_examples']:,} validation examples"
    table = Table(title=f"encoders for {asked.task}, {read}", title_justify="left", box=None)
    table.add_column("encoder")
    for name in ("layer", "LogME", "H-score", "kNN", "probe", "fine-tuned", "seconds"):
        table.add_column(name, justify="right")
    for row in rows:
        values = [_number(row[name]) for name in (*SCORES, "fine_tuned")]
        seconds = row["features_s"] + sum(row[f"{name}_s"] for name in SCORES)
        table.add_row(row["encoder"], str(row["layer"]), *values, f"{seconds:.1f}")
    screen.print(table)
    if agreement:
        told = ", ".join(f"{name} {value:+.2f}" for name, value in agreement.items())
        count = sum(row["fine_tuned"] is not None for row in rows)
        screen.print(
            f"rank correlation with {asked.strategy} of {count} encoders on {examples:,} training examples: {told}",
            markup=False,
        )
    elif asked.layers == "last":
        screen.print(
            f"no rank correlation: fewer than three of these encoders have a finished {asked.strategy} run of "
            f"{asked.task} under {asked.root}.",
            markup=False,
        )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
