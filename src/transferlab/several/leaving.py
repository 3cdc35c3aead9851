"""For each task of a run of several: a run directory of its own, with encoder and head, validated and tested."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from transferlab.record import setting
from transferlab.record.config import RunConfig
from transferlab.several import made
from transferlab.several.data import SeveralTasks
from transferlab.several.model import MultiTask

SAME = ("seed", "precision", "hardware", "early_stopping")
"""What the summary of each task's run has from that of all."""


def leave(
    model: MultiTask, data: SeveralTasks, run: RunConfig, summary: dict[str, Any], checkpoint: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Writes and evaluates a run for each task: ``EXPERIMENT_TASK``, with the ID of the run of all.

    Args:
        model: With the weights that are left.
        data: The examples.
        run: How the run of all tasks is named.
        summary: Its summary.
        checkpoint: Its best checkpoint.

    Returns:
        For each task run directory, leading metric and its values; None where the task has no test set.
    """
    found = {}
    for name, part in model.strategies.items():
        named = replace(run, experiment=f"{run.experiment}_{name}", strategy=run.strategy or "multitask", start=None)
        folder = Path(run.root) / named.experiment / str(summary["run"])
        facts = {key: summary[key] for key in SAME} | {
            "setting": setting.fingerprint({"multitask": summary["setting"], "task": name}),
            "several": {"experiment": run.experiment, "run": summary["run"], "tasks": list(model.strategies)},
        }
        precision = summary["precision"]
        known = made.write(
            folder, part, data.parts[name], named, checkpoint, facts, accelerator=_on(model), precision=precision
        )["metrics"]
        values = {split: known.get(f"{key}/{part.task.primary}") for split, key in SPLITS.items()}
        found[name] = {"run": str(folder), "metric": part.task.primary, **values}
    return found


def measure(model: MultiTask, data: SeveralTasks, summary: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Validates and tests each task, and leaves nothing but the values; else like `leave`."""
    found = {}
    for name, part in model.strategies.items():
        trainer = made.evaluator(accelerator=_on(model), precision=summary["precision"])
        known = made.evaluated(trainer, part, data.parts[name])
        values = {split: known.get(f"{key}/{part.task.primary}") for split, key in SPLITS.items()}
        found[name] = {"metric": part.task.primary, **values}
    return found


def _on(model: MultiTask) -> str:
    return "cpu" if model.device.type == "cpu" else "auto"


SPLITS = {"validation": "val", "test": "test"}
