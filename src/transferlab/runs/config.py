"""How a run is named and kept."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RunConfig:
    """How a run is named and kept.

    Attributes:
        experiment: Name of the experiment; the name of its file where empty.
        strategy: Name of the strategy in tables; the class name where empty.
        root: Folder that holds all runs.
        tags: Words to filter runs by.
    """

    experiment: str = ""
    strategy: str = ""
    root: str = "runs"
    tags: tuple[str, ...] = ()
