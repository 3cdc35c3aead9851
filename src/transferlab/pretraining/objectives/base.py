"""What all objectives share: the loss of a whole step, held-out perplexity, optimizer, and the encoder that is left."""

import copy
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from transferlab.adapters.base import Method
from transferlab.adapters.plain import without_layers
from transferlab.encoders import Encoder, EncoderConfig
from transferlab.encoders.language_head import LanguageHead, positions_of
from transferlab.encoders.layers import layer_groups
from transferlab.encoders.loading import load_from_hub
from transferlab.ground.errors import TransferlabError
from transferlab.ground.remembered import Remembered
from transferlab.learning.fitting import Fitted
from transferlab.learning.optim import Schedule, adamw_1e4, apply_scales, parameter_groups
from transferlab.pretraining.batches import TERMS, TextBatch
from transferlab.pretraining.rows import Reading
from transferlab.pretraining.start import Start, Tokens, load, log_unigram, starts_at_unigram

MAIN = "tokens"
"""The term whose mean is the perplexity's logarithm."""


@dataclass(frozen=True)
class Term:
    """A part of a loss.

    Attributes:
        total: Sum of what it is a mean over, a scalar.
        right: How many of these the model got right, a scalar.
        count: How many there are in this batch.
        of: What it is a mean over, one of `TERMS`.
        weight: What it counts in the loss.
    """

    total: Tensor
    right: Tensor
    count: int
    of: str
    weight: float = 1.0


