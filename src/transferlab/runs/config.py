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
        log_checkpoint: Give the best checkpoint to W&B as an artifact.
    """

    experiment: str = ""
    strategy: str = ""
    root: str = "runs"
    tags: tuple[str, ...] = ()
    log_checkpoint: bool = True
