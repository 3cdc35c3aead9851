"""What all strategies share: head, loss, optimizer, schedule, and a checkpoint of what was trained."""

from collections.abc import Iterable
from typing import Any

from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.optim import AdamW, Optimizer

from transferlab.encoders import Encoder, EncoderConfig, build_encoder
from transferlab.encoders.language import refuse_half
from transferlab.encoders.layers import layer_groups
from transferlab.encoders.loading import resolved
from transferlab.encoders.new_tokens import add_new_tokens, add_token_types, new_rows
from transferlab.ground.errors import TransferlabError
from transferlab.ground.remembered import Remembered
from transferlab.learning.cache import Work
from transferlab.learning.heads import Head, HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.kinds import KINDS
from transferlab.learning.optim import Schedule, apply_scales, parameter_groups
from transferlab.learning.steady import Steady
from transferlab.strategies import content, effects, head_start, occurring
from transferlab.strategies.based import Based
from transferlab.strategies.lower import LowerFrozen
from transferlab.strategies.sharding import shard
from transferlab.strategies.steadied import READ_WHOLE
from transferlab.strategies.step import StepMean
from transferlab.strategies.unlabelled import ReadsUnlabelled
from transferlab.strategies.weighted import Weighted
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.capitals import SHAPES


def adamw(parameters: Iterable[Any]) -> AdamW:
    """AdamW (with bias correction, as torch always does) at 1e-4."""
    return AdamW(parameters, lr=1e-4, weight_decay=0.01)


