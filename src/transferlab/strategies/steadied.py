"""Lightning's hooks of the regularisers in `transferlab.learning.steady`; without one of them they do nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from transferlab.encoders.layers import layer_groups, layer_list
from transferlab.ground.errors import TransferlabError
from transferlab.learning import consistency
from transferlab.learning import steady as methods
from transferlab.learning.averaging import Average
from transferlab.learning.heads import Head
from transferlab.learning.kinds import KINDS
from transferlab.learning.steady import STEPS, Steady
from transferlab.strategies.evaluation import Evaluated
from transferlab.tasks import Batch

OF_PRETRAINED = ("mixout", "l2_sp", "noise", "reinit_layers")
MOVED = ("fgm", "freelb")
READ_WHOLE = ("ema", "swa", "l2_sp", "mixout")
"""Regularisers that read or keep whole weights beside those that are trained."""


class Steadied(Evaluated):
    """A module whose training may be made steadier.

    Attributes:
        steady: What is on.
        pretrained_stays: Why the pretrained matrices do not learn; empty where they do.
    """

    steady: Steady
    head: Head
    pretrained_stays = ""

    def learned(self) -> set[str]:
        """Names in `state_dict` that training changes."""
        raise NotImplementedError

    def loss(self, logits: Tensor, batch: Batch, last: bool = False) -> Tensor:
        """Training loss of a batch, a scalar."""
        raise NotImplementedError

    def represent(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the head reads, and the mask of real positions."""
        raise NotImplementedError

    def begin(self, steady: Steady) -> None:
        """Takes the regularisers."""
        self.steady = steady
        self._average: Average | None = None
        self._anchor: dict[str, Tensor] = {}
        self._readied = False
        # that of the run: later every batch has one of its own
        self._drawn_by = torch.initial_seed()

    def check_steady(self) -> None:
        """Refuses what cannot work, by name.

        Raises:
            TransferlabError: A regulariser that this strategy, encoder or kind of task does not go with.
        """
        for name in self.steady.chosen:
            why = self._unfit_to_copies(name) if name in ("mixup", "consistency") else self._unfit(name)
            if why:
                raise TransferlabError(f"model.steady.{name}: {why}; leave it out.")
        if self.steady.reinit_layers is not None:
            self._top_layers(self.steady.reinit_layers)

    def _unfit(self, name: str) -> str:
        """Why a regulariser does not go with strategy, encoder or kind of task; empty where it does."""
        if name == "label_smoothing" and KINDS[self.task.kind].no_classes:
            return KINDS[self.task.kind].no_classes
        if name == "label_smoothing" and self.task.kind == "qa":
            return "the places of an answer are no classes"
        if name in MOVED and self.task.kind == "text":
            return "input and target are embedded one after the other, so there is no one place to move"
        if name in OF_PRETRAINED and self.encoder_config.architecture != "pretrained":
            return "nothing is pretrained"
        if name in OF_PRETRAINED and self.pretrained_stays:
            return self.pretrained_stays
        if name == "mixout" and self.encoder_config.activation_checkpointing:
            return "encoder.activation_checkpointing computes a layer again, with weights that are not mixed"
        if name in ("mixout", "reinit_layers") and layer_list(self.encoder.backbone)[1] is None:
            return "this encoder has no separate layers"
        return ""

    def _unfit_to_copies(self, name: str) -> str:
        """Why vectors cannot be mixed, or texts be compared with their copies; empty where they can."""
        kind, on = self.task.kind, self.steady
        if name == "mixup":
            tokens = self.task.per_word or kind == "text" or self.head.reads_tokens
            return "the head reads tokens, and no single vector of a text" if tokens else ""
        if kind in consistency.WITHOUT:
            return consistency.WITHOUT[kind]
        if kind != "classification" and on.consistency_least is not None:
            return f"{kind} has no most probable class, so leave consistency_least out"
        if kind == "regression" and on.consistency_temperature is not None:
            return "regression has no distribution, so leave consistency_temperature out"
        return ""

    def _top_layers(self, count: int) -> list[nn.Module]:
        name, layers = layer_list(self.encoder.backbone)
        assert layers is not None
        if count > len(layers):
            raise TransferlabError(f"model.steady.reinit_layers: {count} is not in 1 .. {len(layers)}.")
        top = list(layers)[len(layers) - count :]
        inside = {f"encoder.backbone.{name}.{len(layers) - count}.{key}" for key, _ in top[0].named_parameters()}
        if not inside <= self.learned():
            raise TransferlabError(
                f"model.steady.reinit_layers: {count} of the layers that start at random would not be trained; take "
                "fewer, or a larger model.top_layers."
            )
        return top

    # before training ------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Changes the weights that a run starts from; a checkpoint that is read afterwards replaces them."""
        super().setup(stage)
        if stage != "fit" or not self.steady.chosen or self._readied:
            return
        self.check_steady()
        self._readied = True
        known, learned = dict(self.named_parameters()), self.learned()
        generator = torch.Generator().manual_seed(self._drawn_by)
        fresh: set[int] = set()
        if self.steady.reinit_layers is not None:
            std = float(getattr(self.encoder.backbone.config, "initializer_range", 0.02))
            for layer in self._top_layers(self.steady.reinit_layers):
                methods.reinitialise(layer, std, generator)
                fresh |= {id(parameter) for parameter in layer.parameters()}
        body = {n: p for n, p in known.items() if n.startswith("encoder.backbone.") and n in learned}
        kept = {n: p for n, p in body.items() if id(p) not in fresh}
        if self.steady.l2_sp is not None or self.steady.mixout is not None:
            self._anchor = {n: p.detach().clone() for n, p in kept.items()}
        if self.steady.noise is not None:
            methods.add_noise(kept.values(), self.steady.noise, generator)
        if self.steady.ema is not None or self.steady.swa is not None:
            self._average = Average({n: p for n, p in known.items() if n in learned}, self.steady.ema)

    def configure_model(self) -> None:
        """Refuses to split weights that are read as a whole."""
        if self.device_mesh is not None and self.steady.chosen:
            raise TransferlabError(
                f"model.steady.{self.steady.chosen[0]}: not with weights split over processes; use trainer/ddp."
            )

    # the loss of a step ---------------------------------------------------------------------------------------------

    def steady_loss(self, batch: Batch) -> Tensor:
        """The loss of a batch with what is on, a scalar; a mean over its examples, and constants."""
        on = self.steady
        if on.fgm is not None:
            loss = methods.fgm(lambda move: self._loss_at(batch, move), on.fgm, batch.packing)
        elif on.freelb is not None:
            steps = on.freelb_steps or STEPS
            loss = methods.freelb(lambda move: self._loss_at(batch, move), on.freelb, steps, batch.packing)
        elif on.r_drop is not None:
            (one, first), (other, second) = self._pass(batch), self._pass(batch)
            apart = self._apart(first, second, batch) + self._apart(second, first, batch)
            loss = (one + other) / 2 + on.r_drop / 4 * apart
        elif on.mixup is not None:
            loss = self._mixed(self.answered(batch), on.mixup)
        else:
            loss = self._pass(batch)[0]
        if on.l2_sp is not None:
            known = dict(self.named_parameters())
            loss = loss + on.l2_sp * methods.distance(known, self._anchors())
        return loss

    def answered(self, batch: Batch) -> Batch:
        """The batch with all that `loss` compares the answers with."""
        return batch

    def _mixed(self, batch: Batch, size: float) -> Tensor:
        """The loss of mixed vectors, see `Steady.mixup`."""
        share = torch.distributions.Beta(size, size).sample().item()
        order = torch.randperm(len(batch.index)).to(batch.index.device)
        vectors = self.represent(batch)[0]
        logits = self.head(share * vectors + (1 - share) * vectors[order], None)
        labels, teacher = (None if one is None else one[order] for one in (batch.labels, batch.teacher))
        other = batch._replace(labels=labels, teacher=teacher)
        return share * self.loss(logits, batch) + (1 - share) * self.loss(logits, other)

    def consistency(self, texts: Batch, copies: Batch) -> Tensor:
        """How far the answers to copies are from those to their texts, a scalar."""
        with torch.no_grad():
            target = self(texts)
        on = self.steady
        return consistency.consistency_loss(
            self.task.kind, self(copies), target, on.consistency_temperature, on.consistency_least
        )

    def _apart(self, one: Tensor, other: Tensor, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return self.judged.imitation(one.float(), other.float(), batch.labels, 1.0, self._reachable(batch))

    def _anchors(self) -> dict[str, Tensor]:
        self._anchor = {name: value.to(self.device) for name, value in self._anchor.items()}
        return self._anchor

    def _pass(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and logits of a pass through the model."""
        if self.steady.mixout is None:
            logits = self(batch)
        else:
            known, anchor = dict(self.named_parameters()), self._anchors()
            inner = {f"encoder.backbone.{n}" for group in layer_groups(self.encoder.backbone)[1:] for n, _ in group}
            weights = {
                name: methods.mixed(known[name], start, self.steady.mixout)
                for name, start in anchor.items()
                if name in inner and start.ndim > 1
            }
            logits = torch.func.functional_call(self, weights, (batch,))
        return self.loss(logits, batch), logits

    def _loss_at(self, batch: Batch, move: Tensor | None) -> tuple[Tensor, Tensor]:
        """The loss where the word embeddings are moved, and the move as a leaf."""
        used: list[Tensor] = []

        def moved(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
            start = move
            if start is None and self.steady.freelb is not None:
                assert batch.attention_mask is not None
                start = methods.random_move(output.detach(), batch.attention_mask, self.steady.freelb, batch.packing)
            leaf = torch.zeros_like(output) if start is None else start.detach()
            used.append(leaf.requires_grad_())
            return output + leaf

        with _hooked(self.encoder.backbone, moved):
            loss = self._pass(batch)[0]
        return loss, used[0]

    # averages -------------------------------------------------------------------------------------------------------

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Takes the weights after a step into the average."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self._average is not None and self.global_step >= self.total_steps * (self.steady.swa or 0):
            self._average.update()

    def on_fit_start(self) -> None:
        """Continues with the live weights."""
        super().on_fit_start()
        if self._average is not None:
            self._average.hide()

    def on_validation_start(self) -> None:
        """Validates the average, once there is one."""
        if self._average is not None and self.trainer.state.fn == "fit":
            self._average.show()

    def on_validation_end(self) -> None:
        """Continues with the live weights."""
        if self._average is not None and self.trainer.state.fn == "fit":
            self._average.hide()

    def on_fit_end(self) -> None:
        """Leaves the average in the model, as its checkpoints hold it."""
        if self._average is not None:
            self._average.show()

    def save_steady(self, checkpoint: dict[str, Any]) -> None:
        """Writes the average as the weights, and what a run needs to resume beside it."""
        average, kept = self._average, {}
        if average is not None and average.count:
            kept = {"live": average.save(checkpoint["state_dict"]), "count": average.count}
        if self._anchor:
            kept["anchor"] = self._anchor
        if kept and "optimizer_states" in checkpoint:
            checkpoint["steady"] = kept

    def load_steady(self, checkpoint: dict[str, Any]) -> None:
        """Puts back what `save_steady` kept, where training resumes; else the average is what is read."""
        fits = self._trainer is not None and self.trainer.state.fn == "fit"
        if self._average is not None and not fits:
            self._average.live = None
        if not fits or (kept := checkpoint.get("steady")) is None:
            return
        self._anchor = kept.get("anchor", {})
        if self._average is not None and "live" in kept:
            self._average.load(checkpoint["state_dict"], kept["live"], kept["count"])


@contextmanager
def _hooked(backbone: nn.Module, hook: Callable[[nn.Module, Any, Tensor], Tensor]) -> Iterator[None]:
    """Lets a function change the word embeddings, where a prompt stands in front of them too."""
    inner = backbone if hasattr(backbone, "get_input_embeddings") else backbone.backbone
    handle = inner.get_input_embeddings().register_forward_hook(hook)  # type: ignore[operator, union-attr]
    try:
        yield
    finally:
        handle.remove()
