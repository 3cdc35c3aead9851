"""What a search file says."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from transferlab.config import experiments, trees
from transferlab.config.grids import Overrides, flat
from transferlab.ground.errors import TransferlabError, near

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "halving", "none")


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, both included.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        log: Drawn by their logarithm.
        step: Distance of the numbers that are drawn; None for any.
    """

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether only integers are drawn."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Dimension = Range | tuple[Any, ...]
"""A range, or a list of choices."""


@dataclass(frozen=True)
class Search:
    """A search over keys of an experiment.

    Attributes:
        name: Name of the file, the study, and the beginning of the run directories.
        experiment: What is trained, by name.
        space: Dotted keys, and what is tried for them.
        set: Keys of all trials.
        trials: How many, over all starts and processes; a grid has its own number.
        sampler: ``tpe`` (Bergstra et al. 2011), ``random`` or ``grid``.
        pruner: ``median``: stop a trial whose best epoch so far is below the median of the others at that epoch;
            ``halving`` (Li et al. 2020); ``none``.
        startup: Trials before the first is pruned, and before TPE takes over from drawing at random.
        seed: Seed of the sampler; that of the runs is ``seed_everything`` of the experiment.
    """

    name: str
    experiment: str
    space: dict[str, Dimension]
    set: Overrides = field(default_factory=dict)
    trials: int = 20
    sampler: str = "tpe"
    pruner: str = "median"
    startup: int = 5
    seed: int = 0


KEYS = [item.name for item in fields(Search) if item.name != "name"]


def read(path: Path, root: Path | None = None) -> Search:
    """Reads and checks a search file.

    Raises:
        TransferlabError: A wrong key or value; names the nearest right one.
    """
    tree = trees.read_yaml(path)
    for key in tree:
        if key not in KEYS:
            raise TransferlabError(f"{path}: no key {key!r}{near(str(key), KEYS)}. Known: {', '.join(KEYS)}.")
    for key in ("experiment", "space"):
        if not tree.get(key):
            raise TransferlabError(f"{path}: {key} is missing.")
    for key in ("space", "set"):
        if not isinstance(tree.get(key, {}), dict):
            raise TransferlabError(f"{path}: {key} must hold `key: value` pairs, not {tree[key]!r}.")
    experiments.resolve(str(tree["experiment"]), root)
    _check_plain(tree, path)
    space = {str(key): _dimension(value, f"{path}: space.{key}") for key, value in tree["space"].items()}
    search = Search(**{**tree, "name": path.stem, "space": space, "set": flat(tree.get("set") or {})})
    if both := sorted(space.keys() & search.set.keys()):
        raise TransferlabError(f"{path}: {', '.join(both)} cannot be in `space` and in `set`; leave one of them out.")
    endless = [key for key, known in space.items() if isinstance(known, Range) and known.step is None]
    if search.sampler == "grid" and endless:
        raise TransferlabError(f"{path}: a grid needs a list or a step for {', '.join(endless)}.")
    return search


def _check_plain(tree: trees.Tree, path: Path) -> None:
    for key, known in (("sampler", SAMPLERS), ("pruner", PRUNERS)):
        value = str(tree.get(key, known[0]))
        if value not in known:
            raise TransferlabError(f"{path}: {key}: no {value!r}{near(value, known)}. Known: {', '.join(known)}.")
    for key, least in (("trials", 1), ("startup", 1), ("seed", 0)):
        number = tree.get(key, least)
        if not isinstance(number, int) or isinstance(number, bool) or number < least:
            raise TransferlabError(f"{path}: {key}: {number!r} is not an integer from {least} on.")


def text(values: dict[str, Any]) -> str:
    """The values of a trial on one line."""
    shown = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in values.items()}
    return ", ".join(f"{key} {value}" for key, value in shown.items())


def _dimension(value: Any, where: str) -> Dimension:
    if isinstance(value, list):
        if len(value) < 2 or any(isinstance(choice, list | dict) for choice in value):
            raise TransferlabError(f"{where}: a list needs two or more plain values, not {value!r}.")
        return tuple(value)
    known = [item.name for item in fields(Range)]
    if not isinstance(value, dict) or not {"low", "high"} <= value.keys():
        raise TransferlabError(f"{where} must be a list such as [4, 8], or {{low: 1.0e-4, high: 1.0e-2, log: true}}.")
    for key in value:
        if key not in known:
            raise TransferlabError(f"{where}: no key {key!r}{near(str(key), known)}. Known: {', '.join(known)}.")
    found = Range(**value)
    for key in ("low", "high", "step"):
        number = getattr(found, key)
        if number is not None and (isinstance(number, bool) or not isinstance(number, int | float)):
            # YAML reads 1e-3 as a text: a number with an exponent needs a point
            raise TransferlabError(f"{where}.{key}: {number!r} is not a number; write 1.0e-3 for a thousandth.")
    if found.low >= found.high or (found.log and found.low <= 0) or (found.log and found.step is not None):
        raise TransferlabError(
            f"{where}: low must be below high, with log above 0, and log and step exclude each other."
        )
    return found
