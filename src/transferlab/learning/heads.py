"""Task heads: from pooled or token vectors to logits. The kind of the task picks the output shape."""

from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.encoders.recurrent import run_lstm
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least, probability
from transferlab.learning.kinds import KINDS
from transferlab.learning.nearby import Neighbours
from transferlab.tasks.spec import TaskSpec


@dataclass(frozen=True)
class HeadConfig:
    """A task head.

    Attributes:
        kind: ``linear``; ``mlp``: ``W2 tanh(W1 x) + b``; ``bilstm``: a bidirectional LSTM over the token vectors.
        hidden: Width of the hidden layer or of each LSTM direction; 0: as wide as the encoder.
        layers: Number of LSTM layers.
        dropout: Dropout probability before the head and inside it.
        lr: Learning rate of the head; null: the one of the optimizer.
        decoding: For tagging: ``argmax`` of each word, or ``constrained``, the best sequence of tags that
            their scheme allows.
        unit: Whether vectors are brought to length one first, as sentence encoders are compared; null: no. How two
            texts compare (`data.pairs` ``apart``) is of such vectors anyway.
        start: ``solved``: before training a linear head is solved on what the pretrained encoder gives, see
            `transferlab.strategies.head_start`; null: it starts at random.
        longest: For questions: tokens that an answer may have; null: 30.
        n_best: For questions: answers that are kept of each, the best first; null: 20.
        intent_weight: For slots: what the intent weighs in the loss; null: 1.
        slots_weight: For slots: what the tags weigh in the loss; null: 1.
    """

    kind: Literal["linear", "mlp", "bilstm"] = "linear"
    hidden: int = 0
    layers: int = 1
    dropout: float = 0.1
    lr: float | None = None
    decoding: Literal["argmax", "constrained"] = "argmax"
    unit: bool | None = None
    start: Literal["solved"] | None = None
    longest: int | None = None
    n_best: int | None = None
    intent_weight: float | None = None
    slots_weight: float | None = None

    def __post_init__(self) -> None:
        at_least(0, model__head__hidden=self.hidden)
        at_least(1, model__head__longest=self.longest, model__head__n_best=self.n_best)
        at_least(1, model__head__layers=self.layers)
        probability(model__head__dropout=self.dropout)
        at_least(0, model__head__lr=self.lr)
        at_least(0, model__head__intent_weight=self.intent_weight, model__head__slots_weight=self.slots_weight)
        if self.shares == (0, 0):
            raise TransferlabError("model.head.intent_weight: with both weights 0 there is no loss; raise one of them.")

    @property
    def shares(self) -> tuple[float, float]:
        """What intent and slots weigh in the loss."""
        weights = (self.intent_weight, self.slots_weight)
        return (1.0 if weights[0] is None else weights[0], 1.0 if weights[1] is None else weights[1])


class Head(nn.Module):
    """Logits from vectors; a strategy may put nearest neighbours into the place of its last layer, `out`.

    Args:
        config: Which head.
        width: Width of the incoming vectors.
        task: Gives the number of outputs.

    Raises:
        TransferlabError: Constrained decoding of tags that mark no entities.
    """

    def __init__(self, config: HeadConfig, width: int, task: TaskSpec) -> None:
        super().__init__()
        if config.decoding == "constrained" and task.worded and not task.entities:
            raise TransferlabError(
                "model.head.decoding: constrained is for tags of entities, of which some may not follow others; "
                f"those of task {task.name!r} mark none, so use argmax."
            )
        self.per_word = task.per_word
        self.kind = KINDS[task.kind]
        self.unit = bool(config.unit) and not task.apart
        hidden = config.hidden or width
        self.dropout = nn.Dropout(config.dropout)
        self.lstm: nn.LSTM | None = None
        self.inner: nn.Module = nn.Identity()
        if config.kind == "bilstm":
            self.lstm = nn.LSTM(width, hidden, config.layers, batch_first=True, bidirectional=True)
            width = 2 * hidden
        elif config.kind == "mlp":
            # W1 carries no bias: W2 tanh(W1 x) + b
            self.inner = nn.Sequential(nn.Linear(width, hidden, bias=False), nn.Tanh(), nn.Dropout(config.dropout))
            width = hidden
        self.out: nn.Linear | Neighbours
        # where texts are written there are no outputs: the head is part of the model
        self.out = nn.Linear(width, task.outputs) if task.outputs else cast(nn.Linear, nn.Identity())

    @property
    def reads_tokens(self) -> bool:
        """Whether the head wants token vectors even where the task has one label per text."""
        return self.lstm is not None

    def scaled(self, vectors: Tensor) -> Tensor:
        """The vectors, with `HeadConfig.unit` at length one."""
        return F.normalize(vectors, dim=-1) if self.unit else vectors

    def forward(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """Computes logits.

        Args:
            vectors: ``[batch, hidden]``, or ``[batch, length, hidden]`` for tagging and for heads that read tokens.
            mask: Real positions ``[batch, length]``, for an LSTM.

        Returns:
            ``[batch, classes]``, for regression ``[batch]``, for tagging ``[batch, length, classes]``.
        """
        # logits in float32: bf16 has 8 bits of mantissa, too few to rank by
        with torch.autocast(vectors.device.type, enabled=False):
            hidden = self.dropout(self.scaled(vectors.to(self.out.weight.dtype)))
            if self.lstm is not None:
                assert mask is not None
                hidden = self.dropout(run_lstm(self.lstm, hidden, mask))
                if not self.per_word:
                    hidden = hidden.masked_fill(~mask.bool().unsqueeze(-1), -torch.inf).amax(1)
            logits: Tensor = self.out(self.inner(hidden)).float()
        return self.kind.logits(logits)
