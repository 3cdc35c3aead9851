"""What is learned: task rows, where their rows lie, tokenisation, batches, LightningDataModules."""

from typing import TYPE_CHECKING, Any

from transferlab.tasks.spec import Source, TaskSpec

if TYPE_CHECKING:
    from transferlab.tasks.batch import Batch
    from transferlab.tasks.datamodule import TaskDataModule

__all__ = ["Batch", "Source", "TaskDataModule", "TaskSpec"]


def __getattr__(name: str) -> Any:
    # these two import torch, which a command that only reads runs does without
    found: Any
    if name == "Batch":
        from transferlab.tasks import batch

        found = batch.Batch
    elif name == "TaskDataModule":
        from transferlab.tasks import datamodule

        found = datamodule.TaskDataModule
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
