"""A student whose layers are compared with those of its teacher in every step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from transferlab.encoders.taps import Seen, depth_of, heads_of, projections_of, refuse_turned, tapped
from transferlab.ground.errors import TransferlabError
from transferlab.learning import inner
from transferlab.learning.inner import Inner
from transferlab.learning.losses import representation_loss
from transferlab.strategies.base import Strategy
from transferlab.strategies.forward import encoder_inputs, first_pieces
from transferlab.strategies.teacher import Teacher
from transferlab.tasks import Batch, TaskDataModule

Pairs = dict[int, int]
KEPT = "inner"
"""Where a checkpoint to resume from has the trained map between two widths."""


class ComparedInside(Strategy):
    """A strategy that may have the terms of `transferlab.learning.inner.Inner`; without one it does nothing.

    Attributes:
        inner: What is on.
        project: The map W between two widths, trained and thrown away; None where they agree.
    """

    inner = Inner()
    project: nn.Linear | None
    _own: Seen | None = None
    _look: Callable[[Batch], tuple[Seen, Batch]] | None = None
    _teacher: tuple[Strategy, ...] = ()

    def learned(self) -> set[str]:
        """Names in `state_dict` that training changes, without the map that is thrown away."""
        return {name for name in super().learned() if not name.startswith("project.")}

    def look_at(self, teacher: Teacher, view: TaskDataModule, data: TaskDataModule) -> None:
        """Takes the teacher whose layers are compared.

        Args:
            teacher: A run.
            view: The examples as it reads them.
            data: The examples as the student reads them.

        Raises:
            TransferlabError: It cannot be compared with the student.
        """
        module = teacher.module
        if not isinstance(module, Strategy):
            raise TransferlabError("model.inner: the teacher must be a finished run, so that its layers are known.")
        split = data.training_rows()[0]
        same = view.encoded(split).fingerprint == data.encoded(split).fingerprint
        self._refuse(module, data, same)
        # a tuple, so that it is no part of this module: a teacher neither learns nor belongs into a checkpoint
        self._teacher = (module.requires_grad_(False),)
        own, given = self.encoder.width, module.encoder.width
        mapped = {"patient"} if self.inner.form == "cka" else {"hidden", "embeddings", "patient"}
        if own != given and mapped & set(self.inner.chosen):
            self.project = nn.Linear(own, given, bias=False).to(self.device)

        def look(batch: Batch) -> tuple[Seen, Batch]:
            read = batch if same else view.encoded(split).collate(batch.index.tolist()).to(self.device)
            with torch.no_grad(), tapped(module.encoder.backbone, self.inner.reads_attention) as seen:
                module.encoder(**encoder_inputs(read))
            return seen, read

        self._look = look

    def _refuse(self, teacher: Strategy, data: TaskDataModule, same: bool) -> None:
        on, both = self.inner, (self.encoder.backbone, teacher.encoder.backbone)
        if data.packed or self.encoder_config.compile:
            key = "data.packed" if data.packed else "encoder.compile"
            raise TransferlabError(f"model.inner: layers are compared in padded batches as they run; set {key}: false.")
        by_words = self.task.kind == "tagging" and not on.reads_attention and "patient" not in on.chosen
        pooled = on.chosen == ["patient"] and data.settings.truncation != "windows" and not self.task.per_word
        if not same and not by_words and not pooled:
            raise TransferlabError(
                "model.inner: the teacher reads other tokens than the student. For tagging hidden and embeddings are "
                "compared by words, for texts patient by pooled vectors; all else wants one tokenizer."
            )
        depths = [depth_of(backbone) for backbone in both]
        pairs = inner.layer_map(on.layers, *depths)
        if on.patient is not None and min(pairs) == depths[0]:
            raise TransferlabError("model.inner.patient: it is of layers below the last one; set model.beta instead.")
        if on.embeddings is not None and self.encoder_config.architecture == "bilstm":
            raise TransferlabError("model.inner.embeddings: those of a BiLSTM have another width; leave it out.")
        if on.reads_attention:
            for backbone in both:
                projections_of(backbone)
                if on.attention is not None or "attention" in on.of:
                    refuse_turned(backbone)
            self._heads(teacher)

    def _heads(self, teacher: Strategy) -> tuple[int, int]:
        """Heads of student and teacher."""
        on, found = self.inner, (heads_of(self.encoder.backbone), heads_of(teacher.encoder.backbone))
        if found[0] != found[1] and (on.attention is not None or on.relation_heads is None):
            raise TransferlabError(
                f"model.inner: the student has {found[0]} heads and the teacher {found[1]}, so their attention cannot "
                "be compared; set relations with relation_heads instead."
            )
        return found

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Those of `Strategy`; notes what stands inside where a gradient is asked for."""
        if self._look is None or not torch.is_grad_enabled():
            return super().vectors(batch)
        with tapped(self.encoder.backbone, self.inner.reads_attention) as self._own:
            return super().vectors(batch)

    def inner_loss(self, batch: Batch) -> Tensor:
        """All terms with their weights for the batch that went through the student last, a scalar in float32.

        Raises:
            TransferlabError: The teacher is missing.
        """
        if self._look is None or self._own is None:
            raise TransferlabError(
                "model.inner: the teacher is missing: train with callbacks=transferlab.run_callbacks(), or with "
                "transferlab.FrozenWork() among them."
            )
        (given, read), own, on = self._look(batch), self._own, self.inner
        depths = depth_of(self.encoder.backbone), depth_of(self._teacher[0].encoder.backbone)
        pairs = inner.layer_map(on.layers, *depths)
        terms = []
        if on.hidden is not None:
            terms.append(on.hidden * _mean(self._hidden(own, given, batch, read, *pair) for pair in pairs.items()))
        if on.embeddings is not None:
            terms.append(on.embeddings * self._hidden(own, given, batch, read, 0, 0))
        if on.patient is not None:
            below = {one: other for one, other in pairs.items() if one < depths[0]}
            terms.append(on.patient * _mean(self._pooled(own, given, batch, read, *pair) for pair in below.items()))
        if on.reads_attention:
            tops = pairs if on.layers is not None else {depths[0]: depths[1]}
            terms.append(self._of_attention(own, given, batch.attention_mask.bool(), pairs, tops))
        return torch.stack(terms).sum()

    def _projected(self, states: Tensor) -> Tensor:
        return states if self.project is None else self.project(states)

    def _hidden(self, own: Seen, given: Seen, batch: Batch, read: Batch, layer: int, of: int) -> Tensor:
        one, other, mask = own.states[layer], given.states[of], batch.attention_mask.bool()
        if self.inner.form != "cka":
            one = self._projected(one)
        if read is not batch:
            assert batch.words is not None
            assert read.words is not None
            one, other = first_pieces(one, batch.words), first_pieces(other, read.words)
            mask = (batch.words >= 0) & (read.words >= 0)
        return inner.hidden_loss(one, other, mask, self.inner.form)

    def _pooled(self, own: Seen, given: Seen, batch: Batch, read: Batch, layer: int, of: int) -> Tensor:
        one = self._projected(self.encoder.pool(own.states[layer], batch.attention_mask))
        return representation_loss(one, self._teacher[0].encoder.pool(given.states[of], read.attention_mask))

    def _of_attention(self, own: Seen, given: Seen, mask: Tensor, pairs: Pairs, tops: Pairs) -> Tensor:
        on, (heads, others) = self.inner, self._heads(self._teacher[0])
        total = torch.zeros((), device=mask.device)
        if on.attention is not None:
            total = total + on.attention * _mean(
                inner.attention_loss(
                    inner.scores(own.queries[one], own.keys[one], heads),
                    inner.scores(given.queries[of], given.keys[of], others),
                    mask,
                )
                for one, of in pairs.items()
            )
        if on.relations is not None:
            heads, others = (on.relation_heads or heads), (on.relation_heads or others)
            total = total + on.relations * _mean(
                inner.relation_loss(
                    inner.scores(*_related(own, one, name), heads),
                    inner.scores(*_related(given, of, name), others),
                    mask,
                )
                for one, of in tops.items()
                for name in on.of
            )
        return total

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the map between two widths, where training may resume."""
        super().on_save_checkpoint(checkpoint)
        if self.project is not None and "optimizer_states" in checkpoint:
            checkpoint[KEPT] = {name: value.detach().clone() for name, value in self.project.state_dict().items()}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Puts the map back, where training resumes."""
        super().on_load_checkpoint(checkpoint)
        if self.project is not None and (kept := checkpoint.get(KEPT)) is not None:
            self.project.load_state_dict(kept)


def _related(seen: Seen, layer: int, name: str) -> tuple[Tensor, Tensor]:
    """X and Y of a relation, see `Inner.relations_of`."""
    if name == "attention":
        return seen.queries[layer], seen.keys[layer]
    part = {"query": seen.queries, "key": seen.keys, "value": seen.values}[name][layer]
    return part, part


def _mean(terms: Any) -> Tensor:
    return torch.stack(list(terms)).mean()
