"""Full fine-tuning: all layers, the top ones, or one after the other from the top."""

import math
from typing import Any, Literal

from lightning.pytorch.cli import OptimizerCallable
from torch.optim import Optimizer

from transferlab.encoders import EncoderConfig
from transferlab.encoders.layers import layer_groups
from transferlab.encoders.new_tokens import new_rows
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.learning.steady import Steady
from transferlab.strategies.base import Strategy
from transferlab.tasks import TaskSpec


class FullFineTuning(Strategy):
    """Trains the encoder together with the head.

    Layer-wise learning rates and gradual unfreezing follow Howard and Ruder 2018 (ULMFiT, sections 3.2 and 3.3,
    https://arxiv.org/abs/1801.06146).

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        top_layers: Train only the top layers, this many; null: all of them and the embeddings.
        unfreeze_every: Gradual unfreezing: start with the head alone and unfreeze one more layer from the top after
            each this many epochs; null: all at once.
        unfreeze_at: Gradual unfreezing at given optimizer steps instead, one more layer at each.
        layer_decay: Learning rate of each layer relative to the one above.
        unfreeze_schedule: The schedule of a layer in gradual unfreezing. ``layer``: it starts when the layer is
            unfrozen and ends with the run; ``stage``: it starts anew, for all layers and the head, whenever one is
            unfrozen; null: all follow one schedule over the run, under which the layers unfrozen last hardly learn.
        loss: For classes of unequal size, see `transferlab.strategies.base.Strategy`.
        steady: Regularisers, see `transferlab.learning.steady.Steady`.
    """

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = HeadConfig(lr=1e-3),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        top_layers: int | None = None,
        unfreeze_every: int | None = None,
        unfreeze_at: tuple[int, ...] = (),
        layer_decay: float = 1.0,
        unfreeze_schedule: Literal["layer", "stage"] | None = None,
        loss: LossForm | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        at_least(1, model__top_layers=top_layers, model__unfreeze_every=unfreeze_every)
        above(0, model__layer_decay=layer_decay)
        super().__init__(task, encoder, head, optimizer, schedule, loss, steady)
        self.layer_decay = layer_decay
        self.unfreeze_every = unfreeze_every
        self.unfreeze_at = tuple(sorted(unfreeze_at))
        self.unfreeze_schedule = unfreeze_schedule
        if unfreeze_every and unfreeze_at:
            raise TransferlabError("model.unfreeze_every and model.unfreeze_at exclude each other; set one of them.")
        if top_layers and encoder.joined:
            raise TransferlabError(
                "model.top_layers: the cross attention of encoder.joined is new in every layer, so all of them learn; "
                "leave it out."
            )
        groups = layer_groups(self.encoder.backbone)
        if top_layers is not None and not 0 < top_layers < len(groups):
            raise TransferlabError(f"model.top_layers: {top_layers} is not in 1 .. {len(groups) - 1}.")
        for group in groups[: len(groups) - top_layers] if top_layers else []:
            for _, parameter in group:
                parameter.requires_grad_(False)
        self.train_new_tokens()
        new = {id(rows) for rows in new_rows(self.encoder.backbone)}
        # rows of new tokens mean nothing before they learn, so they are never frozen
        self.layers = [[p for _, p in group if p.requires_grad and id(p) not in new] for group in groups]
        self._learned = super().learned()

    def learned(self) -> set[str]:
        """Names of all parameters that learn at some time of the run."""
        return self._learned

    def without_effect(self) -> dict[str, str]:
        """Adds the schedule of an unfreezing that does not take place."""
        idle = self.unfreeze_schedule is not None and not self.is_gradual
        return super().without_effect() | ({"model.unfreeze_schedule": "no layer is unfrozen"} if idle else {})

    @property
    def is_gradual(self) -> bool:
        """Whether layers are unfrozen one after the other."""
        return bool(self.unfreeze_every or self.unfreeze_at)

    @property
    def trains_all_rows(self) -> str:
        """Adds gradual unfreezing, which freezes whole weights."""
        return super().trains_all_rows or self.cannot_be_sharded

    @property
    def cannot_be_sharded(self) -> str:
        """Gradual unfreezing takes gradients off whole weights."""
        return "gradual unfreezing freezes whole weights" if self.is_gradual else ""

    def unfrozen(self, epoch: int, step: int) -> int:
        """How many layers from the top learn at an epoch and step."""
        if self.unfreeze_every:
            return epoch // self.unfreeze_every
        return sum(step >= at for at in self.unfreeze_at) if self.unfreeze_at else len(self.layers)

    def schedule_starts(self) -> list[tuple[int, ...]]:
        """Steps at which the schedules of the layers, from the bottom, and of the head start; empty: all at once."""
        if not (self.is_gradual and self.unfreeze_schedule):
            return []
        count, stages = len(self.layers), [0, *self._unfreezing_steps()]
        # the head's, then those of the layers from the top; layers that the run does not reach start never
        starts = [tuple(stages[number:]) for number in range(count + 1)]
        if self.unfreeze_schedule == "layer":
            starts = [each[:1] for each in starts]
        return [*reversed(starts[1:]), starts[0]]

    def _unfreezing_steps(self) -> list[int]:
        """Steps of this run before which a layer is unfrozen, from the top."""
        # asked first, since it fills in the number of batches
        count, total, trainer = len(self.layers), self.total_steps, self.trainer
        steps = list(self.unfreeze_at[:count])
        if self.unfreeze_every:
            epoch = math.ceil(trainer.num_training_batches / trainer.accumulate_grad_batches)
            steps = [epoch * self.unfreeze_every * number for number in range(1, count + 1)]
        return [step for step in steps if step < total]

    def on_train_start(self) -> None:
        """Tells where the run is too short for all layers."""
        super().on_train_start()
        if self.is_gradual and (reached := len(self._unfreezing_steps())) < len(self.layers):
            self.print(
                f"unfreezing reaches {reached} of {len(self.layers)} layers in {self.total_steps} steps; the others "
                "stay frozen (a longer trainer.max_epochs, or model.unfreeze_at, reaches them)"
            )

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Freezes the layers that are not yet to learn.

        A pure function of epoch and step, so a resumed run needs to store nothing.
        """
        if self.is_gradual and self.trainer.world_size == 1:
            self._freeze_below(self.unfrozen(self.current_epoch, self.global_step))

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Freezes by dropping gradients where there are several processes: DDP waits for every one it has seen."""
        super().on_before_optimizer_step(optimizer)
        if self.is_gradual and self.trainer.world_size > 1:
            frozen = len(self.layers) - self.unfrozen(self.current_epoch, self.global_step)
            for layer in self.layers[: max(frozen, 0)]:
                for parameter in layer:
                    parameter.grad = None

    def on_train_end(self) -> None:
        """Leaves all that belongs to the checkpoint trainable, as it was found."""
        super().on_train_end()
        self._freeze_below(len(self.layers))

    def _freeze_below(self, top: int) -> None:
        for depth, layer in enumerate(self.layers):
            for parameter in layer:
                parameter.requires_grad_(depth >= len(self.layers) - top)
