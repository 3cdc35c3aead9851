"""Feature extraction: the encoder is frozen, only the head learns."""

from typing import Any

from lightning.pytorch.cli import OptimizerCallable

from transferlab.encoders import EncoderConfig
from transferlab.learning.cache import Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.optim import Schedule, adamw_1e3
from transferlab.strategies import frozen
from transferlab.strategies.base import Strategy
from transferlab.tasks import TaskDataModule, TaskSpec
from transferlab.tasks.batch import EncodedSplit


class FeatureExtraction(Strategy):
    """Trains a head on the output of a frozen encoder in evaluation mode.

    The features are computed once, in the precision of the Trainer, and kept on disk, unless they change during
    training (a learned layer mix) or take too much room (`cache.limit_gb`).

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        loss: For classes of unequal size, see `transferlab.strategies.base.Strategy`.
    """

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = HeadConfig(kind="mlp"),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_1e3,
        schedule: Schedule = Schedule(warmup=0.05),  # noqa: B008  frozen
        loss: LossForm | None = None,
    ) -> None:
        super().__init__(task, encoder, head, optimizer, schedule, loss)
        self.encoder.backbone.requires_grad_(False)

    def without_effect(self) -> dict[str, str]:
        """Adds the dropout of the frozen encoder."""
        keys = ("dropout", "attention_dropout")
        set_ = [key for key in keys if getattr(self.encoder_config, key) is not None]
        return super().without_effect() | {f"encoder.{key}": "the frozen encoder drops nothing" for key in set_}

    def train(self, mode: bool = True) -> "FeatureExtraction":
        """Keeps the encoder in evaluation mode: without dropout its output is the same every time."""
        super().train(mode)
        self.encoder.backbone.eval()
        return self

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Computes the features of all rows that are trained, selected or tested on, or reads them."""
        if self.encoder.mix is not None:
            self.frozen_work.append("features in every step: the layer mix is trained")
        elif self.head.reads_tokens and data.settings.truncation == "windows":
            self.frozen_work.append("features in every step: the windows of a document are not cached one by one")
        else:
            tests = [(split, data.test_rows(split)) for split in data.source.test]
            reads = (self.head.reads_tokens, self.encoder_config.layers, self.encoder_config.pooling)
            values = frozen.Values(
                field="features",
                width=self.encoder.hidden_size,
                lengths=self._lengths,
                key=(*reads, self.encoder),
                compute=lambda batch: self.represent(batch)[0],
            )
            self.keep_frozen(data, work, values, [data.part_rows("train"), data.part_rows("validation"), *tests])
        return data

    def _lengths(self, split: EncodedSplit) -> Any:
        if split.words is not None:
            return split.words.lengths
        return split.ids.lengths if self.head.reads_tokens else None
