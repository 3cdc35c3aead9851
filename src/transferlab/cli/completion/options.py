"""The options of each command, and what can stand behind them."""

import contextlib
import itertools
from argparse import Action
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from transferlab.cli import commands as table
from transferlab.cli.expansion import expand_arguments
from transferlab.cli.keys import catalog as catalogs
from transferlab.cli.keys.catalog import Catalog, Key
from transferlab.cli.keys.check import Checker, is_option
from transferlab.cli.keys.check import options as pairs
from transferlab.cli.keys.nearest import SYNONYMS
from transferlab.cli.keys.words import choices
from transferlab.cli.pages import MOST_USED, SECTIONS
from transferlab.config import experiments, grids, shipped, trees
from transferlab.ground.arguments import parser_of
from transferlab.ground.errors import TransferlabError


class Candidate(NamedTuple):
    """A word that can stand next, and what it is."""

    word: str
    text: str = ""


FILES = Candidate(":files")
"""Stands for the names of files, which the shell knows best."""
Values = Callable[[], Iterable[Candidate]]
WORDS = {"trainer.accelerator": ("auto", "cpu", "gpu", "mps"), "trainer.strategy": ("auto", "ddp", "fsdp")}
"""What is usual where the Trainer takes any text, or an object that nobody writes."""


class Option(NamedTuple):
    """An option.

    Attributes:
        text: What it means.
        values: What can stand behind it; None where nothing does.
        many: Whether several words can.
    """

    text: str
    values: Values | None
    many: bool = False


# names ----------------------------------------------------------------------------------------------------------------


def commands() -> Iterator[Candidate]:
    """All commands, and what can stand in their place."""
    for command in table.COMMANDS.values():
        yield Candidate(command.name, command.text)
    yield Candidate("help", "what a command takes")
    yield Candidate("--help", "all commands")
    yield Candidate("--version", "the releases")


def names_of_experiments() -> Iterator[Candidate]:
    """Files of experiments, then every strategy with every task."""
    files = shipped.listed("experiments")
    for name in experiments.names():
        yield Candidate(name, trees.describe(files[name]) if name in files else "composed")


def configs(kind: str) -> Values:
    """Configs of a kind, such as ``encoder``; empty for all, experiments among them."""

    def listed() -> Iterator[Candidate]:
        for name, path in shipped.listed(f"configs/{kind}" if kind else "configs").items():
            yield Candidate(name, trees.describe(path))
        for name, path in () if kind else shipped.listed("experiments").items():
            yield Candidate(f"experiments/{name}", trees.describe(path))

    return listed


def runs(before: Sequence[str] = ()) -> Values:
    """Experiments that have runs, and the IDs of these, newest first; of another folder after ``--root``."""
    given = (Path(after) for word, after in itertools.pairwise(before) if word == "--root")
    root = next(given, Path("runs"))

    def listed() -> Iterator[Candidate]:
        found = sorted((path.parent for path in root.glob("*/*/summary.json")), key=_changed, reverse=True)
        for name in dict.fromkeys(path.parent.name for path in found):
            yield Candidate(name, "its newest run")
        for path in found:
            yield Candidate(path.name, f"run of {path.parent.name}")

    return listed


def _changed(run: Path) -> float:
    return (run / "summary.json").stat().st_mtime


def _claims() -> Iterator[Candidate]:
    from transferlab.analysis.claims.table import CLAIMS

    return (Candidate(claim.name) for claim in CLAIMS)


def plain(words: Iterable[str]) -> Values:
    """Words without a text."""
    found = [Candidate(word) for word in words]
    return lambda: found


def files() -> list[Candidate]:
    """Leaves it to the shell."""
    return [FILES]


# commands -------------------------------------------------------------------------------------------------------------


def of(command: str, before: Sequence[str]) -> dict[str, Option]:
    """The options of a command, dashes included.

    Args:
        command: Its name.
        before: What stands behind it so far; it decides which keys there are.
    """
    known = table.COMMANDS[command]
    found = {"--help": Option("what can be given", None), "--debug": Option("a mistake shows the traceback", None)}
    found["--trust"] = Option("a run may name code of its own", None)
    if known.keys or command in {"seeds", "submit"}:
        found |= _keyed(command, before)
    if _has_parser(command):
        found |= {
            option: Option(action.help or "", _of(command, before, action), _many(action))
            for action in _actions(command)
            for option in action.option_strings
            if option.startswith("--") and option != "--help"
        }
    return found


def alone(command: str, before: Sequence[str], place: int) -> Iterable[Candidate]:
    """What can stand on its own, behind so many other words of that kind."""
    if not _has_parser(command):
        return ()
    actions = [action for action in _actions(command) if not action.option_strings]
    if actions and place >= len(actions) and _many(actions[-1]):
        place = len(actions) - 1
    values = _of(command, before, actions[place]) if place < len(actions) else None
    return values() if values else ()


def _has_parser(command: str) -> bool:
    return command == "predict" or bool(table.COMMANDS[command].target and not table.COMMANDS[command].keys)


