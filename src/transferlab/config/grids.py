"""What a sweep file says."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from transferlab.config import experiments, shipped, trees
from transferlab.config.places import NAME, NAMES
from transferlab.ground.errors import TransferlabError, near

Overrides = dict[str, Any]
"""Dotted keys of an experiment and their values."""

OF_TEXTS = ("copy", "lead_1", "lead_3", "most_frequent_target", "nearest_target")
METHODS = ("majority", "tfidf", "nbsvm", "token_majority", "word_overlap", "no_answer", *OF_TEXTS)
"""Methods of ``transferlab baseline`` that need no file, by name only: to import them takes long."""
ALL = "all"
FOLDERS = {"sweep": "configs/sweep", "search": "configs/search"}


@dataclass(frozen=True)
class Sweep:
    """A grid of runs: every combination of what its lists name.

    Attributes:
        name: Name of the file; the folders of its runs begin with it.
        tasks: Files of ``configs/task``.
        strategies: Files of ``configs/strategy``.
        experiments: Further experiments by name, beside tasks x strategies.
        encoders: Files of ``configs/encoder``; the experiments keep their own.
        baselines: Methods without an encoder, run on every task.
        seeds: Their number (5 means 0 to 4), or a list.
        folds: Number of folds of a cross-validation, each of which is a run for each seed; None without.
        train_examples: Numbers of training examples; ``all`` for all of them.
        train_fraction: Parts of the training examples, instead of numbers.
        set: Keys of all runs; baselines take those under ``data`` only.
        set_for: Keys of the runs of one task, encoder, strategy, baseline, experiment or number of training examples.
            Later ones in this order win.
    """

    name: str
    tasks: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ()
    experiments: tuple[str, ...] = ()
    encoders: tuple[str, ...] = ("minilm_l6",)
    baselines: tuple[str, ...] = ()
    seeds: tuple[int, ...] = (0,)
    folds: int | None = None
    train_examples: tuple[int | str, ...] = ()
    train_fraction: tuple[float | str, ...] = ()
    set: Overrides = field(default_factory=dict)
    set_for: dict[str, Overrides] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[tuple[str, int | float | str], ...]:
        """Key and value of each number or part of training examples; ``("", "all")`` where the file names none."""
        if self.train_examples:
            return tuple(("train_examples", value) for value in self.train_examples)
        if self.train_fraction:
            return tuple(("train_fraction", value) for value in self.train_fraction)
        return (("", ALL),)


KEYS = [item.name for item in fields(Sweep) if item.name != "name"]
LISTS = ("tasks", "strategies", "experiments", "encoders", "baselines")


def find(name: str, kind: str = "sweep", root: Path | None = None) -> Path:
    """The file of a sweep or of a search: a path, or a name in ``configs/sweep/`` or ``configs/search/``.

    Raises:
        TransferlabError: No such file.
    """
    is_path = name.endswith((".yaml", ".yml")) or "/" in name
    path = Path(name) if is_path else shipped.find(f"{FOLDERS[kind]}/{name}.yaml", root)
    if path is None or not path.is_file():
        known = list(shipped.listed(FOLDERS[kind], root))
        listed = f" Known: {', '.join(known)}." if known else ""
        raise TransferlabError(f"no {kind} {name!r}{near(Path(name).stem, known)}.{listed}")
    return path


def read(path: Path, root: Path | None = None) -> Sweep:
    """Reads and checks a sweep file.

    Args:
        path: The file.
        root: Folder that holds ``configs/`` and ``experiments/``; the working directory where None.

    Raises:
        TransferlabError: A wrong key or value; names the nearest right one.
    """
    return parse(trees.read_yaml(path), path.stem, str(path), root)


def parse(tree: dict[str, Any], name: str, origin: str, root: Path | None = None) -> Sweep:
    """Checks what a sweep file holds; see `read`.

    Raises:
        TransferlabError: Names the file, the key and what is wrong with it.
    """
    if not NAME.fullmatch(name):
        raise TransferlabError(f"{origin}: {name!r} is no name of a sweep; {NAMES}.")
    for key in tree:
        if key not in KEYS:
            raise TransferlabError(f"{origin}: no key {key!r}{near(str(key), KEYS)}. Known: {', '.join(KEYS)}.")
    known = {
        "tasks": experiments.tasks(root),
        "strategies": experiments.strategies(root),
        "experiments": experiments.names(root),
        "encoders": list(shipped.listed("configs/encoder", root)),
        "baselines": list(METHODS),
    }
    lists = {key: _names(tree[key], key, known[key], origin) for key in LISTS if key in tree}
    if not (lists.get("experiments") or (lists.get("tasks") and (lists.get("strategies") or lists.get("baselines")))):
        raise TransferlabError(f"{origin}: nothing to run; give tasks and strategies, or experiments.")
    if lists.get("baselines") and not lists.get("tasks"):
        raise TransferlabError(f"{origin}: baselines: these need tasks.")
    if "train_examples" in tree and "train_fraction" in tree:
        raise TransferlabError(f"{origin}: train_examples and train_fraction exclude each other; give one of them.")
    sweep = Sweep(
        name,
        seeds=_seeds(tree.get("seeds", 1), origin),
        folds=_folds(tree.get("folds"), origin),
        train_examples=_sizes(tree.get("train_examples", ()), "train_examples", origin),
        train_fraction=_sizes(tree.get("train_fraction", ()), "train_fraction", origin),
        set=_overrides(tree.get("set"), f"{origin}: set"),
        set_for={str(key): _overrides(value, f"{origin}: set_for.{key}") for key, value in _for(tree, origin).items()},
        **lists,
    )
    _check_names(sweep, origin)
    return sweep


def _names(value: Any, key: str, known: list[str], origin: str) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names:
        raise TransferlabError(f"{origin}: {key} must be a list such as [{', '.join(known[:2])}], not {value!r}.")
    for name in names:
        if name not in known:
            listed = "`transferlab list` shows all" if key == "experiments" else f"Known: {', '.join(known)}"
            raise TransferlabError(f"{origin}: {key}: no {name!r}{near(str(name), known)}. {listed}.")
    if len(set(names)) < len(names):
        raise TransferlabError(f"{origin}: {key}: a name stands there twice: {', '.join(names)}.")
    return tuple(names)


def _seeds(value: Any, origin: str) -> tuple[int, ...]:
    seeds = list(range(value)) if isinstance(value, int) and not isinstance(value, bool) else value
    right = isinstance(seeds, list) and all(isinstance(s, int) and not isinstance(s, bool) and s >= 0 for s in seeds)
    if not right or not seeds or len(set(seeds)) < len(seeds):
        raise TransferlabError(f"{origin}: seeds must be a number (5 means 0 to 4) or a list of seeds, not {value!r}.")
    return tuple(seeds)


def _folds(value: Any, origin: str) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 2):
        raise TransferlabError(f"{origin}: folds must be a number of folds, 2 or more, not {value!r}.")
    return value


def _sizes(value: Any, key: str, origin: str) -> tuple[Any, ...]:
    sizes = value if isinstance(value, list | tuple) else [value]
    whole = key == "train_examples"
    for size in sizes:
        number = isinstance(size, int if whole else int | float) and not isinstance(size, bool)
        if not (size == ALL or (number and (size >= 2 if whole else 0 < size <= 1))):
            wanted = "a number of examples (2 or more)" if whole else "a part of the examples in (0, 1]"
            raise TransferlabError(f"{origin}: {key}: {size!r} is not {wanted}, nor `all`.")
    if len(set(sizes)) < len(sizes):
        raise TransferlabError(f"{origin}: {key}: a number stands there twice: {', '.join(map(str, sizes))}.")
    return tuple(sizes)


def _for(tree: dict[str, Any], origin: str) -> dict[Any, Any]:
    value = tree.get("set_for") or {}
    if not isinstance(value, dict):
        raise TransferlabError(f"{origin}: set_for must map a name to keys, as in lora: {{trainer.max_epochs: 5}}.")
    return value


def _overrides(value: Any, where: str) -> Overrides:
    if value is not None and not isinstance(value, dict):
        raise TransferlabError(f"{where} must hold `key: value` pairs such as trainer.max_epochs: 3, not {value!r}.")
    return flat(value or {})


def flat(tree: dict[str, Any], prefix: str = "") -> Overrides:
    """Nested keys as dotted ones; what belongs to a ``class_path`` stays together."""
    found: Overrides = {}
    for key, value in tree.items():
        nested = isinstance(value, dict) and value and "class_path" not in value
        found |= flat(value, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def _check_names(sweep: Sweep, origin: str) -> None:
    pairs = [f"{strategy}_{task}" for strategy in sweep.strategies for task in sweep.tasks]
    sizes = [str(size) for _, size in sweep.sizes]
    names = [*sweep.tasks, *sweep.encoders, *sweep.strategies, *sweep.baselines, *pairs, *sweep.experiments, *sizes]
    for name in sweep.set_for:
        if name not in names:
            raise TransferlabError(
                f"{origin}: set_for: {name!r} is no task, encoder, strategy, baseline, experiment or number of "
                f"training examples of this sweep{near(name, names)}."
            )
