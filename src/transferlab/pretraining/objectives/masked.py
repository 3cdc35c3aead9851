"""Masked language modelling, alone or with pairs of segments."""

from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor
from torch.nn import functional as F

from transferlab.adapters.base import Method
from transferlab.encoders.encoder import pool
from transferlab.encoders.packing import pool_packed
from transferlab.ground.errors import TransferlabError
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.pretraining.batches import TextBatch
from transferlab.pretraining.objectives.base import MAIN, Pretraining, Term
from transferlab.pretraining.rows import Pairs, Reading
from transferlab.pretraining.start import Start, Tokens

PAIRED = ("bert", "albert")
"""Families with a head for pairs of segments."""


def token_term(logits: Tensor, labels: Tensor) -> Term:
    """Cross-entropy of predicted tokens.

    Args:
        logits: ``[targets, vocabulary]``.
        labels: ``[targets]``.
    """
    total = F.cross_entropy(logits.float(), labels, reduction="sum")
    return Term(total, (logits.argmax(-1) == labels).sum(), len(labels), "targets")


class MaskedLM(Pretraining):
    """Predicts hidden words from what stands around them (Devlin et al. 2019, https://arxiv.org/abs/1810.04805).

    ``L = -1/n sum_i log p(x_i | x_hidden)`` over the n hidden tokens of a step. The head is asked of hidden positions
    only, which gives the same loss. Masks are drawn anew in each epoch (Liu et al. 2019, https://arxiv.org/abs/1907.11692)
    as a function of seed, epoch and row.

    Args:
        tokens: Facts about the text; linked from the data.
        encoder: What is pretrained; linked from the top-level key.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        method: Trains a few parameters inside the encoder, such as LoRA; null: all.
        share: Share of words that are hidden.
        whole_words: Whether all tokens of a word are hidden together, and share 80/10/10.
        pairs: Adds what BERT or ALBERT learn from pairs of segments: ``next``, whether the second one follows
            (section 3.1 of BERT); ``order``, whether the two are swapped (Lan et al. 2020, section 3.1,
            https://arxiv.org/abs/1909.11942). For the families bert and albert. null: masked words alone.
    """

    def __init__(
        self,
        tokens: Tokens,
        encoder: Start,
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        method: Method | None = None,
        share: float = 0.15,
        whole_words: bool = True,
        pairs: Pairs | None = None,
    ) -> None:
        if not 0 < share < 1:
            raise TransferlabError(f"model.share: {share} is not between 0 and 1.")
        self.reading = Reading(share=share, whole_words=whole_words, pairs=pairs)
        super().__init__(tokens, encoder, optimizer, schedule, method)
        family = str(self.encoder.backbone.config.model_type)  # type: ignore[union-attr]
        if pairs and family not in PAIRED:
            raise TransferlabError(f"model.pairs: {family} has no head for pairs; {' and '.join(PAIRED)} have one.")
        if pairs and method is not None:
            # a part of the head, though it lies in the encoder
            for parameter in self.encoder.backbone.pooler.parameters():  # type: ignore[union-attr]
                parameter.requires_grad_(True)

    def factory(self) -> Any:
        """The head for masked words, with pairs both heads."""
        from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

        return AutoModelForPreTraining if self.reading.pairs else AutoModelForMaskedLM

    def terms(self, batch: TextBatch) -> dict[str, Term]:
        """Hidden tokens, and pairs of segments."""
        vectors = self.token_vectors(batch)
        hidden = vectors.flatten(0, 1)[batch.places]
        if not self.reading.pairs:
            return {MAIN: token_term(self.head(hidden).logits[0], batch.labels)}
        output = self.head(hidden, self._pooled(vectors, batch))
        logits = output.seq_relationship_logits if "seq_relationship_logits" in output else output.sop_logits
        there = batch.pairs >= 0
        logits, labels = logits.float()[there], batch.pairs[there]
        total = F.cross_entropy(logits, labels, reduction="sum")
        right = (logits.argmax(-1) == labels).sum()
        found = {MAIN: token_term(output.prediction_logits[0], batch.labels)}
        return found | {"pairs": Term(total, right, int(there.sum()), "pairs")}

    def _pooled(self, vectors: Tensor, batch: TextBatch) -> Tensor:
        """What the head for pairs reads of the first token of each row ``[rows, hidden]``."""
        packing = batch.packing
        first = pool(vectors, batch.attention_mask, "cls") if packing is None else pool_packed(vectors, packing, "cls")
        backbone: Any = self.encoder.backbone
        if backbone.config.model_type == "albert":
            return torch.as_tensor(backbone.pooler_activation(backbone.pooler(first)))
        return torch.as_tensor(backbone.pooler(first[:, None]))
