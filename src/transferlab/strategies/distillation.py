"""Distillation: a small student learns from the labels and from a larger teacher's logits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import Work
from transferlab.learning.ensemble import Combined
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.inner import Inner
from transferlab.learning.losses import distillation_loss, representation_loss
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.learning.steady import Steady
from transferlab.strategies import frozen
from transferlab.strategies.base import Strategy
from transferlab.strategies.inside import ComparedInside
from transferlab.strategies.rewritten import rewrite
from transferlab.strategies.student import copy_layers
from transferlab.strategies.teacher import Teacher, align, load_teacher, teacher_content
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import IGNORE, EncodedSplit
from transferlab.tasks.copied import UNLABELLED


class Distillation(ComparedInside):
    """Trains a student on ``alpha CE(y, q) + (1 - alpha) T^2 KL(p_T || q_T)``.

    Hinton et al. 2015, https://arxiv.org/abs/1503.02531; mean squared error for regression, per word for tagging. The
    student is the encoder of the experiment: a shallower copy (`encoder.keep_layers`), any other encoder, or a
    ``bilstm``. With ``alpha: 1`` the same student learns with the same budget and no teacher.

    The teacher answers in evaluation mode and with its own tokenizer, once for each training example, for copies of
    `data.augment` too. The texts of `data.unlabelled` add ``(1 - alpha) T^2 KL(p_T || q_T)``.

    With `sequence` a model that writes learns from what its teacher writes for each training input, in place of the
    targets (Kim and Rush 2016, https://arxiv.org/abs/1606.07947): y above is the teacher's output. ``alpha: 1`` then
    learns from that alone, a smaller one from the teacher's distribution at each of its tokens too.

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
        teachers: Other teachers beside it, each with its weight where the first one has 1: p_T is the weighted mean of
            their distributions, see `transferlab.learning.ensemble.mean_logits`.
        inner: Terms that compare layers, see `transferlab.learning.inner.Inner`.
        sequence: For texts, whether what the teacher writes stands in the place of the training targets; null: no.
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
        teachers: dict[str, float] | None = None,
        inner: Inner = Inner(),  # noqa: B008  frozen
        sequence: bool | None = None,
    ) -> None:
        super().__init__(task, encoder, head, optimizer, schedule, loss, steady)
        if not 0 <= alpha <= 1:
            raise TransferlabError(f"model.alpha: {alpha} is not in [0, 1].")
        if temperature <= 0:
            raise TransferlabError(f"model.temperature: {temperature} is not above 0.")
        if sequence and task.kind != "text":
            raise TransferlabError(
                f"model.sequence: only texts are written (kind: text), not {task.kind}; leave it out."
            )
        if (alpha < 1 or beta > 0 or inner.chosen or sequence) and not teacher:
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
        self._take_more(teachers or {}, inner, alpha)
        self.teacher_name = teacher.replace("{task}", task.name)
        self.alpha = alpha
        self.beta = beta
        self.temperature = temperature
        self.from_teacher = from_teacher
        self.sequence = bool(sequence)
        self._teacher_content = ""
        self._vectors: Tensor | None = None
        self._answers_unlabelled = False
        self._ask: dict[str, Callable[[Batch], Tensor]] = {}

    def _take_more(self, teachers: dict[str, float], inner: Inner, alpha: float) -> None:
        """Takes further teachers, and what is compared inside."""
        for name, weight in teachers.items():
            if not weight > 0:
                raise TransferlabError(f"model.teachers: the weight of {name} is {weight}; use a number above 0.")
        if teachers and (alpha == 1 or self.task.kind in ("qa", "text")):
            why = "alpha: 1 imitates no teacher" if alpha == 1 else f"{self.task.kind} has one teacher"
            raise TransferlabError(f"model.teachers: {why}; leave them out.")
        if inner.chosen and self.task.kind == "text":
            raise TransferlabError("model.inner: input and target of a text have layers of their own; leave it out.")
        self.inner = inner
        # not as an attribute of the class, which would hide the module
        self.register_module("project", None)
        self.others = {name.replace("{task}", self.task.name): weight for name, weight in teachers.items()}

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Lets the teacher see every training example once, and keeps its answers beside the rows.

        For a single epoch the teacher runs in every step instead, where it reads the student's tokens.
        """
        super().wrap_data(data, work)
        if self.is_taught or self.from_teacher:
            self._teacher_content = self._content()
        if self.sequence:
            self.frozen_work.append(rewrite(data, self.teacher_name, work))
        if self._asks or self.from_teacher:
            teacher = load_teacher(self.teacher_name, self.task)
            if self.from_teacher:
                copy_layers(self.encoder, self.encoder_config, teacher, self.task.case)
            self._ask_teacher(teacher, data, work)
            if self.others:
                self._ask_others(data, work)
        return data

    def _content(self) -> str:
        """Names the teachers by their content."""
        return "+".join(teacher_content(name) for name in (self.teacher_name, *self.others))

    def _ask_teacher(self, teacher: Teacher, data: TaskDataModule, work: Work) -> None:
        if isinstance(teacher.module, nn.Module):
            teacher.module.to(work.device)
        view = data.with_encoder(teacher.encoder, teacher.apart, teacher.case)
        for values in self._answers(teacher):
            self._keep(data, view, work, values)
        if self.inner.chosen:
            self.look_at(teacher, view, data)

    def _ask_others(self, data: TaskDataModule, work: Work) -> None:
        """Lets the other teachers answer too, and puts the mean in the place of the first one's answers."""
        found = [data.attached.pop("teacher")]
        for name in self.others:
            other = load_teacher(name, self.task)
            if isinstance(other.module, nn.Module):
                other.module.to(work.device)
            logits = next(values for values in self._answers(other) if values.field == "teacher")
            self._keep(data, data.with_encoder(other.encoder, other.apart, other.case), work, logits)
            found.append(data.attached.pop("teacher"))
        weights = [1.0, *self.others.values()]
        for split in found[0]:
            parts = [one[split] for one in found]
            data.attach("teacher", split, Combined(parts, weights, self.task, self.temperature))

    def without_effect(self) -> dict[str, str]:
        """Adds what only a teacher's logits would be read with."""
        found = super().without_effect() | self.inner.idle
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
        """Checks that the teacher is the one of the earlier steps too; it need not be there if its answers are kept.

        Raises:
            TransferlabError: The teacher, or what else it is trained with, changed by content.
        """
        super().check_resumed(facts)
        known, now = facts.get("teacher"), self._content() if self.is_taught else ""
        if known and now and known != now:
            raise TransferlabError(
                f"model.teacher: {self.teacher_name} is another one by content since the run was started ({known} -> "
                f"{now}). Put the old one back, or start a new run."
            )

    @property
    def is_taught(self) -> bool:
        """Whether the loss has a term with the teacher's answers."""
        return self._asks or self.sequence

    @property
    def _asks(self) -> bool:
        """Whether the loss reads what the teacher says of each batch."""
        return self.alpha < 1 or self.beta > 0 or bool(self.inner.chosen)

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
        name, rows = data.training_rows()
        same_tokens = view.encoded(name).fingerprint == data.encoded(name).fingerprint
        if self.task.kind in ("qa", "text") and not same_tokens:
            raise TransferlabError(
                f"model.teacher: {self.teacher_name} reads other tokens than the student, so that its logits, one for "
                "each token, cannot be imitated; take a teacher with the student's tokenizer."
            )
        if self.task.kind == "text":
            self.frozen_work.append(f"{values.field} in every step: one for each word of the vocabulary at each token")
        elif work.epochs > 1 or not same_tokens or self.others:
            parts = [(name, rows)]
            if values.field == "teacher" and (texts := data.unlabelled_rows()):
                parts.append((UNLABELLED, np.arange(texts)))
            self.frozen_work.append(frozen.keep(data, work, values, parts, view))
        else:
            self.frozen_work.append(f"{values.field} in every step: a single epoch sees each example once anyway")
        if values.field not in data.attached:
            if not same_tokens or self.others:
                raise TransferlabError(
                    f"model.teacher: {self.teacher_name} {self._why_kept(same_tokens)}, so its answers must be "
                    f"cached on disk, but {self.frozen_work[-1]}."
                )
            # not a part of this module: a teacher neither learns nor belongs into a checkpoint
            self._ask[values.field] = values.compute

    def _why_kept(self, same_tokens: bool) -> str:
        return "is one of several teachers" if same_tokens else "reads other tokens than the student"

    def represent(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the head reads, and the mask of real positions; see `Strategy.represent`."""
        vectors, mask = super().represent(batch)
        self._vectors = vectors if self.beta else None
        return vectors, mask

    @property
    def reads_unlabelled(self) -> bool:
        """Whether the loss has a term with `data.unlabelled`: the teacher answers to them too."""
        return super().reads_unlabelled or self.alpha < 1

    def take_unlabelled(self, data: TaskDataModule) -> None:
        """Takes the unlabelled texts of the data, where there are any."""
        super().take_unlabelled(data)
        self._answers_unlabelled = self.alpha < 1 and data.unlabelled is not None

    def unlabelled_loss(self, texts: Batch, copies: Batch | None) -> Tensor:
        """What unlabelled texts add: ``(1 - alpha) T^2 KL(p_T || q_T)``, and their consistency."""
        loss = super().unlabelled_loss(texts, copies)
        if not self._answers_unlabelled:
            return loss
        texts = self.answered(texts)
        assert texts.teacher is not None
        reachable = self._reachable(texts)
        # no labels, but where there is a word to be judged
        labels = texts.index * 0 if reachable is None else torch.where(reachable, 0, IGNORE)
        imitation = self.judged.imitation(
            self(texts).float(), texts.teacher.float(), labels, self.temperature, reachable
        )
        return loss + (1 - self.alpha) * imitation

    def check_steady(self) -> None:
        """Refuses what cannot work: vectors that are mixed are not those that the teacher's are compared with.

        Raises:
            TransferlabError: `model.steady.mixup` beside `model.beta`.
        """
        super().check_steady()
        if self.steady.mixup is not None and self.beta:
            raise TransferlabError("model.steady.mixup: mixed vectors are not the teacher's; set model.beta: 0.")

    def answered(self, batch: Batch) -> Batch:
        """The batch with the teacher's answers, where it is asked in every step."""
        for field, ask in self._ask.items():
            if getattr(batch, field) is None:
                batch = batch._replace(**{field: ask(batch)})  # type: ignore[arg-type]  # every answer is a tensor
        return batch

    def loss(self, logits: Tensor, batch: Batch, last: bool = False) -> Tensor:
        """The distillation loss of the batch that went through the student last, a scalar.

        Raises:
            TransferlabError: The teacher was not asked.
        """
        batch = self.answered(batch)
        assert batch.labels is not None
        if self.alpha < 1 and batch.teacher is None:
            raise TransferlabError(
                "The teacher's answers are missing: train with callbacks=transferlab.run_callbacks(), or with "
                "transferlab.FrozenWork() among them."
            )
        loss = distillation_loss(
            self.judged,
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
        if self.inner.chosen:
            loss = loss + self.inner_loss(batch)
        return loss


def _words(split: EncodedSplit) -> Any:
    return None if split.words is None else split.words.lengths
