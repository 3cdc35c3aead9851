"""Values that the Trainer and its callbacks take and that train nothing, train nonsense, or end in a traceback later.

They are checked when the command line is read: before the encoder is loaded, before data are read, and before a run
directory exists.
"""

import contextlib
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import yaml

from transferlab.cli.keys.words import shown
from transferlab.config.places import NAME, NAMES
from transferlab.ground.errors import TransferlabError, near

FIT_ONLY = ("fit",)
EVERY = ("fit", "validate", "test", "predict")
CLUSTER = ("SLURM_JOB_ID", "TORCHELASTIC_RUN_ID", "NODE_RANK", "MASTER_ADDR", "LSB_JOBID")
"""Variables of those that start a process on each of several machines."""


@dataclass(frozen=True)
class Bound:
    """What a value must fulfil.

    Attributes:
        key: The whole key.
        right: Whether a value is right; null is not asked.
        must: What it must be, as the rest of a sentence.
        commands: The commands that read the value.
    """

    key: str
    right: Callable[[Any], bool]
    must: str
    commands: tuple[str, ...] = FIT_ONLY


def _number(low: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and value >= low


def _one_of(*words: str) -> Callable[[Any], bool]:
    return lambda value: value in words


def _is_part(value: Any) -> bool:
    """A number of batches, or a part of them."""
    return value >= 1 if isinstance(value, int) else 0 < value <= 1


def _is_interval(value: Any) -> bool:
    return _is_part(value) if isinstance(value, int | float) else _is_duration(value)


def _is_duration(value: Any) -> bool:
    if isinstance(value, str):
        parts = value.split(":")
        return len(parts) == 4 and all(part.isdigit() for part in parts)
    return isinstance(value, dict | Mapping | timedelta)


PART = "must be a number of batches (1 or more) or a part of them (above 0, at most 1.0)"
DURATION = "a time written DD:HH:MM:SS, as in 00:01:30:00 for an hour and a half"
BOUNDS = (
    Bound("run.experiment", lambda v: v == "" or bool(NAME.fullmatch(str(v))), f"is no name; {NAMES}", EVERY),
    Bound("seed_everything", lambda v: isinstance(v, bool) or 0 <= v < 2**32, "must be from 0 to 4294967295", EVERY),
    Bound("trainer.max_epochs", lambda v: v == -1 or v >= 1, "must be 1 or more, or -1 for no limit"),
    Bound("trainer.min_epochs", _number(0), "must be 0 or more"),
    Bound("trainer.max_steps", lambda v: v == -1 or v >= 1, "must be 1 or more, or -1 for no limit"),
    Bound("trainer.min_steps", _number(0), "must be 0 or more"),
    Bound("trainer.max_time", _is_duration, f"must be {DURATION}"),
    Bound("trainer.accumulate_grad_batches", _number(1), "must be 1 or more batches for each optimizer step"),
    Bound("trainer.log_every_n_steps", _number(1), "must be 1 or more"),
    Bound("trainer.check_val_every_n_epoch", _number(1), "must be 1 or more"),
    Bound("trainer.val_check_interval", _is_interval, f"{PART}, or {DURATION}"),
    Bound("trainer.limit_train_batches", _is_part, f"{PART}; nothing is trained otherwise"),
    Bound("trainer.limit_val_batches", _is_part, f"{PART}; nothing could select the best checkpoint otherwise"),
    Bound("trainer.limit_test_batches", _is_part, f"{PART}; to leave the test out set run.test: false", EVERY),
    Bound("trainer.limit_predict_batches", _is_part, PART, EVERY),
    Bound("trainer.overfit_batches", lambda v: v == 0 or _is_part(v), f"{PART}, or 0 for none"),
    Bound("trainer.gradient_clip_val", _number(0), "must be the largest norm of a gradient, 0 or null for no clipping"),
    Bound("trainer.gradient_clip_algorithm", _one_of("norm", "value"), "must be norm or value"),
    Bound("trainer.num_sanity_val_steps", _number(-1), "must be 0 or more, or -1 for all"),
    Bound("trainer.reload_dataloaders_every_n_epochs", _number(0), "must be 0 or more"),
    Bound("trainer.num_nodes", _number(1), "must be 1 or more", EVERY),
    Bound("trainer.fast_dev_run", _number(0), "must be true, false or a number of batches", EVERY),
    Bound("trainer.enable_checkpointing", bool, "must be true: the best checkpoint is what is tested"),
    Bound("trainer.barebones", lambda v: not v, "must be false: a run is logged and keeps checkpoints", EVERY),
    Bound("checkpoint.mode", _one_of("min", "max"), "must be min or max"),
    Bound("checkpoint.filename", _one_of("best"), "must be best: that file is tested; {more}"),
    Bound("checkpoint.save_top_k", lambda v: v == 1, "must be 1: best.ckpt is what is tested; {more}"),
    Bound("checkpoint.save_last", lambda v: v is False, "must be null: the run keeps last.ckpt itself; {resume}"),
    Bound("checkpoint.every_n_epochs", _number(1), "must be 1 or more; no checkpoint would be kept otherwise"),
    Bound("early_stopping.mode", _one_of("min", "max"), "must be min or max"),
    Bound("early_stopping.patience", _number(0), "must be 0 or more validations"),
)
HINTS = {
    "{more}": "for further checkpoints add a ModelCheckpoint to trainer.callbacks",
    "{resume}": "run.checkpoint_every_minutes says how often",
}


class Dotted:
    """A tree whose values are read by dotted key, as those of a parsed configuration are."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree = tree

    def get(self, key: str, default: Any = None) -> Any:
        """The value at a dotted key; text as what YAML makes of it."""
        value: Any = self.tree
        for part in key.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return default
            value = value[part]
        try:
            return yaml.safe_load(value) if isinstance(value, str) else value
        except yaml.YAMLError:
            return value


def check_raw(tree: Mapping[str, Any], command: str) -> None:
    """Checks values as they stand in files and on the command line, before the parser has read them; see `check`.

    A value of a wrong type is left to the parser.
    """
    with contextlib.suppress(TypeError):
        check(Dotted(tree), command)


def check(settings: Any, command: str) -> None:
    """Checks the values of a parsed configuration.

    Args:
        settings: Anything with ``get`` on dotted keys.
        command: ``fit``, ``validate``, ``test`` or ``predict``.

    Raises:
        TransferlabError: A value out of bounds; names the key and what it must be.
    """
    for bound in BOUNDS:
        value = settings.get(bound.key)
        if command in bound.commands and value is not None and not bound.right(value):
            must = bound.must
            for mark, hint in HINTS.items():
                must = must.replace(mark, hint)
            raise TransferlabError(f"{bound.key}: {must} (given: {shown(value)}).")
    _check_together(settings, command)


def _check_together(settings: Any, command: str) -> None:
    nodes = settings.get("trainer.num_nodes")
    if nodes and nodes > 1 and not any(os.environ.get(name) for name in CLUSTER):
        raise TransferlabError(
            f"trainer.num_nodes: {nodes} machines, but nothing started this process on several of them, so it would "
            "wait for ever. Use `transferlab submit` (Slurm) or torchrun; on one machine leave it at 1."
        )
    if command != "fit":
        return
    if path := settings.get("ckpt_path"):
        raise TransferlabError(
            f"ckpt_path: {path} is not taken by fit. To continue a run: transferlab fit --resume RUN."
        )
    if not settings.get("checkpoint.monitor", "val/primary"):
        raise TransferlabError("checkpoint.monitor: must name what selects the best checkpoint, such as val/primary.")
    epochs, every = settings.get("trainer.max_epochs"), settings.get("trainer.check_val_every_n_epoch")
    if epochs and every and 0 < epochs < every:
        raise TransferlabError(
            f"trainer.check_val_every_n_epoch: {every} is more than trainer.max_epochs ({epochs}), so no validation "
            "would select a checkpoint."
        )


def check_monitors(callbacks: list[Any], model: Any, settings: Any) -> None:
    """Checks that what callbacks monitor is logged, before anything is trained.

    Args:
        callbacks: Those of the Trainer.
        model: The strategy; one of the user's own may log whatever it likes.
        settings: The configuration, to tell the built-in callbacks from the user's.

    Raises:
        TransferlabError: Nothing of that name is logged; names the nearest.
    """
    if not type(model).__module__.startswith("transferlab."):
        return
    logged = [*(f"val/{name}" for name in ("primary", "loss", *model.task.metrics)), "train/loss"]
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in (*logged, "epoch", "step"):
            hint = near(monitor, logged)
            groups = [name for name in ("early_stopping", "checkpoint") if settings.get(f"{name}.monitor") == monitor]
            place = groups[0] if groups else "trainer.callbacks"
            raise TransferlabError(f"{place}.monitor: {monitor!r} is not logged{hint}. There are {', '.join(logged)}.")


def check_interval(trainer: Any, data: Any) -> None:
    """Checks that an epoch is long enough for ``trainer.val_check_interval``, and the training for one validation.

    Raises:
        TransferlabError: Fewer batches than that; or ``trainer.max_steps`` ends before a checkpoint can be selected.
    """
    interval, every = trainer.val_check_interval, trainer.check_val_every_n_epoch
    whole = isinstance(interval, int) and not isinstance(interval, bool)
    if not whole and (trainer.max_steps < 1 or not isinstance(interval, float)):
        return
    data.trainer = trainer
    batches, limit = len(data.train_dataloader()), trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    if whole and every is not None and interval > batches:
        raise TransferlabError(
            f"trainer.val_check_interval: {interval} is more than the {batches} training batches of an epoch. Use at "
            "most that many, a part such as 0.5, or check_val_every_n_epoch: null to count batches over epochs."
        )
    first, steps = interval if whole else max(int(batches * interval), 1), trainer.accumulate_grad_batches
    # an epoch ends with a step, be it over fewer batches
    needed = ((every or 1) - 1) * math.ceil(batches / steps) + math.ceil(first / steps)
    if 0 < trainer.max_steps < needed:
        raise TransferlabError(
            f"trainer.max_steps: {trainer.max_steps} end before the first validation, after {needed} steps, and the "
            "best checkpoint is selected there. Use more, or a smaller trainer.val_check_interval; for a short trial "
            "trainer.limit_train_batches."
        )
