"""Tests a run on files and keeps each result beside the record."""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transferlab.analysis.page.lengths import wilson
from transferlab.config import hashes
from transferlab.ground.quiet import quiet
from transferlab.ground.screen import console, facts
from transferlab.record import folder as run_folder
from transferlab.record import predictions, retest
from transferlab.record.environment import environment
from transferlab.tasks.kinds import KINDS
from transferlab.use.labelled import Judged, Labelled, judge, of_file
from transferlab.use.predictor import Predictor
from transferlab.use.refused import refuse_texts


def run(command: str, asked: argparse.Namespace, mapping: Mapping[str, str]) -> None:
    """Tests, prints and keeps.

    Raises:
        TransferlabError: See `transferlab.use.elsewhere.options.main`.
    """
    quiet()
    folder = run_folder.find(asked.run, asked.root)
    predictor = Predictor.load(folder, False, asked.device, asked.batch_size, asked.root)
    refuse_texts(predictor.task, f"{command} --files")
    read = [of_file(predictor, path, asked.text, asked.label, mapping, asked.examples) for path in asked.files]
    for examples in read:
        result = judge(predictor, examples, examples.name)
        entry, content = keep(command, folder, predictor, examples, result)
        rows = retest.metric_rows(content["metrics"], {})
        own = run_folder.read_summary(folder).get("metrics") or {}
        primary = predictor.task.primary
        if (known := own.get(f"test/{primary}")) is not None:
            rows["own test set"] = f"{known:.4f} ({primary})"
        if interval := content["interval"]:
            rows["95 % interval"] = f"[{interval[0]:.4f}, {interval[1]:.4f}] (accuracy, Wilson)"
        counts = content["examples_by_label"]
        rows |= {"examples": f"{len(examples.ids):,}"}
        rows |= {"labels": ", ".join(f"{name} {count:,}" for name, count in counts.items())} if counts else {}
        console().print(facts(rows | {"kept in": str(entry)}, f"{folder.name} on {examples.name}"))


def keep(
    command: str, folder: Path, predictor: Predictor, examples: Labelled, result: Judged
) -> tuple[Path, dict[str, Any]]:
    """Keeps a result beside the record of a run.

    Args:
        command: ``test`` or ``validate``.
        folder: The run directory.
        predictor: The run.
        examples: What it was tested on.
        result: What it answered.

    Returns:
        The folder of the entry, and what is in its ``result.json``.
    """
    prefix = "val" if command == "validate" else "test"
    split = "validation" if command == "validate" else "test"
    task, count = predictor.task, len(examples.ids)
    interval = None
    if KINDS[task.kind].single:
        interval = wilson(int(result.right.sum()), count)[1:3]
    content = {
        "command": command,
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "files": examples.name,
        "evaluated": {
            "checkpoint": hashes.of_path(folder / "checkpoints" / "best.ckpt"),
            "precision": "32-true",
            "max_length": predictor.settings.max_length,
            "truncation": predictor.settings.truncation,
            "splits": {split: {"version": examples.version, "examples": count}},
        },
        "differs": [f"{split} examples of {examples.name}"],
        "metrics": {f"{prefix}/{name}": value for name, value in result.metrics.items()},
        "interval": interval,
        "examples_by_label": examples.counts(task),
        "record": {},
        "changed_predictions": None,
        "equal": None,
        "environment": environment(),
    }
    entry = retest.place(folder, command)
    predictions.write(predictions.place(entry, split), result.records)
    run_folder.write_json(entry / run_folder.RESULT, content)
    return entry, content
