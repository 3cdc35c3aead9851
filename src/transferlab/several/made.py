"""A run that was not trained by itself: a run directory like any other, validated and tested in the same way."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import lightning as L
import yaml

from transferlab.api.tree import Written
from transferlab.record import folder as run_folder
from transferlab.record.config import RunConfig
from transferlab.record.facts import describe
from transferlab.record.recorder import RunRecorder
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule
from transferlab.training.checkpoints import AtomicCheckpointIO

OF_LIGHTNING = ("epoch", "global_step", "pytorch-lightning_version")
"""What Lightning wants in a checkpoint beside the weights."""


def write(
    folder: Path,
    model: Strategy,
    data: TaskDataModule,
    run: RunConfig,
    checkpoint: dict[str, Any],
    facts: dict[str, Any],
    **trainer: Any,
) -> dict[str, Any]:
    """Writes configuration, checkpoint and summary, then validates and tests.

    Args:
        folder: The run directory.
        model: What it holds.
        data: The examples of its task.
        run: How it is named.
        checkpoint: One of Lightning's, whose weights are replaced by those of the model.
        facts: What of the summary `describe` does not know: seed, setting, where the weights come from.
        trainer: Arguments of the Trainer that evaluates: accelerator, precision.

    Returns:
        The summary, with metrics.
    """
    run_folder.create(folder)
    recorder = RunRecorder(folder, {})
    evaluating = evaluator(callbacks=[recorder], default_root_dir=folder, **trainer)
    tree = Written().run(evaluating, model, data, run, own=[recorder])
    state = {key: checkpoint[key] for key in OF_LIGHTNING} | {"state_dict": model.state_dict()}
    model.on_save_checkpoint(state)
    best = folder / "checkpoints" / "best.ckpt"
    AtomicCheckpointIO().save_checkpoint(state, best)
    run_folder.write_text(folder / "config.yaml", yaml.safe_dump(tree, sort_keys=False))
    names = {"experiment": run.experiment, "run": folder.name, "strategy": run.strategy, "tags": list(run.tags)}
    own = {"perf": {}, "checkpoint_mb": round(best.stat().st_size / 2**20, 3), "status": "finished"}
    run_folder.write_json(folder / "summary.json", describe(model, data) | own | names | facts)
    # the command that makes several of them shows one table
    with redirect_stdout(io.StringIO()):
        recorder.open(model, data)
        evaluated(evaluating, model, data, ckpt_path=best, weights_only=True)
    return recorder.summary


def evaluator(**arguments: Any) -> L.Trainer:
    """A Trainer that evaluates on one device and shows nothing."""
    return L.Trainer(
        **arguments,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )


def evaluated(trainer: L.Trainer, model: Strategy, data: TaskDataModule, **arguments: Any) -> dict[str, float]:
    """Validates and tests a model; its metrics by name."""
    found: dict[str, float] = {}
    for evaluate in (trainer.validate, *([trainer.test] if data.source.test else [])):
        for values in evaluate(model, data, verbose=False, **arguments):
            found |= values
    return found
