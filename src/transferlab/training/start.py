"""A run that starts from the weights of another one, and what that one answers to the test examples."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlab.config import hashes
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import counted
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.strategies import Strategy, content
from transferlab.strategies.teacher import restore
from transferlab.tasks import TaskDataModule

BEFORE = "before"
"""Folder in a run directory with ``predictions/`` of the run that it started from."""


def load(model: Strategy, run: Path) -> dict[str, Any]:
    """Puts the best weights of a run into a model of the same labels, encoder and strategy.

    Returns:
        Where they come from: run, experiment, setting, seed, and hashes of checkpoint and examples.

    Raises:
        TransferlabError: The run left no checkpoint, it does not fit the model, or the model would not keep all of it.
    """
    path = run / "checkpoints" / "best.ckpt"
    if not path.is_file():
        raise TransferlabError(f"run.start: {run} holds no checkpoint (checkpoints/best.ckpt); did the run finish?")
    state = content.read(path)
    try:
        model.on_load_checkpoint(state)
    except TransferlabError as error:
        raise TransferlabError(str(error).replace("ckpt_path:", "run.start:", 1)) from error
    if lost := sorted(set(state["state_dict"]) - model.kept()):
        # a checkpoint holds what its own run trains; the rest is read from the pretrained weights, not from that run
        raise TransferlabError(
            f"run.start: {run} trained {lost[0]}{f' and {len(lost) - 1} more' if lost[1:] else ''}, which this run "
            "leaves as it is, so its checkpoints would not hold it. Train the same parts as that run did."
        )
    model.load_state_dict(state["state_dict"], strict=False)
    # solving a head anew would throw away what that run learned
    model.begins_otherwise = "the head is that of run.start"
    summary = run_folder.read_summary(run)
    known = {key: summary.get(key) for key in ("experiment", "setting", "seed")}
    return {
        "run": str(run),
        **known,
        "checkpoint": hashes.of_path(path),
        "data": (summary.get("data") or {}).get("version"),
    }


@torch.inference_mode()
def answer_before(run: Path, trainer: Any, data: TaskDataModule, folder: Path) -> None:
    """Writes what a run answers to all test examples, in the precision of a Trainer, into ``before/`` of a folder."""
    model = restore(run).to(trainer.strategy.root_device)
    for name, split in zip(data.spec.tests, data.source.test, strict=True):
        encoded, rows = data.encoded(split), data.test_rows(split)
        order = rows[np.argsort(-encoded.ids.lengths[rows], kind="stable")]
        parts = [order[at : at + data.eval_batch_size] for at in range(0, len(order), data.eval_batch_size)]
        lines: list[predictions.Record] = []
        for part in counted(parts, f"{name}, before the update"):
            batch = encoded.collate(part.tolist()).to(model.device)
            with trainer.precision_plugin.forward_context():
                outputs = model.predict_step(batch, 0)
            lines += predictions.records(model.task, outputs, batch.labels)
        predictions.write(predictions.place(folder / BEFORE, name), lines)


def beside(run: Path, folder: Path) -> dict[str, str] | None:
    """The version of the ``data`` and the ``protocol`` under which a run is compared that starts from another one.

    It has other training examples, so it would stand apart from that one, with which it is to be compared: their test
    examples are the same, one by one, in gold label and number of tokens.

    Args:
        run: What it starts from.
        folder: Its own run directory, after `answer_before`.

    Returns:
        Those of the run that it starts from; None where it is tested on others, or that run on none.
    """
    files = [predictions.place(place, "test") for place in (run, folder / BEFORE)]
    if not all(path.is_file() for path in files):
        return None
    one, other = ([(line.get("label"), line.get("tokens")) for line in predictions.read(path)] for path in files)
    summary = run_folder.read_summary(run)
    version, protocol = (summary.get("data") or {}).get("version"), summary.get("protocol")
    if one != other or not version:
        return None
    # of one that started from another one itself what holds for that
    earlier: dict[str, str] | None = (summary.get("start") or {}).get("beside")
    return earlier or {"data": str(version), "protocol": str(protocol)}
