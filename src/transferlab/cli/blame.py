"""Which key a library's constructor refuses: the one whose default it takes instead."""

import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from torch import nn

from transferlab.cli.keys.words import shown
from transferlab.cli.messages import shortened
from transferlab.ground.errors import TransferlabError

REFUSALS = (MisconfigurationException, ValueError, TypeError, ArithmeticError, ImportError, RuntimeError, LookupError)
"""What constructors of libraries raise for values that they refuse."""
REMEDIES = {
    "trainer.devices": "give a number of processes such as 1, or `auto`; for GPUs also a list of their numbers",
    "trainer.accelerator": "`--trainer auto` takes what this machine has",
    "trainer.strategy": "`--trainer ddp` and `--trainer sharded` are ready for several devices",
    "trainer.precision": "null takes what suits the hardware",
    "model.optimizer": "AdamW suits every strategy",
}
OWN = ("callbacks", "plugins", "logger", "default_root_dir")
"""Arguments of the Trainer that the command fills in."""


def reason(error: BaseException) -> str:
    """The first sentence of a library's text, in one line."""
    text = re.sub(r"\s+", " ", str(error)).strip() or type(error).__name__
    first = re.split(r"(?<=[a-z)\]`'\"])[.!] |(?: HINT:)", text)[0]
    return first.rstrip(".!")


def guilty(build: Callable[[dict[str, Any]], Any], given: Mapping[str, Any], defaults: Mapping[str, Any]) -> list[str]:
    """The arguments each of which, left at its default, makes a constructor succeed.

    Args:
        build: Calls the constructor with all arguments.
        given: The arguments that it refuses.
        defaults: Default of each argument that has one.
    """
    found = []
    for name in given:
        if name not in defaults or given[name] is defaults[name] or given[name] == defaults[name]:
            continue
        try:
            build({**given, name: defaults[name]})
        except Exception:  # the next one, then
            continue
        found.append(name)
    return found


def refused(key: str, names: list[str], given: Mapping[str, Any], who: str, error: BaseException) -> TransferlabError:
    """The message about arguments that a class refuses; names the class's own key where no argument alone is guilty."""
    keys = [f"{key}.{name}" for name in names] or [key]
    values = f"{', '.join(shown(given[name]) for name in names)} " if names else ""
    remedy = next((text for place, text in REMEDIES.items() if place in keys), "")
    verb = "are" if len(names) > 1 else "is"
    said = f"{values}{verb} refused by {who}" if names else f"{who} cannot be used here"
    return TransferlabError(f"{' and '.join(keys)}: {said}: {reason(error)}{f'; {remedy}' if remedy else ''}.")


def trainer(error: BaseException, config: Mapping[str, Any], defaults: Mapping[str, Any]) -> TransferlabError:
    """Explains why the Trainer was not built."""
    plain = {name: value for name, value in config.items() if name not in {"logger", "default_root_dir"}}

    def build(arguments: dict[str, Any]) -> Trainer:
        return Trainer(**{**arguments, "callbacks": list(arguments["callbacks"])}, logger=False)

    names = guilty(build, plain, {**_defaults(Trainer), **defaults})
    return refused("trainer", [name for name in names if name not in OWN], config, "the Trainer", error)


def check_optimizer(spec: Any) -> None:
    """Builds the optimizer for a weight and a bias, and takes a step.

    Args:
        spec: ``class_path`` and ``init_args``; nothing is checked of a default, which is a function.

    Raises:
        TransferlabError: It refuses its arguments, parameter groups, or dense gradients.
    """
    if not hasattr(spec, "get") or not spec.get("class_path"):
        return
    kind = _load(spec["class_path"])
    given = _plain(spec.get("init_args") or {})
    try:
        _step(kind, given)
    except REFUSALS as error:
        names = guilty(lambda arguments: _step(kind, arguments), given, _defaults(kind))
        raise refused("model.optimizer", names, given, kind.__name__, error) from error


def _step(kind: Any, arguments: Mapping[str, Any]) -> None:
    weight, bias = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    optimizer = kind([{"params": [weight]}, {"params": [bias], "weight_decay": 0.0}], **arguments)
    weight.grad, bias.grad = torch.ones(2, 2), torch.ones(2)
    optimizer.step()


@contextmanager
def explained(settings: Any) -> Iterator[None]:
    """Explains what constructors refuse, those of the classes that a configuration names.

    Raises:
        TransferlabError: Names the key whose value was refused.
    """
    try:
        yield
    except REFUSALS as error:
        if refusal := classes(settings):
            raise refusal from error
        if not isinstance(error, ValueError):
            raise
        raise TransferlabError(shortened(error)) from error


def classes(settings: Any) -> TransferlabError | None:
    """Explains which class of the configuration refuses its arguments; None where all of them can be built."""
    for key, spec in _specs(settings):
        kind, given = _load(spec["class_path"]), _plain(spec.get("init_args") or {})
        try:
            kind(**given)
        except REFUSALS as refusal:
            names = guilty(lambda arguments, kind=kind: kind(**arguments), given, _defaults(kind))  # type: ignore[misc]
            return refused(key, names, given, kind.__name__, refusal)
    return None


def _defaults(kind: Any) -> dict[str, Any]:
    known = inspect.signature(kind).parameters.items()
    return {name: parameter.default for name, parameter in known if parameter.default is not parameter.empty}


def _specs(settings: Any) -> Iterator[tuple[str, Any]]:
    """The classes of Trainer and callbacks with their keys; the groups of callbacks among them."""
    groups = {
        "checkpoint": "lightning.pytorch.callbacks.ModelCheckpoint",
        "early_stopping": "lightning.pytorch.callbacks.EarlyStopping",
    }
    for key, path in groups.items():
        if settings.get(key) is not None:
            yield key, {"class_path": path, "init_args": settings[key]}
    for name in ("accelerator", "strategy", "callbacks", "plugins", "profiler"):
        value = settings.get(f"trainer.{name}")
        for entry in value if isinstance(value, list) else [value]:
            if hasattr(entry, "get") and entry.get("class_path"):
                yield f"trainer.{name}", entry


def _load(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _plain(arguments: Any) -> dict[str, Any]:
    return dict(arguments.as_dict() if hasattr(arguments, "as_dict") else arguments)
