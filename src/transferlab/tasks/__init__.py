"""What is learned: task rows, where their rows lie, tokenisation, batches, LightningDataModules."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from transferlab.tasks.spec import Source, TaskSpec

if TYPE_CHECKING:
    from transferlab.tasks.batch import Batch
    from transferlab.tasks.datamodule import TaskDataModule

__all__ = ["Batch", "Source", "TaskDataModule", "TaskSpec"]


_LATE = {"Batch": "batch", "TaskDataModule": "datamodule"}


def __getattr__(name: str) -> Any:
    # these import torch, which a command that only reads runs does without
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    return found
