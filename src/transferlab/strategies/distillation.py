"""Distillation: a small student learns from the labels and from a larger teacher's logits."""

from collections.abc import Callable
from typing import Any, cast

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from transferlab.encoders import EncoderConfig
from transferlab.encoders.layers import layer_list
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.losses import distillation_loss, representation_loss
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.learning.steady import Steady
from transferlab.strategies import frozen
from transferlab.strategies.base import Strategy
from transferlab.strategies.teacher import Teacher, align, load_teacher, teacher_content
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import EncodedSplit


class Distillation(Strategy):
    """Trains a student on ``alpha CE(y, q) + (1 - alpha) T^2 KL(p_T || q_T)``.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531; mean squared error for regression, per word for tagging. The
    student is the encoder of the experiment: a shallower copy (`encoder.keep_layers`), any other encoder, or a
    ``bilstm``. With ``alpha: 1`` the same student learns with the same budget and no teacher.

    The teacher answers in evaluation mode and with its own tokenizer, once for each training example.

    With `beta` the vectors that the heads read are pulled together too: ``+ beta mean || s/||s|| - t/||t|| ||^2``
    (Sun et al. 2019, https://arxiv.org/abs/1908.09355, equation 7).

    Args:
        task: Facts about the task; linked from the data.
        encoder: The student; linked from the top-level key.
        teacher: A run directory, an experiment (its newest run), or a fine-tuned model on the Hub; ``{task}`` stands
            for the task's name.
        alpha: Weight of the labels; 1 needs no teacher.
        temperature: T, softens both distributions.
        beta: Weight of the distance to the teacher's vectors; the teacher must be a run as wide as the student.
        from_teacher: Start the student from the teacher's own layers (`encoder.keep_layers` picks them) instead of the
            pretrained ones.
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
        teacher: str = "",
        alpha: float = 0.5,
        temperature: float = 2.0,
        beta: float = 0.0,
        from_teacher: bool = False,
        head: HeadConfig = HeadConfig(lr=1e-3),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        loss: LossForm | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        super().__init__(task, encoder, head, optimizer, schedule, loss, steady)
        if not 0 <= alpha <= 1:
            raise TransferlabError(f"model.alpha: {alpha} is not in [0, 1].")
        if temperature <= 0:
            raise TransferlabError(f"model.temperature: {temperature} is not above 0.")
        if (alpha < 1 or beta > 0) and not teacher:
            raise TransferlabError(
                "model.teacher: name a run directory, an experiment that was run, or a fine-tuned model on the Hub; "
                "or set model.alpha: 1 for the same student without a teacher."
            )
        if beta < 0:
            raise TransferlabError(f"model.beta: {beta} is below 0.")
        if beta and task.kind == "text":
            raise TransferlabError("model.beta: a model that writes texts has no vectors for a head; set beta: 0.")
        if beta and self.head.reads_tokens and not task.per_word:
            raise TransferlabError("model.beta: a head that reads tokens has no single vector to compare; set beta: 0.")
        self.teacher_name = teacher.replace("{task}", task.name)
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.from_teacher = from_teacher
        self._teacher_content = ""
        self._vectors: Tensor | None = None
        self._ask: dict[str, Callable[[Batch], Tensor]] = {}

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Lets the teacher see every training example once, and keeps its answers beside the rows.

        For a single epoch the teacher runs in every step instead, where it reads the student's tokens.
        """
        super().wrap_data(data, work)
        if self.is_taught or self.from_teacher:
            self._teacher_content = teacher_content(self.teacher_name)
            teacher = load_teacher(self.teacher_name, self.task)
            if self.from_teacher:
                self._copy_layers(teacher)
            if isinstance(teacher.module, nn.Module):
                teacher.module.to(work.device)
            for values in self._answers(teacher) if self.is_taught else []:
                self._keep(data, data.with_encoder(teacher.encoder, teacher.apart), work, values)
        return data

    def without_effect(self) -> dict[str, str]:
        """Adds what only a teacher's logits would be read with."""
        found = super().without_effect()
        if self.temperature != 2 and (self.alpha == 1 or self.task.kind == "regression"):
            found["model.temperature"] = "no distribution is imitated"
        if self.loss_form and self.alpha == 0:
            found["model.loss"] = "no term has the labels"
        if self.steady.label_smoothing and self.alpha == 0:
            found["model.steady.label_smoothing"] = "no term has the labels"
        return found

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what was trained, and says which encoder, labels and teacher it belongs to."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["transferlab"]["teacher"] = self._teacher_content

    def check_resumed(self, facts: dict[str, Any]) -> None:
        """Checks that the teacher is the one of the earlier steps too; it need not be there if its answers are kept."""
        super().check_resumed(facts)
        known, now = facts.get("teacher"), teacher_content(self.teacher_name) if self.is_taught else ""
        if known and now and known != now:
            raise TransferlabError(
                f"model.teacher: {self.teacher_name} is another one by content since the run was started ({known} -> "
                f"{now}). Put the old one back, or start a new run."
            )

    @property
    def is_taught(self) -> bool:
        """Whether the loss has a term with the teacher's answers."""
        return self.alpha < 1 or self.beta > 0

    def _answers(self, teacher: Teacher) -> list[frozen.Values]:
        order = align(teacher.labels, self.task.labels)

        @torch.no_grad()
        def logits(batch: Batch) -> Tensor:
            """The teacher's logits in the student's order of labels."""
            answer = teacher.module(batch)
            return answer[..., order] if order else answer

        @torch.no_grad()
        def vectors(batch: Batch) -> Tensor:
            """What the teacher's head reads."""
            assert isinstance(teacher.module, Strategy)
            return teacher.module.represent(batch)[0]

        answers = []
        if self.alpha < 1:
            key = ("logits", teacher.module, order)
            answers.append(frozen.Values("teacher", self.task.outputs, _words, key, logits))
        if self.beta:
            self._check_vectors(teacher)
            answers.append(frozen.Values("teacher_vectors", self.reads, _words, ("vectors", teacher.module), vectors))
        return answers

    def _check_vectors(self, teacher: Teacher) -> None:
        module = teacher.module
        width = module.reads if isinstance(module, Strategy) else 0
        alike = isinstance(module, Strategy) and (self.task.per_word or not module.head.reads_tokens)
        if not alike or width != self.reads:
            raise TransferlabError(
                f"model.beta: the vectors of {self.teacher_name} ({width or 'unknown'} wide) cannot be compared with "
                f"the student's ({self.reads} wide); set beta: 0 or take a run as wide as the student."
            )

    def _keep(self, data: TaskDataModule, view: TaskDataModule, work: Work, values: frozen.Values) -> None:
        name, rows = data.part_rows("train")
        same_tokens = view.encoded(name).fingerprint == data.encoded(name).fingerprint
        if self.task.kind in ("qa", "text") and not same_tokens:
            raise TransferlabError(
                f"model.teacher: {self.teacher_name} reads other tokens than the student, so that its logits, one for "
                "each token, cannot be imitated; take a teacher with the student's tokenizer."
            )
        if self.task.kind == "text":
            self.frozen_work.append(f"{values.field} in every step: one for each word of the vocabulary at each token")
        elif work.epochs > 1 or not same_tokens:
            self.frozen_work.append(frozen.keep(data, work, values, [(name, rows)], view))
        else:
            self.frozen_work.append(f"{values.field} in every step: a single epoch sees each example once anyway")
        if values.field not in data.attached:
            if not same_tokens:
                raise TransferlabError(
                    f"model.teacher: {self.teacher_name} reads other tokens than the student, so its answers must be "
                    f"cached on disk, but {self.frozen_work[-1]}."
                )
            # not a part of this module: a teacher neither learns nor belongs into a checkpoint
            self._ask[values.field] = values.compute

    def represent(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the head reads, and the mask of real positions; see `Strategy.represent`."""
        vectors, mask = super().represent(batch)
        self._vectors = vectors if self.beta else None
        return vectors, mask

    def loss(self, logits: Tensor, batch: Batch) -> Tensor:
        """The distillation loss of the batch that went through the student last, a scalar."""
        for field, ask in self._ask.items():
            batch = batch._replace(**{field: ask(batch)})  # type: ignore[arg-type]  # every answer is a tensor
        assert batch.labels is not None
        if self.alpha < 1 and batch.teacher is None:
            raise TransferlabError(
                "The teacher's answers are missing: train with callbacks=transferlab.run_callbacks(), or with "
                "transferlab.FrozenWork() among them."
            )
        loss = distillation_loss(
            self.task.kind,
            logits,
            batch.teacher,
            batch.labels,
            self.alpha,
            self.temperature,
            self._reachable(batch),
            self.loss_form,
            self.weights(),
            self.steady.label_smoothing or 0.0,
        )
        if self.beta:
            assert self._vectors is not None
            assert batch.teacher_vectors is not None
            loss = loss + self.beta * representation_loss(self._vectors, batch.teacher_vectors, self._reachable(batch))
        return loss

    def _copy_layers(self, teacher: Teacher) -> None:
        """Puts the teacher's embeddings and picked layers into the student.

        Raises:
            TransferlabError: The student is no shallower copy of the teacher.
        """
        source = teacher.module.encoder.backbone if isinstance(teacher.module, Strategy) else None
        # numbers by now
        picks = cast(tuple[int, ...], self.encoder_config.keep_layers)
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


def _words(split: EncodedSplit) -> Any:
    return None if split.words is None else split.words.lengths
