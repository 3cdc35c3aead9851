"""A resumed run continues with the examples and the base weights that it was started with."""

from pathlib import Path
from typing import Any, cast

from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batching import BucketBatchSampler
from transferlab.training import checkpoints


def check(
    folder: Path, checkpoint: Path, model: Strategy, data: TaskDataModule, accept_data: bool, processes: int
) -> None:
    """Checks by content what a run is resumed with; what the user accepts is noted in `model.accepted`.

    Args:
        folder: The run directory.
        checkpoint: The checkpoint that it is resumed from.
        model: Its model; whether other base weights are accepted is up to its `accept_changed_base`.
        data: Its examples.
        accept_data: Whether other examples are accepted.
        processes: Processes that train.

    Raises:
        TransferlabError: Examples, base weights, tokenizer or teacher are others, and were not accepted; or there are
            too few examples by now.
    """
    stored = checkpoints.peek(checkpoint)
    model.check_resumed(stored.get("transferlab", {}))
    changed = changed_data(run_folder.read_summary(folder).get("data") or {}, data)
    if changed and not accept_data:
        raise TransferlabError(
            f"data: since the run was started its examples changed by content: {'; '.join(changed)} (read from "
            f"{data.origin}). Put the old ones back, start a new run, or resume with these: "
            "--run.accept_changed_data true."
        )
    if changed:
        done = int(stored.get(type(data).__qualname__, {}).get("batch", 0))
        sampler = cast(BucketBatchSampler, data.loader(*data.training_rows(), shuffle=True).batch_sampler)
        sampler.check_place(done, -(-len(sampler) // processes))
    model.accepted += changed


def changed_data(known: dict[str, Any], data: TaskDataModule) -> list[str]:
    """The splits that hold other texts or labels than a summary says, with both versions."""
    versions = known.get("versions")
    if isinstance(versions, dict):
        now = data.versions
        return [
            f"{split} {versions[split]} -> {now[split]}"
            for split in now
            if versions.get(split, now[split]) != now[split]
        ]
    # an older run knows one version of all its splits
    version = known.get("version")
    return [f"{version} -> {data.version}"] if version and version != data.version else []
