"""Run directories that are made up, for `compare` and `report` to read: settings, seeds, predictions, histories."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

STRATEGIES = ("feature_extraction", "full_finetuning", "lora", "adapter", "bitfit", "dora", "ia3", "distillation")
LABELS = ("negative", "positive")
VALIDATION = 200


def write(root: Path, settings: int = 200, seeds: int = 5, examples: int = 872, kept: bool = True) -> None:
    """Writes finished runs of a classification task, one setting for each learning rate of each strategy.

    Args:
        root: Folder that holds all runs.
        settings: Number of settings.
        seeds: Runs of each.
        examples: Test examples of each run.
        kept: Whether they hold what a run works out for its readers when it ends.
    """
    generator = np.random.default_rng(0)
    # some examples are hard for all models, as in any real test set
    hardness = generator.normal(size=examples)
    gold = generator.integers(0, 2, examples)
    for number in range(settings):
        strategy = STRATEGIES[number % len(STRATEGIES)]
        skill = 1.5 + 0.5 * (number % len(STRATEGIES)) / len(STRATEGIES) + 0.1 * generator.normal()
        for seed in range(seeds):
            folder = root / f"{strategy}_sst2" / f"many-{number:04}-s{seed}"
            margin = skill - hardness + 0.7 * generator.normal(size=examples)
            _run(folder, strategy, number, seed, margin, gold)
    if kept:
        from transferlab.analysis.keeping import keep

        time.sleep(1)
        for folder in root.glob("*/*"):
            keep(folder, wait=False)


def _run(folder: Path, strategy: str, number: int, seed: int, margin: Any, gold: Any) -> None:
    (folder / "predictions").mkdir(parents=True)
    lines = _lines(margin, gold)
    right = sum(line["prediction"] == line["label"] for line in lines)
    summary = {
        "experiment": folder.parent.name,
        "run": folder.name,
        "strategy": strategy,
        "seed": seed,
        "tags": ["many"],
        "precision": "32-true",
        "setting": f"{number:012x}",
        "task": "sst2",
        "kind": "classification",
        "labels": list(LABELS),
        "primary": "accuracy",
        "encoder": "all-MiniLM-L6-v2",
        "protocol": "holdout",
        "data": {
            "origin": "generated",
            "version": "f85427ac17cc",
            "train_examples": 1000,
            "test": ["test"],
            "max_length": 128,
            "truncation": "head",
        },
        "params": {"total": 22_700_000, "trainable": 1000 * (number + 1), "trainable_pct": (number + 1) / 227},
        "metrics": {"val/accuracy": 0.85, "test/accuracy": right / len(lines)},
        "perf": {"wall_s": 20.0 + seed, "samples_s": 90.0, "peak_mem_mb": 900.0, "steps": 320, "epochs": 1},
        "checkpoint_mb": 1.3,
        "status": "finished",
        "per_class": _per_class(lines),
        "test": {"examples": len(lines), "not_finite": 0, "collapsed": False, "latency_ms": 12.0},
    }
    config = (
        f"seed_everything: {seed}\nencoder:\n  name: sentence-transformers/all-MiniLM-L6-v2\n  pooling: mean\n"
        f"model:\n  class_path: transferlab.strategies.FullFineTuning\n  init_args:\n    optimizer:\n"
        f"      class_path: torch.optim.AdamW\n      init_args:\n        lr: {1e-5 * (number + 1):.3g}\n"
        "        weight_decay: 0.01\n"
        "data:\n  class_path: transferlab.tasks.TaskDataModule\n  init_args:\n    task: sst2\n"
        "    train_examples: 1000\n    max_length: 128\n    batch_size: 32\n    truncation: head\n"
        "trainer:\n  max_epochs: 1\n  gradient_clip_val: 1.0\n  precision: 32-true\n"
        f"run:\n  experiment: {folder.parent.name}\n"
    )
    history = [
        {
            "step": step,
            "epoch": 0,
            "train/loss": float(0.7 * 0.99**step + 0.01 * seed + 1e-4 * number),
            "lr-AdamW": 1e-5,
        }
        for step in range(0, 320, 5)
    ]
    environment = {
        "time": "2026-01-01 00:00:00",
        "command": ["fit", "--experiment", folder.parent.name, "--seed_everything", str(seed)],
        "python": "3.11",
        "packages": {"torch": "2.12.0", "transformers": "5.23.0", "lightning": "2.6.0"},
        "git": {"commit": "0" * 40, "dirty": False},
        "hardware": {"system": "Linux x86_64", "processor": "generated", "cores": 2, "threads": 1, "gpus": []},
    }
    (folder / "summary.json").write_text(json.dumps(summary, indent=2), encoding="utf-8")
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    (folder / "environment.json").write_text(json.dumps(environment, indent=2), encoding="utf-8")
    _write_lines(folder / "metrics.jsonl", history)
    _write_lines(folder / "predictions" / "test.jsonl", lines)
    _write_lines(folder / "predictions" / "validation.jsonl", lines[:VALIDATION])
    hard = sorted(lines, key=lambda line: -line["loss"])[:50]
    _write_lines(folder / "predictions" / "hardest.jsonl", [{**line, "text": [f"text {line['id']}"]} for line in hard])


def _lines(margin: Any, gold: Any) -> list[dict[str, Any]]:
    found = []
    for place, (sure, label) in enumerate(zip(1 / (1 + np.exp(-2 * margin)), gold, strict=True)):
        scores = [0.0, 0.0]
        scores[label], scores[1 - label] = float(f"{sure:.6g}"), float(f"{1 - sure:.6g}")
        guess = int(scores[1] > scores[0])
        line = {"id": place, "prediction": LABELS[guess], "label": LABELS[label], "scores": scores}
        found.append({**line, "tokens": 5 + place * 7 % 40, "loss": float(f"{-np.log(max(sure, 1e-9)):.6g}")})
    return found


def _per_class(lines: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    table = {}
    for label in LABELS:
        gold = sum(line["label"] == label for line in lines)
        found = sum(line["prediction"] == label for line in lines)
        hits = sum(line["prediction"] == label == line["label"] for line in lines)
        table[label] = {
            "precision": hits / max(found, 1),
            "recall": hits / max(gold, 1),
            "f1": 2 * hits / max(found + gold, 1),
            "support": gold,
        }
    return table


def _write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--settings", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--examples", type=int, default=872)
    asked = parser.parse_args()
    write(asked.root, asked.settings, asked.seeds, asked.examples)
