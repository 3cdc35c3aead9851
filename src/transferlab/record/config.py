"""How a run is named, and what its directory keeps."""

from dataclasses import dataclass

from transferlab.config.places import NAME, NAMES
from transferlab.ground.errors import TransferlabError


@dataclass(frozen=True)
class RunConfig:
    """How a run is named, and what its directory keeps.

    Attributes:
        experiment: Name of the experiment; the name of its file where empty.
        strategy: Name of the strategy in tables; the class name where empty.
        root: Folder that holds all runs.
        tags: Words to filter runs by.
        log_checkpoint: Give checkpoints to W&B as artifacts, those that its logger names.
        keep_last: Keep ``last.ckpt`` and ``previous.ckpt`` of a finished run, which the optimizer makes up to six times
            as large as ``best.ckpt``. Without them it cannot be trained for more epochs. Sweeps and searches set it
            false.
        test: Test the best checkpoint when training is complete; a search leaves that to its winner.
        checkpoint_every_steps: Optimizer steps between two writings of ``last.ckpt``, which a killed run resumes from;
            null: by time only. At the end of each epoch it is always written.
        checkpoint_every_minutes: Minutes between two writings; null: by steps only.
        start: Run whose best weights training starts from, of the same labels, encoder and strategy; null: from the
            pretrained weights and a new head. `transferlab update` sets it.
        accept_changed_base: Load a checkpoint though its base weights or its tokenizer are other ones by content; this
            is noted in the summary.
        accept_changed_data: Resume though the examples changed since the run was started; this is noted in the summary.
    """

    experiment: str = ""
    strategy: str = ""
    root: str = "runs"
    tags: tuple[str, ...] = ()
    log_checkpoint: bool = True
    keep_last: bool = True
    test: bool = True
    checkpoint_every_steps: int | None = None
    checkpoint_every_minutes: float | None = 10.0
    start: str | None = None
    accept_changed_base: bool = False
    accept_changed_data: bool = False

    def __post_init__(self) -> None:
        if self.experiment and not NAME.fullmatch(self.experiment):
            raise TransferlabError(f"run.experiment: {self.experiment!r} is no name; {NAMES}.")
        if not self.root:
            raise TransferlabError("run.root: name the folder that holds all runs, such as runs.")
        for key in ("checkpoint_every_steps", "checkpoint_every_minutes"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise TransferlabError(f"run.{key}: {value} is not above 0; leave it null for no such checkpoints.")
