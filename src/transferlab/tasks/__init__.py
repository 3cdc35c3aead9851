"""What is learned: task rows, where their rows lie, tokenisation, batches, LightningDataModules."""

from transferlab.tasks.batch import Batch
from transferlab.tasks.datamodule import TaskDataModule
from transferlab.tasks.spec import Source, TaskSpec

__all__ = ["Batch", "Source", "TaskDataModule", "TaskSpec"]
