"""From a batch to logits: what the head reads of the vectors of the tokens."""

import torch
from torch import Tensor

from transferlab.learning.heads import Head
from transferlab.strategies.evaluation import Evaluated
from transferlab.strategies.forward import (
    COMPARED,
    compared,
    document_mean,
    encoder_inputs,
    first_pieces,
    range_means,
)
from transferlab.strategies.writing import logits_of
from transferlab.tasks import Batch


class Reading(Evaluated):
    """A module of an encoder and a head. Strategies differ in what is put between the two."""

    head: Head
    _cut = 0
    """The layer above which a batch with hidden states goes on."""

    @property
    def reads(self) -> int:
        """Width of the vectors that the head reads."""
        hidden = self.encoder.hidden_size
        return COMPARED * hidden + 1 if self.task.apart else hidden * max(self.task.ranges, 1)

    def represent(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the head reads, and the mask of real positions.

        Returns:
            ``[batch, hidden]`` and None; for tagging ``[batch, words, hidden]`` and ``[batch, words]``; for heads that
            read tokens ``[rows, length, hidden]`` and ``[rows, length]``; for pairs apart what `compared` gives.
        """
        vectors, mask = self.vectors(batch)
        return (compared(vectors), None) if self.task.apart else (vectors, mask)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What `represent` gives, but for pairs apart the vectors of both texts ``[batch, 2, hidden]``."""
        if batch.features is not None:
            return batch.features, batch.word_mask if batch.words is not None else batch.attention_mask
        if batch.states is None:
            tokens = self.encoder(**encoder_inputs(batch))
        else:
            tokens = self.encoder.above(self._cut, batch.states, encoder_inputs(batch))
        return self.read(tokens, batch)

    def read(self, tokens: Tensor, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What `vectors` gives, from the token vectors of a batch."""
        if batch.words is not None:
            # the windows of a question lie one after the other
            tokens = tokens if batch.documents is None else tokens.flatten(0, 1).unsqueeze(0)
            vectors = first_pieces(tokens, batch.words)
            if self.task.intents:
                # the place of the intent stands for the whole text
                whole = self.encoder.pool(tokens, batch.attention_mask, batch.packing)[: batch.rows]
                vectors = torch.cat([whole.unsqueeze(1).to(vectors.dtype), vectors[:, 1:]], 1)
            return vectors, batch.word_mask
        if batch.ranges is not None:
            return range_means(tokens, batch.ranges), None
        packing = batch.packing
        if self.head.reads_tokens:
            if packing is None:
                return tokens, batch.attention_mask
            return packing.pad(tokens[0])[: batch.rows], packing.mask[: batch.rows]
        pooled = self.encoder.pool(tokens, batch.attention_mask, packing)[: batch.rows]
        if self.task.apart:
            return pooled.view(-1, 2, pooled.shape[-1]), None
        return (pooled if batch.documents is None else document_mean(pooled, batch.documents, batch.weights)), None

    def forward(self, batch: Batch) -> Tensor:
        """Logits ``[batch, classes]``, for regression ``[batch]``, for tagging ``[batch, words, classes]``.

        For texts those of the tokens of the targets ``[batch, length, vocabulary]``.
        """
        if batch.targets is not None:
            return logits_of(self.encoder.backbone, batch)
        vectors, mask = self.represent(batch)
        logits: Tensor = self.head(vectors, mask)
        if batch.documents is not None and self.head.reads_tokens and batch.words is None:
            logits = document_mean(logits, batch.documents, batch.weights)
        return logits
