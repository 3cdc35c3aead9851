"""The configuration of a run that was put together in Python, as the tree that a configuration file holds."""

import dataclasses
import typing
from collections.abc import Callable, Sequence
from datetime import timedelta
from importlib import import_module
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelSummary, ProgressBar, Timer
from lightning.pytorch.strategies import SingleDeviceStrategy

from transferlab.ground.errors import TransferlabError
from transferlab.ground.remembered import Remembered
from transferlab.record.config import RunConfig
from transferlab.strategies import Strategy
from transferlab.tasks import TaskDataModule

Tree = dict[str, Any]

ACCELERATORS = {"CPUAccelerator": "cpu", "CUDAAccelerator": "gpu", "MPSAccelerator": "mps"}
HARMLESS = (LearningRateMonitor, ModelSummary, ProgressBar, Timer)
"""Callbacks of Lightning that change no result."""


class Written:
    """Collects a configuration, and what of a run cannot be written into one.

    Attributes:
        lost: What a later command could not build again, in words: objects without a class path, other callbacks.
    """

    def __init__(self) -> None:
        self.lost: list[str] = []

    def run(
        self, trainer: L.Trainer, model: Strategy, data: TaskDataModule, run: RunConfig, own: Sequence[Callback] = ()
    ) -> Tree:
        """The groups ``data``, ``encoder``, ``model``, ``trainer``, ``run`` and the seed.

        Args:
            trainer: What trains.
            model: What is trained.
            data: On which examples.
            run: How the run is named.
            own: Callbacks that the command line adds by itself.
        """
        settings = self._part(data, {"encoder", "seed"})
        # those of questions are no choice
        if settings["init_args"].get("truncation") == "windows":
            # a configuration without that key is one of before it was there
            settings["init_args"]["windows"] = data.settings.windows
        # what was chosen, as the command line writes it
        settings["init_args"]["holdout_by"] = data.holdout_by or settings["init_args"].get("holdout_by")
        return {
            "seed_everything": data.protocol.seed,
            "trainer": self.trainer(trainer) | self._callbacks(trainer, own),
            "data": settings,
            "encoder": dataclasses.asdict(data.encoder),
            "model": self._part(model, {"encoder", "task"}),
            "run": dataclasses.asdict(run),
        }

    def _part(self, part: Remembered, linked: set[str]) -> Tree:
        hints = typing.get_type_hints(type(part).__init__)
        given = {key: value for key, value in part.init_args.items() if key not in linked}
        written = {key: self._value(key, value, hints.get(key)) for key, value in given.items()}
        return {"class_path": self._path(type(part)), "init_args": written}

    def _value(self, key: str, value: Any, hint: Any = None) -> Any:
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, timedelta):
            return str(value)
        if isinstance(value, list | tuple):
            return [self._value(key, one) for one in value]
        if isinstance(value, dict):
            return {str(name): self._value(key, one) for name, one in value.items()}
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: self._value(key, getattr(value, f.name)) for f in dataclasses.fields(value) if f.init}
            # of one type: its fields; a subclass of what is asked for: its name too
            exact = type(value) in (hint, *typing.get_args(hint))
            return fields if exact else {"class_path": self._path(type(value)), "init_args": fields}
        if key == "optimizer" and callable(value):
            return self._optimizer(value)
        self.lost.append(f"{key}: {type(value).__name__}")
        return None

    def _optimizer(self, build: Callable[..., Any]) -> Tree:
        """Its class and arguments, read off one that is built for a single number."""
        made: torch.optim.Optimizer = build([torch.nn.Parameter(torch.zeros(1))])
        known = typing.get_type_hints(type(made).__init__)
        arguments = {key: value for key, value in made.defaults.items() if key in known}
        return {"class_path": self._path(type(made)), "init_args": self._value("optimizer", arguments)}

    def _path(self, kind: type) -> str:
        if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
            self.lost.append(f"{kind.__qualname__}, which is in no module that can be imported")
            return f"{kind.__module__}.{kind.__qualname__}"
        # the package that offers it, as configuration files name it
        parts = kind.__module__.split(".")
        packages = [".".join(parts[:depth]) for depth in range(min(2, len(parts)), len(parts) + 1)]
        offered = [name for name in packages if getattr(import_module(name), kind.__name__, None) is kind]
        return f"{offered[0] if offered else kind.__module__}.{kind.__qualname__}"

    def trainer(self, trainer: L.Trainer) -> Tree:
        """The Trainer's arguments, those at their defaults left out.

        Raises:
            TransferlabError: One that leaves no run directory, or splits the batches a second time.
        """
        inside: Any = trainer._accelerator_connector
        # what Lightning sets from elsewhere, mypy does not see
        made: Any = trainer
        if made.fast_dev_run:
            raise TransferlabError("fast_dev_run leaves no run directory: leave run_callbacks out.")
        if trainer.world_size > 1 and inside.use_distributed_sampler:
            raise TransferlabError(
                "The data module gives every process its own batches: Trainer(use_distributed_sampler=False)."
            )
        clipping: Any = trainer.gradient_clip_algorithm
        limits = ("limit_train_batches", "limit_val_batches", "limit_test_batches", "limit_predict_batches")
        found = {
            "accelerator": (ACCELERATORS.get(type(trainer.accelerator).__name__), None),
            "devices": (trainer.num_devices, None),
            "num_nodes": (trainer.num_nodes, 1),
            "strategy": (self._strategy(trainer), None),
            "precision": (str(trainer.precision), None),
            "max_epochs": (trainer.max_epochs, -1),
            "min_epochs": (trainer.min_epochs, 0),
            "max_steps": (trainer.max_steps, -1),
            "min_steps": (trainer.min_steps, None),
            "max_time": (self._max_time(trainer), None),
            **{name: (getattr(trainer, name), 1.0) for name in limits},
            "overfit_batches": (made.overfit_batches, 0.0),
            "val_check_interval": (trainer.val_check_interval, 1.0),
            "check_val_every_n_epoch": (trainer.check_val_every_n_epoch, 1),
            "log_every_n_steps": (made.log_every_n_steps, None),
            "accumulate_grad_batches": (trainer.accumulate_grad_batches, 1),
            "gradient_clip_val": (trainer.gradient_clip_val, None),
            "gradient_clip_algorithm": (clipping and str(clipping.value), None),
            "deterministic": (_deterministic(), False),
            "inference_mode": (trainer.test_loop.inference_mode, True),
            "detect_anomaly": (trainer._detect_anomaly, False),
            "sync_batchnorm": (inside._layer_sync is not None, False),
            "reload_dataloaders_every_n_epochs": (made.reload_dataloaders_every_n_epochs, 0),
        }
        return {"logger": False} | {name: value for name, (value, neutral) in found.items() if value != neutral}

    def _strategy(self, trainer: L.Trainer) -> Any:
        strategy = trainer.strategy
        if isinstance(strategy, SingleDeviceStrategy):
            return None
        if isinstance(strategy, Remembered):
            return self._part(strategy, set())
        return str(getattr(strategy, "strategy_name", type(strategy).__name__))

    @staticmethod
    def _max_time(trainer: L.Trainer) -> str | None:
        timers = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]  # type: ignore[attr-defined]
        seconds = timers[0]._duration if timers else None
        if seconds is None:
            return None
        minutes, rest = divmod(int(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours // 24:02d}:{hours % 24:02d}:{minutes:02d}:{rest:02d}"

    def _callbacks(self, trainer: L.Trainer, own: Sequence[Callback]) -> Tree:
        """The user's rule to stop early; other callbacks of his are noted where they may change the result."""
        given: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        others = [callback for callback in given if not any(callback is one for one in own)]
        rules = [callback for callback in others if isinstance(callback, EarlyStopping)]
        if rules and any(isinstance(callback, EarlyStopping) for callback in own):
            raise TransferlabError(
                "There are two rules to stop early: run_callbacks(patience=None) leaves yours alone."
            )
        self.lost += [
            f"callback {type(one).__name__}" for one in others if one not in rules and not isinstance(one, HARMLESS)
        ]
        return {"callbacks": [self._rule(one) for one in rules]} if rules else {}

    def _rule(self, rule: EarlyStopping) -> Tree:
        names = ("monitor", "patience", "verbose", "mode", "strict", "check_finite", "stopping_threshold")
        arguments = {name: getattr(rule, name) for name in (*names, "divergence_threshold", "log_rank_zero_only")}
        # signed by the mode
        arguments["min_delta"] = abs(rule.min_delta)
        return {"class_path": self._path(type(rule)), "init_args": arguments}


def _deterministic() -> bool | str:
    if torch.is_deterministic_algorithms_warn_only_enabled():
        return "warn"
    return torch.are_deterministic_algorithms_enabled()
