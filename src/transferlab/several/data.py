"""Several tasks as one LightningDataModule."""

import copy
import functools
import inspect
import re
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch.utils.data import DataLoader

from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.numbers import at_least
from transferlab.ground.remembered import Remembered
from transferlab.several.mixing import Mixed, TaskBatch, View, divided, shares
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.place import Placed
from transferlab.tasks.selection import drawn

FILLED = ("encoder", "seed")
"""Arguments of a task's data module that are those of all tasks."""


class SeveralTasks(Placed, Remembered, L.LightningDataModule):
    """Training batches of several tasks mixed, each batch of one task; validation sets one after the other.

    Args:
        tasks: Name of each task to the keys of its data, as `data` has them in an experiment: `train_examples`,
            `max_length`, `source` ...; ``{}``: the defaults. ``task`` names a task of the table that is called
            otherwise here. On the command line a task of the user's ``configs/task`` has the keys of its file.
        encoder: The encoder whose tokenizer is used; linked from the top-level key.
        alpha: A task of ``n`` training examples gets a share of the steps proportional to ``n^alpha``.
        steps_per_epoch: Batches of an epoch, for each process; null: as many as the training examples of all tasks
            make.
        batch_size: Training examples per step and process of each task that names no other.
        max_length: Tokens per sequence of each task that names no other.
        learn: Names of the tasks that are trained on; the others are validated only. null: all.
        replay: Name of a task to a share of the steps, in place of its share by size; used in a sequence of tasks.
        memory: Training examples of each task of `replay` that come again, drawn from those that it trains on; null:
            all.
        num_workers: Loader processes.
        seed: Seed of samples and order; linked from `seed_everything`.

    Raises:
        TransferlabError: No task, or keys that a task does not have.
    """

    def __init__(
        self,
        tasks: dict[str, dict[str, Any]],
        encoder: EncoderConfig = EncoderConfig(),  # noqa: B008  frozen
        alpha: float = 0.5,
        steps_per_epoch: int | None = None,
        batch_size: int = 32,
        max_length: int = 128,
        learn: tuple[str, ...] | None = None,
        replay: dict[str, float] | None = None,
        num_workers: int = 0,
        seed: int | bool = 0,
        memory: int | None = None,
    ) -> None:
        L.LightningDataModule.__init__(self)
        at_least(1, data__batch_size=batch_size, data__steps_per_epoch=steps_per_epoch, data__memory=memory)
        if not 0 <= alpha <= 1:
            raise TransferlabError(f"data.alpha: {alpha} is not in [0, 1].")
        if not tasks:
            raise TransferlabError("data.tasks: name at least one task, such as {sst2: {}, mrpc: {}}.")
        self.alpha, self.steps_per_epoch, self.num_workers, self.seed = alpha, steps_per_epoch, num_workers, int(seed)
        usual = {"batch_size": batch_size, "max_length": max_length}
        self.parts = {name: _part(name, {**usual, **(keys or {})}, encoder, seed) for name, keys in tasks.items()}
        self.learn = tuple(tasks) if learn is None else learn
        self.replay, self.memory = replay or {}, memory
        for name in (*self.learn, *self.replay):
            if name not in tasks:
                raise TransferlabError(
                    f"data.learn: no task {name!r} among {', '.join(tasks)}{near(name, list(tasks))}."
                )
        if sum(self.replay.values()) >= 1 or any(share <= 0 for share in self.replay.values()):
            raise TransferlabError(f"data.replay: {self.replay} are no shares that leave steps for new tasks.")
        self.validated: int | None = None
        self.packed = False

    @property
    def specs(self) -> dict[str, TaskSpec]:
        """Facts about each task."""
        return {name: part.spec for name, part in self.parts.items()}

    @property
    def examples(self) -> dict[str, int]:
        """Number of training examples of each task."""
        return {name: len(part.part_rows("train")[1]) for name, part in self.parts.items()}

    def validating_on(self, most: int) -> "SeveralTasks":
        """The same, but with a sample of each validation set where it is larger."""
        other = copy.copy(self)
        other.parts = {name: part.validating_on(most) for name, part in self.parts.items()}
        other.validated = most
        return other

    def prepare_data(self) -> None:
        """Fills the on-disk caches once per machine."""
        for part in self.parts.values():
            part.prepare_data()

    def setup(self, stage: str) -> None:
        """Tokenises what the stage needs."""
        for part in self.parts.values():
            part.setup(stage)

    def train_dataloader(self) -> DataLoader[TaskBatch]:
        """Training batches of all tasks that are learned; after a restart without those that are done."""
        trainer: Any = self.trainer
        names = [*self.learn, *(name for name in self.replay if name not in self.learn)]
        loaders: list[Any] = []
        for name in names:
            part = self.parts[name]
            part.trainer = trainer
            rows = _remembered(part, self.memory) if name in self.replay else part.training_rows()
            loaders.append(part.loader(*rows, shuffle=True))
        samplers = [loader.batch_sampler for loader in loaders]
        steps = self._steps(names, [len(sampler) for sampler in samplers], trainer)
        self._order = Mixed(samplers, steps, self.seed)
        self._order.resume(*self._begun)
        view = View(names, [loader.dataset for loader in loaders])
        return self._loader(view, sampler=self._order)

    def _steps(self, names: list[str], batches: list[int], trainer: Any) -> list[int]:
        """Batches of each task in an epoch; all of them are a whole number of optimizer steps."""
        again = [self.replay.get(name, 0.0) for name in names]
        sizes = [len(self.parts[name].part_rows("train")[1]) * (name not in self.replay) for name in names]
        by_size = shares([max(size, 1) for size in sizes], self.alpha) * (np.array(again) == 0)
        parts = np.array(again) + by_size / by_size.sum() * (1 - sum(again))
        own = sum(count for count, share in zip(batches, again, strict=True) if not share)
        total = self.steps_per_epoch or round(own / (1 - sum(again)))
        accumulate = trainer.accumulate_grad_batches if trainer else 1
        return divided(-(-max(total, len(names)) // accumulate) * accumulate, parts)

    def _loader(self, view: View, sampler: Mixed) -> DataLoader[TaskBatch]:
        return DataLoader(
            view,
            sampler=sampler,
            batch_size=None,
            num_workers=self.num_workers,
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> list[DataLoader[Batch]]:
        """The validation set of each task."""
        for part in self.parts.values():
            part.trainer = self.trainer
        return [part.val_dataloader() for part in self.parts.values()]

    def probes(self, examples: int = 32) -> dict[str, Batch]:
        """A few training examples of each task that is learned, spread evenly, to compare gradients on."""
        return {name: self._collated(name, rows) for name, rows in self._spread(examples).items()}

    def rows_of_each(self, examples: int) -> Iterator[tuple[str, Batch]]:
        """Training examples of each task that is learned, spread evenly, one at a time."""
        for name, rows in self._spread(examples).items():
            yield from ((name, self._collated(name, [row])) for row in rows)

    def _spread(self, examples: int) -> dict[str, list[int]]:
        found = {}
        for name in self.learn:
            rows = self.parts[name].part_rows("train")[1]
            count = min(examples, len(rows))
            found[name] = rows[np.arange(count) * len(rows) // max(count, 1)].tolist()
        return found

    def _collated(self, name: str, rows: list[int]) -> Batch:
        return self.parts[name].encoded(self.parts[name].part_rows("train")[0]).collate(rows)


def _remembered(part: TaskDataModule, most: int | None) -> tuple[str, np.ndarray[Any, Any]]:
    """The training examples without changed copies, or so many of them where they are more; stratified."""
    split, rows = part.part_rows("train")
    if most is None or most >= len(rows):
        return split, rows
    return split, drawn(rows, KINDS[part.source.kind].strata(part.train_labels()), most, part.protocol.seed)


def _part(name: str, keys: dict[str, Any], encoder: EncoderConfig, seed: int | bool) -> TaskDataModule:
    known = [key for key in inspect.signature(TaskDataModule).parameters if key not in FILLED]
    for key in keys:
        if key not in known:
            raise TransferlabError(f"data.tasks.{name}.{key}: no such key{near(key, known)}.")
    if keys.get("pairs") == "apart" or keys.get("packed"):
        raise TransferlabError(f"data.tasks.{name}: pairs: apart and packed are for a single task; leave them out.")
    if keys.get("case"):
        raise TransferlabError(
            f"data.tasks.{name}.case: one encoder reads all tasks, which has no rows for capitals; leave it out."
        )
    if keys.get("unlabelled"):
        raise TransferlabError(
            f"data.tasks.{name}.unlabelled: no loss of several tasks reads unlabelled texts; leave it out."
        )
    task, keys = str(keys.get("task") or name), _typed(name, {key: keys[key] for key in keys if key != "task"})
    try:
        return TaskDataModule(task=task, encoder=encoder, seed=seed, **keys)
    except TransferlabError as error:
        raise TransferlabError(str(error).replace("data.", f"data.tasks.{name}.", 1)) from error


def _typed(name: str, keys: dict[str, Any]) -> dict[str, Any]:
    """Keys of a task's data as the command line of ``fit`` reads them: of their types, groups as objects."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(TaskDataModule, skip={*FILLED, "task"})
    try:
        given = parser.instantiate_classes(parser.parse_object(keys))
    except ArgumentError as error:
        # its own words are of Python's types; keys stand from the outermost to the innermost
        inner = re.findall(r'key "([\w.]+)"', str(error))
        place = ".".join((f"data.tasks.{name}", *inner))
        if unknown := re.search(r"Option '(\w+)' is not accepted", str(error)):
            raise TransferlabError(f"{place}.{unknown[1]}: no such key.") from error
        value = functools.reduce(lambda group, key: group.get(key, group), inner, keys)
        hint = f"; write [{value}]" if isinstance(value, str) and "'tuple'" in str(error) else ""
        raise TransferlabError(f"{place}: {value!r} is no value for it{hint}.") from error
    return {key: given[key] for key in keys}