def _actions(command: str) -> list[Action]:
    if command == "predict":
        # keys of the run where splits of its data set are predicted, options of its own where a file is
        return list(import_module("transferlab.use.prediction.options").parser().actions)
    module, _, function = table.COMMANDS[command].target.partition(":")
    return parser_of(getattr(import_module(module), function)).actions


def _many(action: Action) -> bool:
    return action.nargs in {"+", "*"}


def _of(command: str, before: Sequence[str], action: Action) -> Values | None:
    """What an argument takes, by its name, which means the same with every command; None for a flag."""
    if action.nargs == 0:
        return None
    if action.choices:
        return plain(map(str, action.choices))
    by_place: dict[tuple[str, str], Values] = {
        ("sweep", "file"): configs("sweep"),
        ("search", "file"): configs("search"),
        ("pretrain", "file"): configs("pretrain"),
        ("multitask", "file"): configs("multitask"),
        ("sequence", "file"): configs("multitask"),
        ("seeds", "name"): names_of_experiments,
        ("configs", "name"): configs(""),
        ("predict", "input"): files,
        ("explain", "input"): files,
        ("inspect", "what"): lambda: [*configs("task")(), *names_of_experiments()],
        ("demo", "task"): plain(task for task in experiments.tasks() if task.startswith("demo_")),
        ("claims", "claim"): _claims,
    }
    by_name: dict[str, Values] = {
        "cluster": configs("cluster"),
        "config": files,
        "experiment": names_of_experiments,
        "probe": configs("task"),
        "reference": configs("strategy"),
        "resume": runs(before),
        "run": runs(before),
        "runs": runs(before),
        "strategy": configs("strategy"),
        "task": configs("task"),
    }
    if found := by_place.get((command, action.dest)) or by_name.get(action.dest):
        return found
    return files if action.type is Path or action.dest in {"root", "output"} else plain(())


# keys -----------------------------------------------------------------------------------------------------------------


def _keyed(command: str, before: Sequence[str]) -> dict[str, Option]:
    """The options of the commands that take the keys of an experiment, and these keys."""
    known = catalogs.load()
    if command == "seeds":
        return _keys(command, before, known)
    starts = command not in {"validate", "test", "predict"}
    found: dict[str, Option] = {}
    if starts:
        found["--experiment"] = Option("a file of experiments/ or STRATEGY_TASK", names_of_experiments)
    found["--config"] = found["-c"] = Option("an experiment file", files)
    if command in {"fit", "submit"}:
        found["--resume"] = Option("continue a run", runs(before))
    if not starts:
        found["--run"] = Option("the run", runs(before))
    for option in experiments.OPTIONS if starts else ():
        kind = option.removeprefix("--")
        found[option] = Option(f"another {kind} than the experiment's", configs(kind))
    if command == "baseline":
        found["--method"] = Option("one method only", plain(("all", *grids.METHODS, "vectors")))
        found["--vectors"] = Option("word vectors of that method", files)
    if table.COMMANDS[command].keys:
        found["--help"] = Option("what can be given; SECTION: all its keys", _topics(known))
    if command in table.TRAINING:
        found["--print_config"] = Option("show the configuration instead", None)
    return {**_keys(command, before, known), **found}


def _topics(known: Catalog | None) -> Values:
    topics = [Candidate(name, text) for name, text in SECTIONS.items()]
    topics += [Candidate(kind.name, kind.text) for kind in known.kinds.values()] if known else []
    return lambda: topics


def _keys(command: str, before: Sequence[str], known: Catalog | None) -> dict[str, Option]:
    if known is None:
        names = [*MOST_USED, *(f"{section}." for section in SECTIONS), *sorted(set(SYNONYMS.values()))]
        return {f"--{name}": Option(MOST_USED.get(name, ""), plain(())) for name in names if _reads(command, name)}
    trains = command if command in table.TRAINING else "fit"
    checker = Checker(known, trains)
    with contextlib.suppress(TransferlabError, OSError):
        for name, value in _complete(trains, before):
            with contextlib.suppress(TransferlabError):
                checker.line([name] if value is None else [f"{name}={value}"])
    return {
        f"--{name}": Option(key.text, _values_of(known, name, key))
        for name, key in checker.options().items()
        if _reads(command, name)
    }


def _reads(command: str, name: str) -> bool:
    """Whether a command reads a key."""
    if command == "baseline":
        return name.startswith("data.") or name in {"seed_everything", "run.root", "run.tags"}
    return command != "seeds" or "." in name


def _complete(command: str, before: Sequence[str]) -> list[tuple[str, str | None]]:
    """The options that have their values already, files read."""
    # an option at the end waits for the word under the cursor
    words = list(before[:-1] if before and is_option(before[-1]) and "=" not in before[-1] else before)
    with contextlib.suppress(TransferlabError):
        return list(pairs(expand_arguments([command, *words])[1:]))
    return []


def _values_of(known: Catalog, name: str, key: Key) -> Values:
    if name == "data.task":
        return plain(known.tasks)
    if name == "ckpt_path" or name.startswith("data.source.files"):
        return files
    if name in WORDS:
        return plain(WORDS[name])
    kinds = [Candidate(kind.name, kind.text) for kind in known.behind(key)]
    return lambda: [*kinds, *(Candidate(word) for word in choices(key.schema))]
