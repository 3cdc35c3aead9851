"""No transfer: the same architecture with random weights."""

from dataclasses import replace

from lightning.pytorch.cli import OptimizerCallable

from transferlab.encoders import EncoderConfig
from transferlab.encoders.static import refuse_vectors
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.optim import Schedule, adamw_3e4
from transferlab.learning.steady import Steady
from transferlab.strategies.base import Strategy
from transferlab.tasks import TaskSpec


class FromScratch(Strategy):
    """Trains the architecture of the encoder from random weights: what transfer must beat.

    Args:
        task: Facts about the task; linked from the data.
        encoder: The architecture; linked from the top-level key.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        loss: For classes of unequal size, see `transferlab.strategies.base.Strategy`.
        steady: Regularisers, see `transferlab.learning.steady.Steady`.
    """

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = HeadConfig(),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_3e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        loss: LossForm | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        if encoder.architecture == "bilstm":
            # from scratch means without vectors that others have trained
            refuse_vectors(encoder)
        if encoder.architecture == "pretrained":
            encoder = replace(encoder, architecture="random")
        super().__init__(task, encoder, head, optimizer, schedule, loss, steady)

    @property
    def cannot_be_sharded(self) -> str:
        """Nothing stands against it."""
        return ""
