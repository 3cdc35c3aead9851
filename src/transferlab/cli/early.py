"""What is wrong with names and keys is said before torch is imported, which takes seconds."""

import itertools
from collections.abc import Sequence
from typing import Any

import yaml

from transferlab.cli import bounds
from transferlab.cli.commands import COMMANDS
from transferlab.cli.expansion import expand_arguments
from transferlab.cli.keys import catalog as catalogs
from transferlab.cli.keys.check import ARGUMENTS, OF_A_CLASS, Checker, is_option, options
from transferlab.cli.keys.nearest import SYNONYMS, nearest
from transferlab.cli.pages import MOST_USED, SECTIONS
from transferlab.config import experiments
from transferlab.config.trees import Tree, merge
from transferlab.ground.errors import TransferlabError, closest, did_you_mean
from transferlab.record import folder as run_folder
from transferlab.tasks.reading.files import path_of

TOP_LEVEL = (*SECTIONS, "seed_everything", "ckpt_path", "weights_only", "verbose", "return_predictions")
RUN = "an experiment (its newest run), a run ID or a run directory; `transferlab compare` lists the runs"


def check(arguments: Sequence[str]) -> None:
    """Checks a command line that trains or takes a run: names, and keys as far as they are known without torch.

    Args:
        arguments: The command and what follows it.

    Raises:
        TransferlabError: An unknown experiment, run, base, file, task or key, or nothing to work on.
    """
    command, *rest = arguments
    check_words(command, rest)
    given = expand_arguments(list(arguments))[1:]
    known = catalogs.load()
    tree = Checker(known, command).line(given) if known else _top_level(given)
    if any(word.startswith("--print_config") or word.partition("=")[0].endswith(".help") for word in rest):
        return
    check_complete(command, tree)
    bounds.check_raw(tree, command)
    if tasks := known.tasks if known else experiments.tasks():
        check_task(tree, tasks)
    if command == "fit":
        check_files(tree)


def check_names(command: str, rest: Sequence[str]) -> None:
    """Checks the names on the command line of a command that trains nothing and yet imports torch.

    Raises:
        TransferlabError: An unknown experiment, file or run, or nothing to work on.
    """
    if not rest:
        needed = f"transferlab {command} {COMMANDS[command].usage}"
        raise TransferlabError(f"{command}: say for what: {needed}. `transferlab {command} --help` tells more.")
    if command == "fetch":
        check(["fit", *rest])
    elif command == "baseline":
        check_words(command, rest)
        expand_arguments([command, *rest])
    elif command == "forgetting" and "--root" not in rest and "--run" in rest:
        for name in itertools.takewhile(lambda word: not is_option(word), rest[rest.index("--run") + 1 :]):
            run_folder.find(name)


def check_words(command: str, rest: Sequence[str]) -> None:
    """Checks that every word is an option or the value of one.

    Raises:
        TransferlabError: A word that stands alone; says which option it belongs to.
    """
    takes = False
    for word in rest:
        if is_option(word):
            takes = "=" not in word and not word.startswith("--print_config")
        elif takes:
            takes = False
        else:
            raise TransferlabError(_misplaced(command, word))


def _misplaced(command: str, word: str) -> str:
    if command in {"validate", "test", "predict"}:
        return f"{word!r} stands alone; a run is given as --run: transferlab {command} --run {word}"
    if word.endswith((".yaml", ".yml")):
        return f"{word!r} stands alone; a file is given as --config: transferlab {command} --config {word}"
    names = experiments.names()
    if found := closest(word, names, 0.7):
        name = word if word in names else found[0]
        return (
            f"{word!r} stands alone; an experiment is given as --experiment: transferlab {command} --experiment {name}"
        )
    return f"{word!r} stands alone: every value follows its key, as in --trainer.max_epochs 3."


def check_complete(command: str, tree: Tree) -> None:
    """Checks that there is something to work on.

    Raises:
        TransferlabError: No experiment, or no checkpoint.
    """
    if "data" in tree and "model" in tree:
        if command != "fit" and tree.get("ckpt_path") is None:
            raise TransferlabError(f"{command} needs --run RUN, or --config FILE with --ckpt_path FILE. RUN is {RUN}.")
        return
    if command != "fit":
        raise TransferlabError(f"{command} needs --run RUN: {RUN}.")
    lacks = " and no ".join(key for key in ("data", "model") if key not in tree)
    raise TransferlabError(
        f"nothing to train, no {lacks}: give --experiment NAME (`transferlab list` shows the names), or --config FILE."
    )


def check_task(tree: Tree, tasks: Sequence[str]) -> None:
    """Checks the name of the task, where it is to be one of the table.

    Raises:
        TransferlabError: No such task.
    """
    data = tree["data"].get("init_args") if isinstance(tree["data"], dict) else None
    task = data.get("task") if isinstance(data, dict) else None
    if isinstance(data, dict) and isinstance(task, str) and task not in ("", *tasks) and not data.get("source"):
        raise TransferlabError(experiments.no_task(task, tasks))


def check_files(tree: Tree) -> None:
    """Checks that the user's files are there which a training reads.

    Raises:
        TransferlabError: One is missing or empty.
    """
    source = _inside(tree, "data", "init_args", "source")
    files = _inside(source, "files")
    if not files or not all(isinstance(file, str) for file in files.values()):
        # the parser has the words for it
        return
    tests = source.get("test") or ["test"]
    wanted = [source.get("train") or "train", source.get("validation") or "validation"]
    for split in [*wanted, *(tests if isinstance(tests, list) else [])]:
        if isinstance(split, str) and split in files:
            path_of(files, split)


def _inside(tree: Tree, *keys: str) -> Tree:
    """What lies below keys; nothing where one of them has no keys of its own."""
    for key in keys:
        found = tree.get(key)
        tree = found if isinstance(found, dict) else {}
    return tree


def _top_level(given: Sequence[str]) -> Tree:
    """Checks the first part of every key, which is known without a catalog; returns what is set, roughly.

    Of a key that is like none of these the parser itself may know more.
    """
    tree: Tree = {}
    for name, value in options(given):
        if name in {"--config", "-c"}:
            file = yaml.safe_load(value or "") or {}
            for key in file:
                _check_top_level(str(key), "")
            tree = merge(tree, file)
            continue
        dotted = name.lstrip("-").removesuffix("+")
        _check_top_level(dotted, name[: len(name) - len(name.lstrip("-"))])
        path = dotted.split(".")
        if path[0] in {"data", "model"} and len(path) > 1 and path[1] not in OF_A_CLASS:
            path.insert(1, "init_args")
        below: Any = value
        for part in reversed(path):
            below = {part: below}
        tree = merge(tree, below)
    return tree


def _check_top_level(dotted: str, dashes: str) -> None:
    first, _, rest = dotted.partition(".")
    if first in (*TOP_LEVEL, "print_config"):
        return
    known = [*MOST_USED, *SYNONYMS.values(), *TOP_LEVEL, *(ARGUMENTS if dashes else ())]
    found = nearest(dotted, known) or [".".join(filter(None, [name, rest])) for name in nearest(first, known)]
    if found:
        said = did_you_mean([f"--{name}" if dashes else name for name in dict.fromkeys(found)])
        raise TransferlabError(f"no key {f'{dashes}{dotted}'!r}{said}.")
