"""What a job asks of Slurm: ``configs/cluster/<name>.yaml``, checked before anything is submitted."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from transferlab.config import shipped
from transferlab.ground.errors import TransferlabError, near

TIME = r"\d+(:[0-5]?\d(:[0-5]?\d)?)?|\d+-\d+(:[0-5]?\d(:[0-5]?\d)?)?"
MEMORY = r"\d+[KMGT]?"
OWN = {
    "--array": "SEEDS=5",
    "--chdir": "the folder that you submit from",
    "--error": "the run directory",
    "--output": "the run directory",
    "--requeue": "cluster.requeues_without_checkpoint",
    "--no-requeue": "cluster.requeues_without_checkpoint",
    "--signal": "cluster.signal_seconds",
    "--ntasks": "cluster.processes_per_node",
    "--ntasks-per-node": "cluster.processes_per_node",
    "--open-mode": "the run directory",
}
"""Options that jobs rely on, and what decides about each."""


@dataclass(frozen=True)
class Slurm:
    """What a job asks of Slurm.

    Attributes:
        partition: Where to queue; null: the site's default, as with the next three.
        account: Who pays.
        qos: Quality of service.
        constraint: Features that a node must have.
        nodes: Number of nodes.
        gpus_per_node: GPUs of each node.
        processes_per_node: Processes (ranks) on each node; null: one for each GPU, without GPUs one.
        cpus_per_process: Processor cores of a process, also for its data workers.
        memory: Memory of a node, ``32G``; null: the site's default.
        time: Time limit as Slurm writes it: ``minutes``, ``hours:minutes:seconds``, ``days-hours:minutes:seconds``.
        signal_seconds: Seconds before the time limit at which a run is told to save.
        requeues_without_checkpoint: Starts in a row that bring no new checkpoint; after one more the job fails.
        parallel: Array elements that run at the same time; null: no limit.
        offline: Whether the nodes are without internet.
        setup: Shell lines before the run.
        options: Further ``#SBATCH`` options.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    nodes: int = 1
    gpus_per_node: int = 0
    processes_per_node: int | None = None
    cpus_per_process: int = 4
    memory: str | None = None
    time: str = "24:00:00"
    signal_seconds: int = 60
    requeues_without_checkpoint: int = 3
    parallel: int | None = None
    offline: bool = True
    setup: tuple[str, ...] = ()
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, smallest in MINIMA.items():
            value = getattr(self, name)
            if value is not None and value < smallest:
                raise TransferlabError(f"cluster.{name}: {value} is below {smallest}.")
        for name in ("partition", "account", "qos", "constraint", "memory", "time"):
            value = getattr(self, name)
            if value is not None and re.search(r"\s", value):
                raise TransferlabError(f"cluster.{name}: {value!r} has a blank in it.")
        if not re.fullmatch(TIME, self.time) or self.seconds == 0:
            raise TransferlabError(
                f"cluster.time: {self.time!r} is no time limit; write minutes (90), hours:minutes:seconds (2:00:00) or "
                "days-hours:minutes:seconds (1-12:00:00)."
            )
        if self.seconds <= self.signal_seconds:
            raise TransferlabError(
                f"cluster.time: {self.time} is not longer than cluster.signal_seconds, {self.signal_seconds}: "
                "the run would be told to stop before it began."
            )
        if self.memory is not None and not re.fullmatch(MEMORY, self.memory):
            raise TransferlabError(f"cluster.memory: {self.memory!r} is no amount of memory such as 32G or 500M.")
        for option in self.options:
            self._check_option(option)

    @staticmethod
    def _check_option(option: str) -> None:
        name = option.partition("=")[0]
        if not option.startswith("--") or "\n" in option:
            raise TransferlabError(f"cluster.options: {option!r} must look like --mail-type=END.")
        if name in OWN:
            raise TransferlabError(f"cluster.options: {name} cannot be given here; {OWN[name]} decides about it.")

    @property
    def seconds(self) -> int:
        """The time limit in seconds."""
        days, dash, clock = self.time.rpartition("-")
        parts = [int(part) for part in clock.split(":")]
        # with days the first part is hours, without them a lone number and a pair begin with minutes
        units = (3600, 60, 1) if dash or len(parts) == 3 else (60, 1)
        return 86400 * int(days or 0) + sum(part * unit for part, unit in zip(parts, units, strict=False))

    @property
    def processes(self) -> int:
        """Processes on each node."""
        return self.processes_per_node or self.gpus_per_node or 1


MINIMA = {
    "nodes": 1,
    "gpus_per_node": 0,
    "processes_per_node": 1,
    "cpus_per_process": 1,
    "signal_seconds": 1,
    "requeues_without_checkpoint": 0,
    "parallel": 1,
}
KINDS: dict[str, Any] = get_type_hints(Slurm)


def read(path: Path, overrides: dict[str, Any] | None = None) -> Slurm:
    """Reads a cluster file and lays `overrides` over it.

    Args:
        path: The file, with everything under ``cluster:``.
        overrides: Values by key, as they were written.

    Raises:
        TransferlabError: No such file, no valid YAML, an unknown key, or a value that Slurm would refuse.
    """
    path = path if path.is_file() or path.is_absolute() else shipped.find(str(path)) or path
    if not path.is_file():
        names = [Path(other).name for other in shipped.listed("configs/cluster")]
        raise TransferlabError(f"no such file: {path}{near(path.stem, names)}. Give it as --cluster NAME.")
    try:
        # as it is written: YAML takes 2:00:00 for a number to the base of 60
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)
    except yaml.YAMLError as error:
        raise TransferlabError(f"{path} is not valid YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("cluster"), dict) or len(tree) != 1:
        raise TransferlabError(f"{path} must hold one mapping, `cluster:`.")
    return build({**tree["cluster"], **(overrides or {})})


def build(values: dict[str, Any]) -> Slurm:
    """Settings from values as they were written.

    Raises:
        TransferlabError: An unknown key, or a value that Slurm would refuse.
    """
    for key in values:
        if key not in KINDS:
            raise TransferlabError(f"no key 'cluster.{key}'{near(key, list(KINDS))}. Known: {', '.join(KINDS)}.")
    return Slurm(**{key: _convert(key, value) for key, value in values.items()})


def _convert(key: str, value: Any) -> Any:
    kind = KINDS[key]
    optional = type(None) in get_args(kind)
    if kind == tuple[str, ...]:
        lines = value if isinstance(value, list | tuple) else [value] if value not in {"", "null", "[]"} else []
        return tuple(map(str, lines))
    if not isinstance(value, str | int | None):
        raise TransferlabError(f"cluster.{key}: {value!r} is not a single value.")
    if value is None or value in {"null", "~", ""}:
        if optional:
            return None
        raise TransferlabError(f"cluster.{key} must have a value.")
    if kind is bool:
        if str(value).lower() not in {"true", "false"}:
            raise TransferlabError(f"cluster.{key}: {value!r} is neither true nor false.")
        return str(value).lower() == "true"
    if int in (kind, *get_args(kind)):
        if not re.fullmatch(r"-?\d+", str(value)):
            raise TransferlabError(f"cluster.{key}: {value!r} is not a whole number.")
        return int(value)
    return str(value)
