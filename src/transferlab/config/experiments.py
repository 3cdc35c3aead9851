"""Experiments by name: the files of ``experiments/``, and every ``<strategy>_<task>`` without a file."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from transferlab.config import shipped, trees
from transferlab.config.renamed import as_meant
from transferlab.config.trees import Tree
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError, near

OPTIONS = {
    "--task": "sst2",
    "--encoder": "bert_base",
    "--strategy": "lora",
    "--trainer": "ddp",
    "--logger": "tensorboard",
}
"""Options that put another base in the place of an experiment's, each with an example."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab list``.

    Raises:
        TransferlabError: No such folder, or a wrong option.
    """
    parser = Parser("transferlab list", description="Experiments with one line each.")
    parser.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="a folder of experiments; all without")
    folder: Path | None = parser.parse_args(arguments).folder
    if folder is not None and not folder.is_dir():
        siblings = [other.name for other in folder.absolute().parent.glob("*") if other.is_dir()]
        raise TransferlabError(f"no such folder: {folder}{near(folder.name, siblings)}.")
    found = shipped.listed("experiments") if folder is None else files(folder)
    described = {name: trees.describe(path) for name, path in found.items()}
    width = max(map(len, described), default=0)
    for name, line in described.items():
        print(f"{name:<{width}}  {line}".rstrip())
    _print_composable(None if folder is None else _root_of(folder))


def _root_of(folder: Path) -> Path:
    """The nearest folder above that holds ``configs/``; else the working directory."""
    return next((parent for parent in folder.absolute().parents if (parent / "configs").is_dir()), Path.cwd())


def _print_composable(root: Path | None) -> None:
    if not (strategies(root) and tasks(root)):
        return
    print("\nAny strategy on any task runs without a file: transferlab fit --experiment STRATEGY_TASK")
    print(f"  strategies: {' '.join(strategies(root))}")
    print(f"  tasks:      {' '.join(tasks(root))}")


def files(folder: Path) -> dict[str, Path]:
    """The experiment files of a folder by name; those of subfolders are called ``subfolder/name``."""
    return {str(path.relative_to(folder).with_suffix("")): path for path in sorted(folder.rglob("*.yaml"))}


def strategies(root: Path | None = None) -> list[str]:
    """Names of the strategies under ``configs/strategy``, the user's and the shipped ones."""
    return list(shipped.listed("configs/strategy", root))


def tasks(root: Path | None = None) -> list[str]:
    """Names of the tasks under ``configs/task``, the user's and the shipped ones."""
    return list(shipped.listed("configs/task", root))


def names(root: Path | None = None) -> list[str]:
    """All experiments: files, then every strategy with every task."""
    files_ = shipped.listed("experiments", root)
    return list(dict.fromkeys([*files_, *(f"{strategy}_{task}" for strategy, task in pairs(root))]))


def pairs(root: Path | None = None) -> Iterator[tuple[str, str]]:
    """Every strategy with every task; such a pair is the experiment ``<strategy>_<task>``."""
    return itertools.product(strategies(root), tasks(root))


def resolve(name: str, root: Path | None = None) -> Path | None:
    """The file ``experiments/<name>.yaml``, or None where the name is composed of a strategy and a task.

    Args:
        name: Name of the experiment.
        root: Folder with the user's ``experiments/`` and ``configs/``; the working directory where None.

    Raises:
        TransferlabError: Neither a file nor a composed name; lists near matches among both.
    """
    known = shipped.listed("experiments", root)
    if name in known:
        return known[name]
    if name in [f"{strategy}_{task}" for strategy, task in pairs(root)]:
        return None
    hint = near(Path(name).stem, names(root))
    raise TransferlabError(f"no experiment {name!r}{hint}. `transferlab list` shows all names.")


def no_task(task: str, known: Sequence[str]) -> str:
    """What to say of a task that is not in the table, with near matches."""
    return (
        f"data.task: no task named {task!r}{near(task, list(known))}. Known tasks: {', '.join(known)}. "
        "For data of your own set data.source as well (see docs/own_data.md)."
    )


def bases(name: str, root: Path | None = None, chosen: Mapping[str, str] | None = None) -> list[str]:
    """The bases of a composed experiment, in their order; the last one is its recipe where there is one.

    A recipe is ``configs/recipe/<strategy>_<task>.yaml``, else ``configs/recipe/<task>.yaml``.

    Args:
        name: ``<strategy>_<task>``.
        root: Folder with the user's ``configs/``; the working directory where None.
        chosen: Kind of a base to the one that takes its place.
    """
    strategy, task = next(pair for pair in pairs(root) if "_".join(pair) == name)
    parts = {"trainer": "auto", "logger": "wandb", "task": task, "encoder": "minilm_l6", "strategy": strategy}
    parts |= chosen or {}
    pair, task = f"{parts['strategy']}_{parts['task']}", parts["task"]
    recipes = (base for base in (f"recipe/{pair}", f"recipe/{task}") if shipped.find(f"configs/{base}.yaml", root))
    return [*(f"{kind}/{part}" for kind, part in parts.items()), *list(recipes)[:1]]