class Pretraining(Remembered, Fitted):
    """An objective on unlabelled text. A subclass says how text is read and what its loss is a sum of.

    The loss of an optimizer step is, for each term, the sum over all its batches and processes divided by the number of
    what it is a mean over in all of them: ``sum_t w_t sum_i l_ti / n_t``. The numbers are known before the step, since
    rows are functions of their number (`transferlab.pretraining.batches`), so nothing is corrected afterwards.

    Args:
        tokens: Facts about the text; linked from the data.
        encoder: What is pretrained; linked from the top-level key.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        method: Trains a few parameters inside the encoder, such as LoRA, in place of all; they are merged into the
            encoder that is left. Null: all of them.
    """

    reading: Reading
    unigram: Tensor
    head: Any
    primary = "perplexity"

    def __init__(
        self,
        tokens: Tokens,
        encoder: Start,
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        method: Method | None = None,
    ) -> None:
        super().__init__()
        from transformers import AutoTokenizer

        self.start, self.optimizer, self.schedule, self.method = encoder, optimizer, schedule, method
        self.tokenizer: Any = load_from_hub(AutoTokenizer, tokens.tokenizer, tokens.revision)
        counts = torch.from_numpy(np.load(tokens.counts))
        self.register_buffer("unigram", log_unigram(counts), persistent=False)
        model, self.drawn = load(encoder, self.factory(), self.tokenizer)
        size = int(cast(Any, model).get_input_embeddings().weight.shape[0])
        if len(counts) > size:
            raise TransferlabError(f"encoder.name: its tokenizer has {len(counts)} tokens, but the encoder {size}.")
        model.config.use_cache = False
        backbone: Any = getattr(model, model.base_model_prefix, model)
        self.keep(model)
        if method is not None:
            if method.needs_total_steps:
                raise TransferlabError(f"model.method: {type(method).__name__} is not for pretraining; use LoRA.")
            backbone = merging(method, backbone)
        self.encoder = Encoder(backbone, EncoderConfig("new" if encoder.new else encoder.name))
        self._step: dict[str, tuple[Tensor, int]] = {}
        self._found: dict[str, Tensor] = {}

    # what a subclass says -----------------------------------------------------------------------------------------

    @abstractmethod
    def factory(self) -> Any:
        """The class of transformers that finds the architecture."""

    def keep(self, model: Any) -> None:
        """Takes the head out of a model that was loaded."""
        self.head = LanguageHead(model)
        if starts_at_unigram(self.head, self.drawn) and (bias := self.head.output_bias) is not None:
            with torch.no_grad():
                bias[: len(self.unigram)] = self.unigram

    @abstractmethod
    def terms(self, batch: TextBatch) -> dict[str, Term]:
        """The parts of the loss by name; `MAIN` among them."""

    def left(self, backbone: nn.Module) -> dict[str, Any]:
        """The models of transformers that are left, by the name of their folder; ``encoder`` among them."""
        return {"encoder": self.head.whole(backbone)}

    # shared -------------------------------------------------------------------------------------------------------

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence that the encoder reads."""
        return positions_of(self.encoder.backbone.config)

    def token_vectors(self, batch: TextBatch) -> Tensor:
        """Token vectors of a batch ``[rows, length, hidden]``, packed ``[1, tokens, hidden]``."""
        vectors: Tensor = self.encoder(batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.packing)
        return vectors

    @property
    def parts(self) -> int:
        """Batches of a step, of all processes together."""
        return int(self.trainer.accumulate_grad_batches * self.trainer.world_size)

    def training_step(self, batch: TextBatch, batch_idx: int) -> Tensor:
        """What a batch adds to the loss of its step; stops the run where that is not finite."""
        terms = self.terms(batch)
        loss = torch.stack(
            [term.weight * term.total / batch.whole[TERMS.index(term.of)].clamp(min=1) for term in terms.values()]
        ).sum()
        self.check_finite(loss)
        for name, term in terms.items():
            total, count = self._step.get(name, (torch.zeros_like(loss), 0))
            self._step[name] = total + term.total.detach(), count + term.count
        means = {name: total / max(count, 1) for name, (total, count) in self._step.items()}
        weighted = [terms[name].weight * mean for name, mean in means.items()]
        self.log("train/loss", torch.stack(weighted).sum(), prog_bar=True)
        if len(means) > 1:
            self.log_dict({f"train/{name}_loss": mean for name, mean in means.items()})
        # Lightning divides by the batches of a step, DDP by the processes
        return loss * self.parts

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Begins the means of the next step."""
        self._step = {}

    def on_validation_epoch_start(self) -> None:
        """Begins the sums of a validation."""
        self._found = {}

    def validation_step(self, batch: TextBatch, batch_idx: int) -> None:
        """Adds a batch of held-out text."""
        for name, term in self.terms(batch).items():
            sums = torch.stack(
                [term.total.double(), term.right.double(), torch.full_like(term.total, term.count).double()]
            )
            if name == MAIN:
                sums = torch.cat([sums, -self.unigram[batch.labels].double().sum()[None]])
            self._found[name] = self._found.get(name, torch.zeros_like(sums)) + sums

    def on_validation_epoch_end(self) -> None:
        """Logs loss, perplexity and accuracy on held-out text, and the loss of token frequencies alone."""
        found = {name: self.trainer.strategy.reduce(sums, reduce_op="sum") for name, sums in self._found.items()}
        self.log_dict(self.held_out(found))

    def held_out(self, found: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Metrics from sums over held-out text."""
        weights = {name: 1.0 for name in found} | self.weights
        means = {name: (sums[:2] / sums[2].clamp(min=1)).float() for name, sums in found.items()}
        main = found[MAIN]
        values = {
            "val/loss": torch.stack([weights[name] * mean[0] for name, mean in means.items()]).sum(),
            "val/perplexity": (main[0] / main[2]).exp().float(),
            "val/accuracy": means[MAIN][1],
            "val/unigram_loss": (main[3] / main[2]).float(),
        }
        for name, mean in means.items():
            if len(means) > 1:
                values[f"val/{name}_loss"] = mean[0]
            if name != MAIN:
                values[f"val/{name}_accuracy"] = mean[1]
        return values

    @property
    def weights(self) -> dict[str, float]:
        """What terms count in the loss, where that is not 1."""
        return {}

    def configure_optimizers(self) -> Any:
        """Parameter groups, optimizer and schedule."""
        layers = [[parameter for _, parameter in layer] for layer in layer_groups(self.encoder.backbone)]
        inside = {id(parameter) for layer in layers for parameter in layer}
        others = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        optimizer = self.optimizer(parameter_groups(layers, others))
        apply_scales(optimizer)
        scheduler = self.schedule.build(optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def result(self) -> dict[str, Any]:
        """A copy of what was pretrained, as models of transformers by folder; updates are merged into the weights."""
        other = copy.deepcopy(self)
        backbone: Any = other.encoder.backbone
        if other.method is not None:
            other.method.merge(backbone)
            backbone = without_layers(backbone)
        backbone.set_attn_implementation(
            "sdpa"
        ) if backbone.config._attn_implementation == "transferlab_packed" else None
        return other.left(backbone)


def merging(method: Method, backbone: Any) -> Any:
    """Puts a method into a backbone, and makes sure that it can be taken out again with what it learned.

    Raises:
        TransferlabError: It holds parts that cannot be merged into the weights, so that no encoder would be left.
    """
    known = set(backbone.state_dict())
    tuned = method.apply(backbone)
    other = copy.deepcopy(tuned)
    method.merge(other)
    if set(without_layers(other).state_dict()) != known:
        raise TransferlabError(
            f"model.method: the parts of {type(method).__name__} cannot be merged into the weights, so the encoder "
            "would be left without them; use LoRA."
        )
    return tuned
