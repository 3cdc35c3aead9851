"""Distillation: a small student learns from the labels and from a larger teacher's logits."""

from collections.abc import Callable

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from transferlab.cache import Work
from transferlab.encoders import EncoderConfig
from transferlab.encoders.layers import layer_list
from transferlab.errors import TransferlabError
from transferlab.heads import HeadConfig
from transferlab.losses import distillation_loss
from transferlab.optim import Schedule
from transferlab.strategies import frozen
from transferlab.strategies.base import Strategy, adamw
from transferlab.strategies.teacher import Teacher, align, load_teacher
from transferlab.tasks import Batch, TaskDataModule, TaskSpec


class Distillation(Strategy):
    """Trains a student on ``alpha CE(y, q) + (1 - alpha) T^2 KL(p_T || q_T)``.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531; mean squared error for regression, per word for tagging. The
    student is the encoder of the experiment: a shallower copy (`encoder.keep_layers`), any other encoder, or a
    ``bilstm``. With ``alpha: 1`` the same student learns with the same budget and no teacher.

    The teacher answers in evaluation mode and with its own tokenizer, once for each training row.

    Args:
        task: Facts about the task; linked from the data.
        encoder: The student; linked from the top-level key.
        teacher: A run folder, an experiment (its newest run), or a fine-tuned model on the Hub; ``{task}`` stands for
            the task's name.
        alpha: Weight of the labels; 1 needs no teacher.
        temperature: T, softens both distributions.
        from_teacher: Start the student from the teacher's own layers (`encoder.keep_layers` picks them) instead of the
            pretrained ones.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
    """

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        teacher: str = "",
        alpha: float = 0.5,
        temperature: float = 2.0,
        from_teacher: bool = False,
        head: HeadConfig = HeadConfig(),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(task, encoder, head, optimizer, schedule)
        if not 0 <= alpha <= 1:
            raise TransferlabError(f"model.alpha: {alpha} is not in [0, 1].")
        if temperature <= 0:
            raise TransferlabError(f"model.temperature: {temperature} is not above 0.")
        if alpha < 1 and not teacher:
            raise TransferlabError(
                "model.teacher: name a run folder, an experiment that was run, or a fine-tuned model on the Hub; "
                "or set model.alpha: 1 for the same student without a teacher."
            )
        self.teacher_name = teacher.replace("{task}", task.name)
        self.alpha = alpha
        self.temperature = temperature
        self.from_teacher = from_teacher
        self._ask: list[Callable[[Batch], Tensor]] = []

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Lets the teacher see every training row once, and keeps its logits beside the rows.

        For a single epoch the teacher runs in every step instead, where it reads the student's tokens.
        """
        super().wrap_data(data, work)
        if self.alpha == 1 and not self.from_teacher:
            return data
        teacher = load_teacher(self.teacher_name, self.task)
        if self.from_teacher:
            self._copy_layers(teacher)
        if self.alpha == 1:
            return data
        order = align(teacher.labels, self.task.labels)
        name, rows = data.part_rows("train")
        view = data.with_encoder(teacher.encoder)
        same_tokens = view.encoded(name).fingerprint == data.encoded(name).fingerprint
        if isinstance(teacher.module, nn.Module):
            teacher.module.to(work.device)

        def ask(batch: Batch) -> Tensor:
            with torch.no_grad():
                logits = teacher.module(batch)
            return logits[..., order] if order else logits

        if work.epochs > 1 or not same_tokens:
            values = frozen.Values(
                field="teacher",
                width=max(len(self.task.labels), 1),
                lengths=lambda split: None if split.words is None else split.words.lengths,
                key=(teacher.module, order),
                compute=ask,
            )
            self.frozen_work.append(frozen.keep(data, work, values, [(name, rows)], view))
        else:
            self.frozen_work.append("teacher in every step: a single epoch sees each row once anyway")
        if "teacher" not in data.attached:
            if not same_tokens:
                raise TransferlabError(
                    f"model.teacher: {self.teacher_name} reads other tokens than the student, so its answers must be "
                    f"kept on disk, but {self.frozen_work[-1]}."
                )
            # not a part of this module: it neither learns nor belongs into a checkpoint
            self._ask.append(ask)
        return data

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The distillation loss of a batch, a scalar."""
        assert batch.labels is not None
        return distillation_loss(
            self.task.kind,
            logits,
            batch.teacher if batch.teacher is not None or not self._ask else self._ask[0](batch),
            batch.labels,
            self.alpha,
            self.temperature,
            self._reachable(batch),
        )

    def _copy_layers(self, teacher: Teacher) -> None:
        """Puts the teacher's embeddings and picked layers into the student.

        Raises:
            TransferlabError: The student is no shallower copy of the teacher.
        """
        source = teacher.module.encoder.backbone if isinstance(teacher.module, Strategy) else None
        picks = self.encoder_config.keep_layers
        name = "" if source is None else layer_list(source)[0]
        if source is None or not picks or teacher.encoder.name != self.encoder_config.name or not name:
            raise TransferlabError(
                "model.from_teacher: the student must be the teacher's encoder with encoder.keep_layers, and the "
                "teacher a run of full fine-tuning."
            )
        wanted = self.encoder.backbone.state_dict()
        given = source.state_dict()
        for key in wanted:
            origin = key
            if key.startswith(f"{name}."):
                number, _, rest = key[len(name) + 1 :].partition(".")
                origin = f"{name}.{picks[int(number)]}.{rest}"
            if origin not in given or given[origin].shape != wanted[key].shape:
                raise TransferlabError(
                    f"model.from_teacher: teacher and student do not fit: {origin} is missing there."
                )
            wanted[key] = given[origin]
        self.encoder.backbone.load_state_dict(wanted)
