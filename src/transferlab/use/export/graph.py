"""Encoder, pooling and head of a run as one function of tensors, which exporters can trace."""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from transferlab.ground.errors import TransferlabError
from transferlab.strategies import ParameterEfficient, Strategy
from transferlab.strategies.forward import compared, range_means
from transferlab.tasks import Batch


class Form(NamedTuple):
    """What a graph reads beside tokens.

    Attributes:
        pairs: Token types: of two texts, for an encoder that tells them apart by these, or of capitals.
        tagging: The first piece of each word.
        windows: Several rows for a text, and how much each counts.
        ranges: Ranges of tokens whose means are read.
        apart: Two rows for an example, one for each text.
        answers: Two logits of each token, 0 where the mask is.
        tags: Where there are intents beside tags, the number of these; 0 without.
    """

    pairs: bool = False
    tagging: bool = False
    windows: bool = False
    ranges: bool = False
    apart: bool = False
    answers: bool = False
    tags: int = 0

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return ("intent_logits", "slot_logits") if self.tags else ("logits",)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs, in order."""
        more = {
            "token_type_ids": self.pairs,
            "words": self.tagging,
            "share": self.windows,
            "ranges": self.ranges,
            "texts": self.apart,
        }
        return ("input_ids", "attention_mask", *(name for name, there in more.items() if there))


class Graph(nn.Module):
    """Logits of tokens.

    Args:
        model: A finished run, in evaluation mode.
        form: What it reads.

    Raises:
        TransferlabError: An LSTM, whose packed sequences have no form that can be exported.
    """

    def __init__(self, model: Strategy, form: Form) -> None:
        super().__init__()
        if model.head.lstm is not None or model.encoder_config.architecture == "bilstm":
            raise TransferlabError(
                "a BiLSTM reads sequences of their own lengths, which no exported graph can hold; "
                "`transferlab predict` and tl.Predictor use the run itself."
            )
        self.encoder = model.encoder
        self.head = model.head
        self.form = form
        if isinstance(model, ParameterEfficient):
            model.method.merge(self.encoder.backbone)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Computes logits.

        Args:
            inputs: As `Form.inputs` names them: ``input_ids``, ``attention_mask`` and ``token_type_ids``
                ``[rows, length]``; ``words``, positions of the first pieces ``[rows, words]``, 0 where a word was cut;
                ``share``, how much each row counts in each text, summing to one, ``[texts, rows]``; ``ranges``, first
                position and the one behind the last of each range, ``[rows, ranges, 2]``; ``texts``, the rows of the
                two texts of each example, ``[examples, 2]``.

        Returns:
            ``[texts, classes]``, for regression ``[texts]``, for tagging ``[rows, words, classes]``, for
            questions ``[rows, length, 2]``; for slots ``[rows, intents]`` and ``[rows, words, tags]``.
        """
        given = dict(zip(self.form.inputs, inputs, strict=True))
        words, share, ranges, texts = (given.pop(name, None) for name in ("words", "share", "ranges", "texts"))
        tokens = self.encoder(**given)
        if self.form.answers:
            logits: Tensor = self.head(tokens)
            return logits * given["attention_mask"].unsqueeze(-1)
        if ranges is not None:
            return self.head(range_means(tokens, ranges))  # type: ignore[no-any-return]
        if words is not None:
            index = words.unsqueeze(-1).expand(-1, -1, tokens.shape[-1])
            vectors = tokens.gather(1, index)
            if tags := self.form.tags:
                whole = self.head(self.encoder.pool(tokens, given["attention_mask"]))
                return whole[:, tags:], self.head(vectors)[:, :, :tags]
            return self.head(vectors)  # type: ignore[no-any-return]
        pooled = self.encoder.pool(tokens, given["attention_mask"])
        if texts is not None:
            return self.head(compared(pooled[texts]))  # type: ignore[no-any-return]
        return self.head(pooled if share is None else share @ pooled)  # type: ignore[no-any-return]

    def shapes(self) -> dict[str, dict[int, Any]]:
        """Which axes of the inputs may have any length, and what they are called."""
        rows = "rows" if self.form.windows or self.form.apart else "batch"
        axes: dict[str, dict[int, Any]] = {name: {0: rows, 1: "length"} for name in self.form.inputs}
        if self.form.tagging:
            axes["words"] = {0: rows, 1: "words"}
        if self.form.ranges:
            axes["ranges"] = {0: rows}
        if self.form.windows:
            axes["share"] = {0: "batch", 1: rows}
        if self.form.apart:
            axes["texts"] = {0: "batch"}
        return axes


def inputs_of(batch: Batch, form: Form) -> tuple[Tensor, ...]:
    """What a graph reads of a padded batch."""
    given = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    if form.pairs:
        assert batch.token_type_ids is not None
        given["token_type_ids"] = batch.token_type_ids
    if form.tagging:
        assert batch.words is not None
        # the place of the intent is no word
        given["words"] = batch.words[:, bool(form.tags) :].clamp(min=0)
    if form.ranges:
        assert batch.ranges is not None
        given["ranges"] = batch.ranges
    if form.windows:
        assert batch.documents is not None
        weights = batch.weights if batch.weights is not None else torch.ones(len(batch.documents))
        share = torch.zeros(len(batch.index), len(batch.documents)).index_put(
            (batch.documents, torch.arange(len(batch.documents))), weights
        )
        given["share"] = share / share.sum(1, keepdim=True)
    if form.apart:
        given["texts"] = torch.arange(2 * len(batch.index)).view(-1, 2)
    return tuple(given[name] for name in form.inputs)


def form_of(model: Strategy, batch: Batch) -> Form:
    """The form of a run, read off a batch of its own."""
    tagging, ranges, apart = model.task.worded, batch.ranges is not None, model.task.apart
    answers = batch.passages is not None
    tags = len(model.task.tags) if model.task.intents else 0
    windows = batch.documents is not None and not (apart or answers)
    return Form(batch.token_type_ids is not None, tagging, windows, ranges, apart, answers, tags)
