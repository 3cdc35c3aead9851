"""What is learned: task rows, where their rows lie, tokenisation, batches, LightningDataModules."""

from typing import TYPE_CHECKING, Any

from transferlab.tasks.spec import Source, TaskSpec

if TYPE_CHECKING:
    from transferlab.tasks.batch import Batch
    from transferlab.tasks.datamodule import TaskDataModule

__all__ = ["Batch", "Source", "TaskDataModule", "TaskSpec"]


def __getattr__(name: str) -> Any:
    # these two import torch, which a command that only reads runs does without
    if name == "Batch":
        from transferlab.tasks.batch import Batch as found
    elif name == "TaskDataModule":
        from transferlab.tasks.datamodule import TaskDataModule as found
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found
    return found