class Strategy(Remembered, Based, LowerFrozen, Weighted, ReadsUnlabelled):
    """A way to transfer an encoder to a task. A subclass says which parameters learn.

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        loss: For classes of unequal size. ``weighted``: each example (tagging: word; multilabel: decision) counts by
            its class, rare ones more, by the training examples; ``focal``: the surer a right answer, the less it
            counts; null: all count alike. Balanced sampling is `data.sampling`.
        steady: Regularisers; by default none.
    """

    layer_decay = 1.0
    takes_4bit = False
    """Whether all that is trained stands beside the pretrained weights, which may then be held in 4 bits."""
    begins_otherwise = ""
    """Why the head is not one that starts at random; empty where it is."""
    own_layout = ""
    """What the strategy does with tokens before the encoder reads them; empty where it reads a batch as it is."""

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = HeadConfig(),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        loss: LossForm | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        super().__init__()
        self.task = task
        self.encoder_config = encoder = resolved(encoder)
        self.optimizer = optimizer
        self.head_config = head
        self.schedule = schedule
        if encoder.load_in_4bit and not self.takes_4bit:
            raise TransferlabError(
                "encoder.load_in_4bit: weights in 4 bits cannot be trained; use strategy/lora, which trains beside "
                "them."
            )
        if loss and KINDS[task.kind].no_classes:
            raise TransferlabError(f"model.loss: {loss} is not for {task.kind}: {KINDS[task.kind].no_classes}.")
        if not self.begins_otherwise:
            head_start.refuse(task.kind, head, loss, encoder)
        self.loss_form = loss
        self.begin(steady)
        # not in a checkpoint: they come from the labels of the training examples
        self.register_buffer("label_weights", None, persistent=False)
        self.encoder: Encoder = build_encoder(encoder, writes=task.kind == "text")
        if task.new_tokens:
            add_new_tokens(self.encoder.backbone, task.new_tokens, encoder)
        if task.case:
            add_token_types(self.encoder.backbone, SHAPES, encoder)
        self.head = Head(head, self.reads, task)
        if task.apart and self.head.reads_tokens:
            raise TransferlabError(
                "data.pairs: apart gives the head a single vector, how the two texts compare, but a bilstm reads "
                "tokens; set model.head.kind to linear or mlp, or data.pairs: joint."
            )
        if task.ranges and self.head.reads_tokens:
            raise TransferlabError(
                "model.head.kind: a bilstm reads all tokens, so it is not told which entities are meant; for relations "
                "use linear or mlp."
            )
        self.measure(task)
        # a checkpoint holds only what was trained; on_load_checkpoint checks that nothing of that is missing
        self.strict_loading = False
        self.accepted = []
        self._step = StepMean(self.judged.per_example)
        self._solved_first = False
        self._occurring: Tensor | None = None
        self._rows: occurring.Training | None = None
        self._resumed: occurring.Resumed | None = None
        self.frozen_work = []

    @property
    def starts_solved(self) -> bool:
        """Whether the head is solved on the pretrained encoder before training."""
        return self.head_config.start is not None and self.task.kind != "text" and not self.begins_otherwise

    def train_new_tokens(self) -> None:
        """Lets the rows of new tokens and token types learn, also where nothing else of the embeddings does."""
        for rows in new_rows(self.encoder.backbone):
            rows.requires_grad_(True)

    # what a subclass may change -----------------------------------------------------------------------------------

    def learned(self) -> set[str]:
        """Names in `state_dict` that training changes, and so belong into a checkpoint."""
        return {name for name, parameter in self.named_parameters() if parameter.requires_grad}

    def trained(self) -> set[str]:
        """Names of the parameters that training changes at some time."""
        return self.learned()

    def kept(self) -> set[str]:
        """Names in `state_dict` that a checkpoint holds: what training changes, and thresholds that it fits."""
        return self.learned() | ({"thresholds"} if self.thresholds is not None else set())

    def without_effect(self) -> dict[str, str]:
        """Keys that were set and change nothing in this run, with the reason."""
        found = effects.without_effect(self.encoder_config, self.head_config, self.task) | self.steady.idle
        if self.head_config.start is not None and self.begins_otherwise:
            found["model.head.start"] = self.begins_otherwise
        return found

    def findings(self) -> dict[str, str]:
        """What the weights tell at the end of a run, by name, in words: for AdaLoRA the ranks."""
        return {}

    def schedule_starts(self) -> list[tuple[int, ...]]:
        """Optimizer steps at which the schedule of each layer and of the head starts; empty: all with the run."""
        return []

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Does frozen work once, before training, and says so in `frozen_work`.

        Here: the hidden states under the lowest layer that learns, for the training and the
        validation examples. They are those of evaluation mode; dropout stays in the layers that learn.
        """
        self.check_steady()
        data.single_step = False
        self.keep_states(data, work)
        return data

    def take_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Takes from the data all that training wants before its first step, and does frozen work once."""
        self.weigh(data)
        self.take_unlabelled(data)
        if not (self.trains_all_rows or occurring.unfit(self.encoder.backbone)):
            self._occurring = occurring.ids_of(data)
        if self.starts_solved:
            self.encoder.eval()
            self.to(work.device)
            self.frozen_work.append(head_start.solve(self, data, work))
            self._solved_first = True
        return self.wrap_data(data, work)

    @property
    def cannot_be_sharded(self) -> str:
        """Why the weights cannot be split over processes; empty where they can."""
        return f"{type(self).__name__} reads or changes whole weights"

    @property
    def trains_all_rows(self) -> str:
        """Why word embeddings are trained that no training example has; empty where those that occur suffice."""
        if self.task.kind == "text":
            return "the embeddings also write"
        if self.own_layout:
            return "texts are laid into a pattern, whose tokens no example has"
        if self.encoder_config.compile:
            return "a compiled encoder is not changed"
        averaged = [name for name in self.steady.chosen if name in READ_WHOLE]
        return f"model.steady.{averaged[0]} reads whole weights" if averaged else ""

    # Lightning's hooks --------------------------------------------------------------------------------------------

    def configure_model(self) -> None:
        """Splits the weights over the processes, where the Trainer's strategy is to."""
        super().configure_model()
        if self.task.kind == "text":
            refuse_half(self.encoder.backbone, str(self.trainer.precision))
        if self.device_mesh is not None:
            shard(self, self.encoder.backbone, self.device_mesh)

    def on_fit_start(self) -> None:
        """Refuses a head that was to be solved first and was not.

        Raises:
            TransferlabError: The features were not computed.
        """
        if self.starts_solved and not self._solved_first and not self.trainer.ckpt_path:
            raise TransferlabError(
                "model.head.start: the head was not solved: train with callbacks=transferlab.run_callbacks(), or with "
                "transferlab.FrozenWork() among them."
            )
        super().on_fit_start()

    def setup(self, stage: str) -> None:
        """Puts all word embeddings back, where a run before was stopped."""
        super().setup(stage)
        self._end_occurring()

    def on_train_start(self) -> None:
        """Leaves to the optimizer only the word embeddings that occur, see `transferlab.strategies.occurring`."""
        super().on_train_start()
        if self._occurring is None or self.trainer.world_size > 1 or self.device_mesh is not None:
            return
        backbone, optimizers = self.encoder.backbone, self.trainer.optimizers
        if not occurring.obstacle(backbone, optimizers, self._occurring):
            self._rows = occurring.Training(backbone, optimizers[0], self._occurring, self._resumed)
            self._resumed = None

    def on_train_end(self) -> None:
        """Puts all word embeddings back."""
        super().on_train_end()
        self._end_occurring()

    def _end_occurring(self) -> None:
        if self._rows is not None:
            self._rows.end()
            self._rows = None

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of a batch for the gradient of its step, see `StepMean`; stops the run where it is not finite."""
        loss = self.steady_loss(batch) if self.steady.chosen else self.loss(self(batch), batch, last=True)
        if self._unlabelled is not None or self.steady.consistency is not None:
            loss = loss + self.unlabelled_loss(*self._unlabelled_batch(batch_idx))
        self.check_finite(loss)
        share, mean = self._step.add(loss, batch, self.trainer)
        self.log("train/loss", mean, prog_bar=True)
        return share

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Makes the gradient that of a mean over all examples of the step."""
        self._step.finish(self, self.trainer)

    def configure_optimizers(self) -> Any:
        """Parameter groups, optimizer and schedule."""
        layers = [[parameter for _, parameter in layer] for layer in layer_groups(self.encoder.backbone)]
        mix = [self.encoder.mix.scores] if self.encoder.mix and self.encoder_config.mix_lr else []
        inside = {id(parameter) for part in (*layers, mix) for parameter in part}
        others = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        starts, mix_lr = self.schedule_starts(), self.encoder_config.mix_lr
        groups = parameter_groups(layers, others, self.head_config.lr, self.layer_decay, starts, mix, mix_lr)
        optimizer = self.optimizer(groups)
        apply_scales(optimizer)
        scheduler = self.schedule.build(optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what was trained, and says which encoder and labels it belongs to."""
        content.keep_learned(checkpoint, self.kept(), self.belongs)
        self.save_steady(checkpoint)
        if self._rows is not None and "optimizer_states" in checkpoint:
            self._rows.save(checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint fits.

        Raises:
            TransferlabError: Other labels, other encoder by name or content, missing or unequal tensors.
        """
        content.check_fits(checkpoint, self.state_dict(), self.kept(), self.belongs)
        self.check_base(checkpoint.get("transferlab", {}))
        self.load_steady(checkpoint)
        self._resumed = occurring.load(checkpoint)
