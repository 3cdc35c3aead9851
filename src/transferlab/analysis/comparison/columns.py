"""The columns of the two tables: one row per setting, and one row per run."""

from collections.abc import Callable
from typing import Any

from transferlab.analysis.comparison import averages
from transferlab.analysis.comparison.column import Cell, Column, T
from transferlab.analysis.comparison.groups import Estimate, Summary, faults, score_of, value
from transferlab.analysis.comparison.standing import Row

ASSUMED = "†"
"""Beside the p of one run against several."""


def _at(*keys: str) -> Callable[[Summary], Cell]:
    return lambda summary: _look(summary, *keys)


def _look(summary: Summary, *keys: str) -> Cell:
    found: Any = summary
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str | int | float) else None


def _mean(*keys: str) -> Callable[[Row], Cell]:
    """The mean of a cost over the counted runs that know it."""

    def read(row: Row) -> Cell:
        known = [found for run in row.group.counted if (found := value(run, *keys)) is not None]
        return averages.mean(known) if known else None

    return read


def _of(read: Callable[[Estimate], float | None]) -> Callable[[Row], Cell]:
    return lambda row: None if row.group.score is None else read(row.group.score)


def score_text(row: Row) -> str:
    """Mean and standard deviation, such as ``0.8979 ± 0.0031``."""
    score = row.group.score
    if score is None:
        return ""
    return f"{score.mean:.4f}" if score.std is None else f"{score.mean:.4f} ± {score.std:.4f}"


def interval_text(row: Row) -> str:
    """The 95 % interval of the mean."""
    score = row.group.score
    return "" if score is None or score.low is None else f"{score.low:.4f} to {score.high:.4f}"


def marks(row: Row) -> str:
    """Marks in words and signs, so that they need no colour: ★ best or not worse, ▼ below a baseline, flags."""
    below = f"▼ {row.below}" if row.below else ""
    return ", ".join(part for part in ("★" if row.best or row.tied else "", below, *row.flags) if part)


def _sound(row: Row) -> Cell:
    return None if row.group.sound is None else row.group.sound.mean


def _tested(row: Row) -> Cell:
    return int(row.group.key.tested) if row.group.key.tested else None


def _end(row: Row, side: int) -> float | None:
    """An end of the 95 % interval of the difference."""
    return None if row.half is None or row.difference is None else row.difference + side * row.half


def p_text(row: Row) -> str:
    """The corrected p-value for people, with a sign where it rests on an assumption; empty without one."""
    if row.p is None:
        return ""
    return ("<0.0001" if row.p < 1e-4 else f"{row.p:.4f}") + (f" {ASSUMED}" if row.assumed else "")


def _costs(reader: Callable[..., Callable[[T], Cell]]) -> tuple[Column[T], ...]:
    return (
        Column("trainable_pct", "trainable %", reader("params", "trainable_pct"), ".2f"),
        Column("wall_s", "time s", reader("perf", "wall_s"), ".0f"),
        Column("samples_s", "samples/s", reader("perf", "samples_s"), ".0f", -1),
        Column("peak_mem_mb", "peak MB", reader("perf", "peak_mem_mb"), ".0f"),
        Column("checkpoint_mb", "ckpt MB", reader("checkpoint_mb"), ".2f"),
        Column("model_mb", "", reader("model_mb"), ".2f"),
        Column("latency_ms", "latency ms", reader("test", "latency_ms"), ".1f"),
        Column("generated_tokens_s", "written tokens/s", reader("test", "generated_tokens_s"), ".0f", -1),
        Column("seconds_per_1000", "s per 1,000 outputs", reader("test", "seconds_per_1000"), ".1f"),
    )


GROUP_COLUMNS: tuple[Column[Row], ...] = (
    Column("task", "task", lambda row: row.group.key.task),
    Column("setting", "setting", lambda row: row.label),
    Column("strategy", "", lambda row: row.group.key.strategy),
    Column("encoder", "encoder", lambda row: row.group.key.encoder),
    Column("protocol", "protocol", lambda row: row.group.key.protocol),
    Column("data", "data", lambda row: row.group.key.data),
    Column("train_examples", "training examples", lambda row: row.group.key.train_examples, "d"),
    Column("test_examples", "test examples", _tested, "d"),
    Column("metric", "metric", lambda row: row.group.key.metric),
    Column("runs", "runs", lambda row: len(row.group.counted), "d", -1),
    Column("seeds", "", lambda row: " ".join(map(str, row.group.seeds))),
    Column("primary", "test", _of(lambda score: score.mean), ".4f", -1, score_text),
    Column("std", "", _of(lambda score: score.std)),
    Column("low", "95 % interval", _of(lambda score: score.low), ".4f", -1, interval_text),
    Column("high", "", _of(lambda score: score.high)),
    Column("mean_without_failed", "", _sound),
    Column("difference", "diff", lambda row: row.difference, "+.4f", -1),
    Column("difference_low", "", lambda row: _end(row, -1)),
    Column("difference_high", "", lambda row: _end(row, 1)),
    Column("p_holm", "p (Holm)", lambda row: row.p, ".4f", 1, p_text),
    Column("p_raw", "", lambda row: row.p_raw),
    Column("test_of", "", lambda row: row.method),
    Column("spread_assumed", "", lambda row: int(row.assumed)),
    Column("reference", "", lambda row: row.reference),
    Column("mark", "mark", marks),
    Column("best", "", lambda row: int(row.best)),
    Column("not_worse_than_best", "", lambda row: int(row.best or row.tied)),
    Column("below_baseline", "", lambda row: row.below),
    *_costs(_mean),
    Column("fingerprint", "", lambda row: row.group.key.setting),
)
RUN_COLUMNS: tuple[Column[Summary], ...] = (
    Column("experiment", "experiment", _at("experiment")),
    Column("task", "task", _at("task")),
    Column("strategy", "strategy", _at("strategy")),
    Column("encoder", "encoder", _at("encoder")),
    Column("seed", "seed", _at("seed"), "d"),
    Column("protocol", "protocol", _at("protocol")),
    Column("metric", "metric", _at("primary")),
    Column("primary", "test", score_of, ".4f", -1),
    Column("val", "val", lambda summary: score_of(summary, "val"), ".4f", -1),
    *_costs(_at),
    Column("train_examples", "training examples", _at("data", "train_examples"), "d"),
    Column("status", "status", _at("status")),
    Column("faults", "faults", lambda summary: ", ".join(faults(summary))),
    Column("setting", "", _at("setting")),
    Column("data_version", "", _at("data", "version")),
    Column("run", "run", _at("run")),
)
