"""Short forms on the command line: ``--config``, ``--experiment``, ``--run`` and ``--resume`` become whole settings."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from transferlab.config import experiments, received
from transferlab.ground import hints
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder

TEMPLATES = (".template", ".pattern")
"""Ends of keys that hold texts with names in braces."""


def expand_arguments(arguments: list[str], command: str = "fit") -> list[str]:
    """Expands a command line.

    ``--config FILE``, ``--config=FILE`` and ``-c FILE`` become the file laid over its bases; ``--experiment NAME`` the
    file of that name, or task and strategy put together; ``--run RUN`` the configuration and checkpoint of a run;
    ``--resume RUN`` the configuration of a run, unless one is given, and its folder. ``--encoder NAME``, ``--task``,
    ``--strategy``, ``--trainer`` and ``--logger`` put that config in the place of the experiment's own.

    Args:
        arguments: ``fit``, ``test`` and so on, and what follows.
        command: What trains: ``fit``, ``pretrain`` or ``multitask``.

    Raises:
        TransferlabError: An option without a value, one of another command, or no such experiment, file or run.
    """
    expanded: list[str] = []
    chosen, arguments = experiments.take_choices(arguments)
    rest = iter(arguments)
    used = False
    configured = any(argument.partition("=")[0] in {"--config", "-c", "--experiment"} for argument in arguments)
    for argument in rest:
        name, given, value = argument.partition("=")
        if name in {*ARGUMENTS, "--resume"}:
            value = value if given else next(rest, "")
            if not value:
                raise TransferlabError(f"{name} needs a {'FILE' if name in {'--config', '-c'} else 'NAME'} behind it.")
            if name == "--resume" and arguments[0] != "fit":
                raise TransferlabError(f"--resume is for fit; {arguments[0]} takes --run RUN.")
            if name == "--run" and arguments[0] == "fit":
                raise TransferlabError(
                    f"--run is for test, validate and predict; fit continues a run: --resume {value}"
                )
            if name == "--resume":
                expanded += _resume(value, configured, command)
            elif name == "--run":
                expanded += _run(value)
            else:
                expanded += (_experiment if name == "--experiment" else _config)(value, chosen)
                used = True
        elif name.startswith("--") and name.endswith(TEMPLATES):
            expanded += _template(name, value if given else next(rest, None))
        else:
            expanded.append(argument)
    if chosen and not used:
        option = f"--{next(iter(chosen))}"
        raise TransferlabError(f"{option} changes an experiment: give --experiment NAME or --config FILE too.")
    return expanded


def _template(name: str, value: str | None) -> list[str]:
    """A template as the text that it is: with a colon in it, the parser would take it for a mapping."""
    if value is None:
        return [name]
    if not isinstance(_loaded(value), dict):
        return [name, value]
    *above, key = name.removeprefix("--").split(".")
    tree: dict[str, Any] = {key: value}
    if above in (["model"], ["data"]):
        tree = {"init_args": tree}
    return [f"--{'.'.join(above)}", json.dumps(tree, ensure_ascii=False)]


def _loaded(value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        return value


def _config(value: str, chosen: Mapping[str, str] | None = None) -> list[str]:
    return ["--config", yaml.safe_dump(experiments.of_file(Path(value), chosen=chosen), sort_keys=False)]


def _experiment(value: str, chosen: Mapping[str, str] | None = None) -> list[str]:
    return ["--config", yaml.safe_dump(experiments.compose(value, chosen=chosen), sort_keys=False)]


def _saved(folder: Path) -> list[str]:
    tree = experiments.of_file(folder / "config.yaml")
    received.check(tree, folder)
    if isinstance(tree.get("trainer"), dict):
        # runs of earlier versions kept the kind of output that their first start had
        tree["trainer"].pop("enable_progress_bar", None)
    return ["--config", yaml.safe_dump(tree, sort_keys=False)]


def _run(value: str) -> list[str]:
    folder = run_folder.find(value)
    hints.refuse_without_task(folder)
    os.environ[run_folder.VARIABLE] = str(folder.absolute())
    checkpoint = folder / "checkpoints" / "best.ckpt"
    return [*_saved(folder), "--ckpt_path", str(checkpoint)]


def _resume(value: str, configured: bool, command: str) -> list[str]:
    # with a configuration at hand a folder that is not there yet starts a run
    fresh = configured and os.sep in value and not Path(value).exists()
    folder = Path(value) if fresh else run_folder.find(value)
    if not fresh and hints.command_of(folder) != command:
        raise TransferlabError(f"--resume: {folder} is resumed with {hints.resume(folder)}")
    os.environ[run_folder.VARIABLE] = str(folder.absolute())
    return [] if configured else _saved(folder)


ARGUMENTS = ("--config", "-c", "--experiment", "--run")
