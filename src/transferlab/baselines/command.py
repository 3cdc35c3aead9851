"""``transferlab baseline``."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ArgumentError, ArgumentParser

from transferlab.baselines.choice import METHODS, chosen_methods
from transferlab.baselines.record import run
from transferlab.baselines.rows import read_parts
from transferlab.config import experiments
from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.ground.lean import import_sklearn, name_callers, uncollected
from transferlab.ground.quiet import no_bars_on_pipes
from transferlab.record import folder as run_folder
from transferlab.tasks.table import TASKS, lookup
from transferlab.tasks.task import Task

NAMED = ("transferlab.tasks.TaskDataModule", "transferlab.TaskDataModule")
"""What configs call the data, the last of them those that are written."""
READ = "transferlab.tasks.task.Task"
"""What stands for it here: the same arguments and examples, without batches and torch."""


def build_parser(data: type[Task] = Task) -> ArgumentParser:
    """The parser of ``transferlab baseline``: what an experiment file says of data, seed and run, and the method.

    Args:
        data: The class whose arguments are those of ``data``, and the default of its ``class_path``.
    """
    parser = ArgumentParser(prog="transferlab baseline", description=__doc__, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="Experiment file; what it says of a model is not read.")
    parser.add_argument("--method", default="all", help=f"all, {', '.join(METHODS)}")
    parser.add_argument("--vectors", type=str | None, default=None, help="With vectors: file of word vectors.")
    parser.add_argument("--seed_everything", type=int | bool, default=0, help="Seed of examples and solvers.")
    parser.add_argument("--run.root", default="runs", help="Folder that holds all runs.")
    parser.add_argument("--run.tags", type=tuple[str, ...], default=(), help="Words to filter runs by.")
    task = {"class_path": READ if data is Task else NAMED[0]}
    # with a default the type is not Optional, whose errors would hide those of the constructor
    parser.add_subclass_arguments(data, "data", default=task, help="The task, as in an experiment file.")
    parser.link_arguments("seed_everything", "data.init_args.encoder", compute_fn=_unread_encoder)
    parser.link_arguments("seed_everything", "data.init_args.seed")
    return parser


def _unread_encoder(seed: int) -> dict[str, Any]:
    """Stands where the data module wants an encoder, of which only tokenising reads anything."""
    return asdict(EncoderConfig())


def main(arguments: list[str]) -> None:
    """Runs ``transferlab baseline``.

    Raises:
        TransferlabError: Wrong arguments, unusable rows, or a method that does not fit the task.
    """
    no_bars_on_pipes()
    name_callers()
    with uncollected():
        _run(arguments)


def _run(arguments: list[str]) -> None:
    parser = build_parser()
    settings = parse(arguments, parser)
    data: Task = parser.instantiate_classes(settings).data
    methods = chosen_methods(settings.method, data.spec.kind)
    if len(methods) > 1:
        os.environ.pop(run_folder.VARIABLE, None)
    parts = read_parts(data)
    settings.data.init_args.holdout_by = data.holdout_by or None
    settings.method = ""
    tree = yaml.safe_load(parser.dump(settings, skip_validation=True, skip_link_targets=True).replace(READ, NAMED[-1]))
    import_sklearn()
    for method in methods:
        run(method, data, parts, settings, yaml.safe_dump({**tree, "method": method}, sort_keys=False))


def parse(arguments: list[str], parser: ArgumentParser) -> Any:
    """The settings that a command line means.

    Raises:
        TransferlabError: Wrong arguments.
    """
    given = expanded(arguments)
    try:
        return parser.parse_args([_read(word) for word in given])
    except ArgumentError:
        raise _explained(given) from None


def _read(word: str) -> str:
    for name in NAMED:
        word = word.replace(name, READ)
    return word


def _explained(given: list[str]) -> TransferlabError:
    """What is wrong with a command line; all that the neural runs' parser knows of keys helps to say it."""
    from transferlab.cli.keys.collect import collect
    from transferlab.cli.messages import explain
    from transferlab.cli.parsing import LINKED
    from transferlab.tasks import TaskDataModule

    parser = build_parser(TaskDataModule)
    try:
        parser.parse_args(given)
    except ArgumentError as error:
        catalog = collect({"baseline": parser}, LINKED, tuple(TASKS))
        return TransferlabError(explain(error, catalog, ["baseline", *given]))
    return TransferlabError(f"{' '.join(given)}: only part of this can be read; give the keys in a file.")


def check(arguments: list[str]) -> None:
    """Parses a command line without reading any rows.

    Raises:
        TransferlabError: Wrong arguments, or a method that does not fit the task.
    """
    settings = parse(arguments, build_parser())
    data = settings.data.init_args
    chosen_methods(settings.method, data.source.kind if data.source else lookup(data.task).kind)


def expanded(arguments: list[str]) -> list[str]:
    """Replaces each experiment file by its ``data``, ``seed_everything``, ``method`` and ``run`` parts.

    The names in ``run`` are left out: they are those of the neural run.
    """
    result: list[str] = []
    # the encoder, the strategy, the trainer and the logger of the neural run are not read
    chosen, arguments = experiments.take_choices(arguments)
    rest = iter(arguments)
    for argument in rest:
        name, _, value = argument.partition("=")
        if name not in {"--config", "-c", "--experiment"}:
            result.append(argument)
            continue
        value = value or next(rest, "")
        named = name == "--experiment"
        tree = experiments.compose(value, chosen=chosen) if named else experiments.of_file(Path(value), chosen=chosen)
        part = {key: tree[key] for key in ("data", "seed_everything", "method", "run") if key in tree}
        if isinstance(part.get("run"), dict):
            part["run"] = {key: v for key, v in part["run"].items() if key in {"root", "tags"}}
        result += ["--config", yaml.safe_dump(part, sort_keys=False)]
    return result
