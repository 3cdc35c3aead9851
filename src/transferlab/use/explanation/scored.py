"""A run as a function of the word embeddings of one example."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from transferlab.encoders.new_tokens import type_embeddings
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import Strategy
from transferlab.tasks.batch import Batch, EncodedSplit
from transferlab.use.explanation.reading import SPECIAL, Reading

TOKENS = 8192
"""Tokens that are looked at at once, padding included."""


class Target(NamedTuple):
    """What is explained of an example: a number that the logits give.

    Attributes:
        label: Name of the label, for an entity its type; empty for regression.
        numbers: Class number of the label, for tagging of each of its words; empty for regression.
        first: For tagging the first word.
    """

    label: str
    numbers: tuple[int, ...] = ()
    first: int | None = None

    @property
    def span(self) -> tuple[int, int] | None:
        """For tagging the first word and the one behind the last."""
        return None if self.first is None else (self.first, self.first + len(self.numbers))

    def _own(self, values: Tensor) -> Tensor:
        """The columns of the label: ``[n, 1]`` of ``[n, classes]``, ``[n, words]`` of ``[n, words, classes]``."""
        if self.first is None:
            return values[:, self.numbers[0], None]
        return values[:, range(*self.span or ()), list(self.numbers)]

    def score(self, logits: Tensor, kind: str) -> Tensor:
        """The score ``[n]`` of logits ``[n, ...]``, in which attributions are counted.

        Of one label among others its logit less the mean of those of the others, for two labels the log-odds; of one
        label of several its logit; of regression the prediction; of an entity the mean over its words.
        """
        if kind == "regression":
            return logits
        if kind != "multilabel":
            classes = logits.shape[-1]
            logits = (classes * logits - logits.sum(-1, keepdim=True)) / max(classes - 1, 1)
        return self._own(logits).mean(-1)

    def chance(self, logits: Tensor, kind: str) -> Tensor:
        """The probability ``[n]`` of the label, for an entity the mean over its words; of regression the prediction."""
        if kind == "regression":
            return logits
        return self._own(logits.sigmoid() if kind == "multilabel" else logits.softmax(-1)).mean(-1)


class Scored:
    """The logits of one example, with other word embeddings in the place of its own.

    What does not come from word embeddings (positions, segments, a learned prompt) stays as it is. The capitals that
    a run is told are those of a word: they are added to its embedding, and go with it.

    Args:
        model: A run; it is put into float32 and evaluation mode.
        encoded: The tokenised example, alone.
        reading: The words of its tokens.
        baseline: Token id that stands for no word.

    Attributes:
        kind: Kind of the task.
        actual: Word embeddings of the example ``[rows, length, width]``.
        empty: The same with every token of a text replaced ``[rows, length, width]``.
        owners: The word of each token ``[rows, length]``, below 0 for none.
        words: Number of words.
    """

    def __init__(self, model: Strategy, encoded: EncodedSplit, reading: Reading, baseline: int) -> None:
        self.model = model.float().eval()
        self.kind = model.task.kind
        self.words = reading.words
        self._encoded = encoded
        self._layer = word_embeddings(model)
        batch = encoded.collate([0]).to(model.device)
        owners = torch.full(batch.input_ids.shape, SPECIAL)
        for row, known in enumerate(reading.owners):
            owners[row, : len(known)] = torch.tensor(known)
        self.owners = owners.to(model.device)
        with torch.no_grad():
            self.actual: Tensor = self._layer(batch.input_ids)
            if model.task.case:
                table = type_embeddings(model.encoder.backbone)
                self.actual = self.actual + table(batch.token_type_ids) - table(_without_types(batch).token_type_ids)
            self.empty: Tensor = self._layer(batch.input_ids.masked_fill(self.owners != SPECIAL, baseline))

    @property
    def at_once(self) -> int:
        """Variants of the example that are computed together."""
        return max(TOKENS // self.owners.numel(), 1)

    def logits(self, embeddings: Tensor) -> Tensor:
        """Logits ``[n, ...]`` of embeddings ``[n, rows, length, width]``."""
        batch = self._encoded.collate([0] * len(embeddings)).to(self.model.device)
        if self.model.task.case:
            batch = _without_types(batch)
        with _given(self._layer, embeddings.flatten(0, 1)), torch.backends.cudnn.flags(enabled=False):
            # cuDNN has no gradient of an LSTM in evaluation mode
            return self.model(batch).float()  # type: ignore[no-any-return]

    @torch.no_grad()
    def kept(self, keep: "np.ndarray[Any, Any]") -> Tensor:
        """Logits ``[n, ...]`` where only some words are there.

        Args:
            keep: Which, ``[n, words]``.
        """
        # the last column is for tokens of no word, which stay
        masks = torch.from_numpy(np.pad(keep, ((0, 0), (0, 1)), constant_values=True)).to(self.model.device)
        columns = torch.where(self.owners < 0, self.words, self.owners)
        found = []
        for part in torch.split(masks, self.at_once):
            there = part[:, columns].unsqueeze(-1)
            found.append(self.logits(torch.where(there, self.actual, self.empty)))
        return torch.cat(found)

    def summed(self, values: Tensor) -> "tuple[np.ndarray[Any, Any], float]":
        """Values of tokens ``[rows, length]`` summed to words ``[words]``, and what lies in no word."""
        sums = values.new_zeros(self.words + 1)
        sums.index_add_(0, torch.where(self.owners < 0, self.words, self.owners).flatten(), values.flatten())
        return sums[:-1].cpu().numpy(), float(sums[-1])

    @property
    def read(self) -> set[int]:
        """The words of which the model reads a token."""
        return set(self.owners.flatten().tolist()) - {SPECIAL, -1}


def _without_types(batch: Batch) -> Batch:
    assert batch.token_type_ids is not None
    return batch._replace(token_type_ids=torch.zeros_like(batch.token_type_ids))


def word_embeddings(model: Strategy) -> nn.Module:
    """The layer that gives a token its vector.

    Raises:
        TransferlabError: The encoder has none that is known.
    """
    backbone: Any = model.encoder.backbone
    # under a learned prompt lies the encoder itself
    for part in (backbone, getattr(backbone, "backbone", None)):
        if part is not None and hasattr(part, "get_input_embeddings"):
            return part.get_input_embeddings()  # type: ignore[no-any-return]
    if isinstance(getattr(backbone, "embeddings", None), nn.Embedding):
        return backbone.embeddings  # type: ignore[no-any-return]
    raise TransferlabError(
        f"{model.encoder_config.label} has no layer of word embeddings that is known; explain a run of another encoder."
    )


@contextmanager
def _given(layer: nn.Module, embeddings: Tensor) -> Iterator[None]:
    """Within it the layer gives these embeddings, whatever the tokens are."""
    handle = layer.register_forward_hook(lambda *_: embeddings)
    try:
        yield
    finally:
        handle.remove()


def sequences(encoded: EncodedSplit) -> Sequence[int]:
    """Tokens of each sequence of a single example."""
    if encoded.windows is None:
        return [int(encoded.ids.lengths[0])]
    return [int(length) for length in encoded.windows.row(0)]