def compose(name: str, root: Path | None = None, chosen: Mapping[str, str] | None = None) -> Tree:
    """The whole tree of an experiment with all bases laid over one another, and ``run.experiment`` filled in.

    Args:
        name: Name of a file in ``experiments/`` or ``<strategy>_<task>``.
        root: Folder with the user's ``experiments/`` and ``configs/``; the working directory where None.
        chosen: Kind of a base to the one that takes its place, such as ``encoder`` to ``bert_base``.

    Raises:
        TransferlabError: Unknown name, or a file that cannot be expanded.
    """
    path = resolve(name, root)
    if path is not None:
        return of_file(path, root, chosen)
    tree: Tree = {}
    for base in bases(name, root, chosen):
        tree = trees.merge(tree, trees.of_base(config_file(base, root), chosen))
    return _named(tree, name, root)


def of_file(path: Path, root: Path | None = None, chosen: Mapping[str, str] | None = None) -> Tree:
    """The tree of an experiment file laid over its bases, with ``run.experiment`` and the task's name filled in.

    Args:
        path: The file.
        root: Folder with the user's ``configs/``; the working directory where None.
        chosen: Kind of a base to the one that takes its place.

    Raises:
        TransferlabError: The file cannot be expanded.
    """
    tree = trees.expand(path, chosen)
    if (path.parent / "summary.json").is_file():
        tree = as_meant(tree)
    return _named(tree, path.stem, root)


def _named(tree: Tree, name: str, root: Path | None) -> Tree:
    run = tree.setdefault("run", {})
    if isinstance(run, dict):
        run.setdefault("experiment", Path(name).name)
    data = tree.get("data")
    settings = data.get("init_args") if isinstance(data, dict) else None
    if isinstance(settings, dict) and isinstance(settings.get("source"), dict):
        path, config = settings["source"].get("path"), settings["source"].get("config")
        settings.setdefault("task", name_of_data(path, config) if path else _task_of(Path(name).name, root))
    return tree


def take_choices(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Takes ``--encoder NAME``, ``--task NAME`` and their like out of a command line.

    A value that is a mapping or a file is left to the parser. ``--trainer.logger CSVLogger`` is ``--logger csv``.

    Returns:
        Kind of a base to the name of the one that is to take its place, and what is left of the command line.

    Raises:
        TransferlabError: No such config; names the nearest.
    """
    chosen: dict[str, str] = {}
    rest: list[str] = []
    given = iter(_loggers_by_name(arguments))
    for argument in given:
        option, sign, value = argument.partition("=")
        kind = option.removeprefix("--")
        if option not in OPTIONS or (sign and _is_value(value) and kind != "logger"):
            rest.append(argument)
            continue
        value = value if sign else next(given, "")
        if not value or value.startswith("--"):
            raise TransferlabError(f"{option} needs a NAME behind it, such as {option} {OPTIONS[option]}.")
        if kind == "logger" and value in {"null", "false"}:
            value = "none"
        if _is_value(value):
            rest += [option, value]
            continue
        config_file(f"{kind}/{value}")
        chosen[kind] = value
    return chosen, rest


def _loggers_by_name(arguments: Sequence[str]) -> list[str]:
    words, known = list(arguments), shipped.listed("configs/logger")
    if not {"--experiment", "--config", "-c"} & {word.partition("=")[0] for word in words}:
        return words
    for place, word in enumerate(words):
        option, sign, value = word.partition("=")
        value = value if sign else "".join(words[place + 1 : place + 2])
        name = value.removeprefix("lightning.pytorch.loggers.").lower().removesuffix("logger")
        if option == "--trainer.logger" and name in known:
            words[place : place + (1 if sign else 2)] = [f"--logger={name}"]
    return words


def _is_value(text: str) -> bool:
    return text.startswith(("{", "[")) or text in {"null", "true", "false"} or Path(text).is_file()


def config_file(name: str, root: Path | None = None) -> Path:
    """The file of a config such as ``encoder/minilm_l6``.

    Raises:
        TransferlabError: No such config; names the nearest.
    """
    if found := shipped.find(f"configs/{name}.yaml", root):
        return found
    known = list(shipped.listed("configs", root))
    kind = name.partition("/")[0]
    alike = [other for other in known if other.startswith(f"{kind}/")] or known
    raise TransferlabError(f"no config {name!r}{near(name, alike)}. `transferlab configs` lists all.")


def name_of_data(path: str, config: str | None = None) -> str:
    """What a data set is called: the last part of its path, and its configuration."""
    return "_".join(filter(None, (str(path).rstrip("/").rsplit("/", 1)[-1], config)))


def _task_of(name: str, root: Path | None) -> str:
    """The task in the name of an experiment: what stands behind the strategy, so that strategies share the name."""
    longest_first = sorted(strategies(root), key=len, reverse=True)
    found = (name.removeprefix(f"{strategy}_") for strategy in longest_first if name.startswith(f"{strategy}_"))
    return next(found, name)
