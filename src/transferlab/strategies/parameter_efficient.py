"""Parameter-efficient tuning: the encoder stays as it is, a few new or chosen parameters learn."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from transferlab.adapters import AdaLoRA, Fusion, LoRA, Method, PromptTuning
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.optim import Schedule, adamw_1e3
from transferlab.learning.steady import Steady
from transferlab.strategies import fused
from transferlab.strategies.base import Strategy
from transferlab.tasks import Batch, TaskSpec


class ParameterEfficient(Strategy):
    """Trains the parameters of a method of `transferlab.adapters`, and the head.

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        method: LoRA and its variants, AdaLoRA, IA3, Bottleneck, Fusion, BitFit, NormTuning, PromptTuning, or Tuner
            for any other method of peft; null: LoRA.
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
        method: Method | None = None,
        head: HeadConfig = HeadConfig(lr=1e-3),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_1e3,
        schedule: Schedule = Schedule(warmup=0.06),  # noqa: B008  frozen
        loss: LossForm | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        # LoRA's update stands beside the weights; other methods read or change them
        self.takes_4bit = isinstance(method or LoRA(), LoRA)
        super().__init__(task, encoder, head, optimizer, schedule, loss, steady)
        # no default in the signature: jsonargparse would hand its arguments on to another method that is chosen
        self.method = method or LoRA()
        if isinstance(self.method, AdaLoRA) and (steady.ema is not None or steady.swa is not None):
            raise TransferlabError(
                "model.steady: AdaLoRA changes its ranks in the run, so an average over steps mixes ranks; leave ema "
                "and swa out."
            )
        if encoder.joined:
            raise TransferlabError(
                "encoder.joined: the cross attention is new, and few parameters beside frozen random ones learn "
                "little; use strategy/full_finetuning."
            )
        if task.kind == "text" and isinstance(self.method, PromptTuning):
            raise TransferlabError(
                "model.method: PromptTuning puts vectors before what an encoder reads, and a model that writes would "
                "need them at each token again; for data.source.kind: text use LoRA."
            )
        self.init_args |= {"method": self.method}
        backbone: Any = self.encoder.backbone
        self.encoder.backbone = self.method.apply(backbone)
        self.missing = fused.read_adapters(method, self.encoder, task) if isinstance(method, Fusion) else []
        self.train_new_tokens()

    pretrained_stays = "the pretrained matrices stay as they are"

    def learned(self) -> set[str]:
        """Names of the method's parameters and state, of the head, and of a learned layer mix."""
        inside = {f"encoder.backbone.{name}" for name in self.method.learned(self.encoder.backbone)}
        return super().learned() | inside

    def trained(self) -> set[str]:
        """Those that ask for a gradient; what a method fixes at the start is in the checkpoint, but does not learn."""
        return super().learned()

    def findings(self) -> dict[str, str]:
        """What the method tells of its weights."""
        return self.method.findings(self.encoder.backbone)

    @property
    def cannot_be_sharded(self) -> str:
        """Only LoRA was tried; AdaLoRA reads and prunes whole matrices."""
        return "" if isinstance(self.method, LoRA) else f"{type(self.method).__name__} reads or changes whole weights"

    def on_predict_start(self) -> None:
        """Merges the updates into the encoder: predicting then costs what the plain encoder costs."""
        self.method.merge(self.encoder.backbone)

    def on_predict_end(self) -> None:
        """Takes them out again."""
        self.method.unmerge(self.encoder.backbone)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint fits; it holds adapters of other runs too."""
        super().on_load_checkpoint(checkpoint)
        self.missing = []

    def refuse_missing(self) -> None:
        """Refuses to train without adapters that are to be put together.

        Raises:
            TransferlabError: They were found nowhere.
        """
        if self.missing:
            raise TransferlabError(f"model.method.runs: no finished run {', '.join(self.missing)}; train it first.")

    def on_train_start(self) -> None:
        """Tells the method how long the run is.

        Raises:
            TransferlabError: Adapters that it puts together were found nowhere.
        """
        self.refuse_missing()
        self.method.plan(self.encoder.backbone, self.total_steps)

    def loss(self, logits: Tensor, batch: Batch, last: bool = False) -> Tensor:
        """Task loss and the method's penalty."""
        loss, penalty = super().loss(logits, batch, last), self.method.penalty(self.encoder.backbone)
        return loss if penalty is None else loss + penalty

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Lets the method follow each optimizer step, while the gradients are there and before anything is saved."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        self.method.after_step(self.encoder.backbone, self.global_step + 1)
