"""A run directory may come from someone else: its configuration is data, and names no code but what is known."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.ground.patterns import later

TRUST = "TRANSFERLAB_TRUST"
"""Set by ``--trust``; processes that this one starts inherit it."""
PACKAGE = Path(__file__).parents[1]
CALLBACKS = (
    "DeviceStatsMonitor",
    "EarlyStopping",
    "GradientAccumulationScheduler",
    "LearningRateMonitor",
    "ModelCheckpoint",
    "ModelSummary",
    "OnExceptionCheckpoint",
    "RichModelSummary",
    "RichProgressBar",
    "TQDMProgressBar",
    "Timer",
)
"""Lightning's, without those that take a function."""
LIGHTNING = r"lightning\.pytorch"
KNOWN = tuple(
    later(pattern)
    for pattern in (
        r"torch\.optim\.(lr_scheduler\.)?[A-Z]\w*",
        # the optimizers of strategies for which none was named
        r"transferlab\.(learning\.optim|strategies\.base)\.adamw(_\de\d)?",
        rf"{LIGHTNING}\.callbacks\.(\w+\.)?({'|'.join(CALLBACKS)})",
        rf"{LIGHTNING}\.cli\.ReduceLROnPlateau",
        rf"{LIGHTNING}\.loggers\.(\w+\.)?(CSV|TensorBoard|MLFlow|Comet|Wandb)Logger",
        rf"{LIGHTNING}\.profilers\.(\w+\.)?(Simple|Advanced|PassThrough)Profiler",
        rf"{LIGHTNING}\.strategies\.(\w+\.)?(DDP|SingleDevice|ModelParallel|FSDP)Strategy",
        rf"{LIGHTNING}\.plugins\.(precision\.)?(\w+\.)?\w*Precision",
        rf"{LIGHTNING}\.accelerators\.(\w+\.)?\w+Accelerator",
    )
)
"""Class paths outside of this package, and functions of it."""
POSITIONS = ("accelerator", "callbacks", "logger", "plugins", "profiler", "strategy")
"""Keys of the Trainer whose text may be the path of a class."""
DOTTED = later(r"[^\W\d]\w*(\.[^\W\d]\w*)+")
FUNCTIONS = later(r"(fn|func|function|hook|wrapper|policy)$")
PLACES = later(r"(^|_)(dir|dirpath|path|root|folder|filename)$")
WRITTEN = ("retests", "predictions", "forms")
"""What commands on a finished run write into."""


def trusted() -> bool:
    """Whether ``--trust`` was given."""
    return bool(os.environ.get(TRUST))


def check(tree: Any, folder: Path) -> None:
    """Checks that the saved configuration of a run names known classes only, and writes nowhere else.

    Args:
        tree: The configuration.
        folder: The run directory.

    Raises:
        TransferlabError: It names other code, or a place outside of the run directory.
    """
    if trusted():
        return
    for key, name in _code(tree):
        if not _is_known(name):
            raise TransferlabError(
                f"{folder / 'config.yaml'}: {key} names {name}, which is neither this package's nor a known class of "
                "Lightning or torch. If you trust whoever made this run with your account, add --trust."
            )
    for key, value in _places(tree.get("trainer") if isinstance(tree, dict) else None, "trainer"):
        if not _is_inside(Path(value), folder):
            raise TransferlabError(
                f"{folder / 'config.yaml'}: {key} is {value}, outside of the run directory. If you trust whoever made "
                "this run with your account, add --trust."
            )
    for name in WRITTEN:
        if not _is_inside(folder / name, folder):
            raise TransferlabError(f"{folder / name} leads out of the run directory; --trust follows it.")


def _is_known(path: str) -> bool:
    if any(pattern.fullmatch(path) for pattern in KNOWN):
        return True
    first, *modules = path.split(".")
    if first != "transferlab" or not modules or not modules[-1][:1].isupper():
        return False
    modules = modules[:-1]
    # a module of this package, not one that it imports
    return (PACKAGE.joinpath(*modules).with_suffix(".py") if modules else PACKAGE / "__init__.py").is_file() or (
        PACKAGE.joinpath(*modules, "__init__.py").is_file()
    )


def _code(tree: Any) -> Iterator[tuple[str, str]]:
    """What is imported by its name: class paths, and functions."""
    for key, last, value in _leaves(tree, ""):
        if not isinstance(value, str):
            continue
        parts = key.split(".")
        position = parts[0] == "trainer" and len(parts) == 2 and last in POSITIONS
        position |= parts[0] in {"model", "data"} and (len(parts) == 1 or (parts[0] == "model" and last in CLASSES))
        if last == "class_path" or ((position or FUNCTIONS.search(last)) and DOTTED.fullmatch(value)):
            yield key, value


CLASSES = ("optimizer", "method", "lr_scheduler")
"""Keys of a strategy whose text may be the path of a class."""


def _places(tree: Any, above: str) -> Iterator[tuple[str, str]]:
    """Where the Trainer's profiler, callbacks and plugins write; loggers are pointed at the run directory."""
    for key, last, value in _leaves(tree, above):
        if (
            isinstance(value, str)
            and PLACES.search(last)
            and last != "class_path"
            and ".logger" not in key
            and last != "default_root_dir"
        ):
            yield key, value


def _leaves(node: Any, key: str, last: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves(value, f"{key}.{name}" if key else str(name), str(name))
    elif isinstance(node, list | tuple):
        for value in node:
            yield from _leaves(value, key, last)
    else:
        yield key, last, node


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())
