"""A linear head on cached features, solved instead of stepped; its penalty is chosen on the validation set."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning import convex
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.kinds import KINDS
from transferlab.learning.kinds.tagging import real_words
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import Examples

Solver = Literal["lbfgs", "sgd"]
STRENGTHS = tuple(10.0 ** (number / 2) for number in range(-8, 7))
"""Inverse strengths of the L2 penalty that are compared, from 0.0001 to 1,000."""
PATIENCE = 2
"""Weaker penalties that may bring nothing better before the search ends."""
PLATEAU = 0.01
"""Part of the loss under the strongest penalty by which another one has to differ from it for the search to end."""
SENTENCES = 256
"""Sentences whose words are laid out at once."""


class Found(NamedTuple):
    """A solved head.

    Attributes:
        linear: The head.
        strength: C, the inverse of its penalty.
        validation: Its mean loss on the validation set.
        tried: How many strengths were compared.
        loss: Its mean loss on the training examples, without the penalty.
    """

    linear: convex.Linear
    strength: float
    validation: float
    tried: int
    loss: float

    @property
    def in_words(self) -> str:
        """What was chosen, for people."""
        return (
            f"L-BFGS to convergence, C {self.strength:.3g} of {self.tried} strengths of the L2 penalty by the loss "
            f"{self.validation:.4f} on the validation set"
        )


class Part(NamedTuple):
    """Training or validation examples as a head reads them, for tagging their words.

    Attributes:
        features: ``[rows, width]``.
        labels: ``[rows]``, for multilabel ``[rows, labels]``.
    """

    features: Tensor
    labels: Tensor

    def loss(self, task: TaskSpec, linear: convex.Linear, weights: Tensor | None) -> float:
        """The mean loss of a head."""
        kind = KINDS[task.kind]
        logits, labels = kind.logits(linear(self.features)), self.labels
        if task.kind == "tagging":
            # a single sentence of all words
            logits, labels = logits[None], labels[None]
        if weights is None:
            return float(kind.loss(logits, labels, None))
        return float(kind.reweighted(logits, labels, None, "weighted", weights))


def refuse(head: HeadConfig, loss: LossForm | None, encoder: EncoderConfig) -> None:
    """Refuses what makes a problem that is not convex, or none on cached features.

    Raises:
        TransferlabError: Names the key and the remedy.
    """
    reasons = {
        f"model.head.kind: {head.kind}": head.kind != "linear",
        "model.loss: focal": loss == "focal",
    }
    for key, unfit in reasons.items():
        if unfit:
            raise TransferlabError(
                f"model.solver: lbfgs solves a convex problem, which {key} is not; set model.solver: sgd (and "
                "trainer.max_epochs), or change that key."
            )
    if encoder.layers == "mix" and encoder.pooling == "max":
        raise TransferlabError(
            "encoder.pooling: max of a mix is no mix of vectors that can be cached; with encoder.layers: mix and "
            "model.solver: lbfgs take mean or cls."
        )


def mixes(layers: int) -> dict[str, Tensor]:
    """The mixes of hidden states that are compared, by name: each one, the mean of the last four, the mean of all.

    Args:
        layers: Number of hidden states, the embeddings included.
    """
    single = {f"layer {number} of {layers - 1}": row for number, row in enumerate(torch.eye(layers))}
    single["the embeddings"] = single.pop(f"layer 0 of {layers - 1}")
    means = {"the mean of the last four": 4} if layers > 4 else {}
    tops = {name: (torch.arange(layers) >= layers - count) / count for name, count in means.items()}
    return single | tops | {"the mean of all": torch.full((layers,), 1 / layers)}


def whole_batches(data: TaskDataModule, split: str, rows: "np.ndarray[Any, Any]") -> Iterator[Batch]:
    """Some rows of a split with their cached features: all at once, for tagging some sentences at a time."""
    encoded = data.encoded(split)
    attached = {"features": data.attached["features"][split]}
    view = Examples(encoded, rows, attached)
    # of like length together, so that little is padding
    order = np.argsort(-encoded.ids.lengths[rows], kind="stable") if encoded.words else np.arange(len(rows))
    parts = -(-len(rows) // SENTENCES) if encoded.words else 1
    for part in np.array_split(order, parts):
        yield view.__getitems__(part.tolist())


def part(batches: Iterable[Batch], represent: Callable[[Batch], Tensor]) -> Part:
    """The examples of some batches, for tagging all words that the encoder saw.

    Args:
        batches: They have features.
        represent: What the head reads of a batch.
    """
    features, labels = [], []
    for batch in batches:
        assert batch.labels is not None
        vectors, wanted = represent(batch), batch.labels
        if batch.words is not None:
            real = real_words(wanted, batch.words >= 0)
            vectors, wanted = vectors[real], wanted[real]
        features.append(vectors)
        labels.append(wanted)
    return Part(torch.cat(features), torch.cat(labels))


def solve(task: TaskSpec, train: Part, validation: Part, weights: Tensor | None) -> Found:
    """The linear head whose penalty gives the least loss on the validation set.

    By the loss and not by the metric, which jumps with single examples of a small validation set. The strengths are
    tried from the strongest penalty on, until some in a row bring nothing better.

    Args:
        task: Its kind says which problem is solved.
        train: What the head is solved on.
        validation: What its penalty is chosen on.
        weights: What each label weighs; None: all alike.
    """
    basis, kind = convex.Basis(train.features), KINDS[task.kind]
    best: tuple[float, float, convex.Linear] | None = None
    linear, since, tried, strongest = None, 0, 0, 0.0
    for strength in STRENGTHS:
        linear = kind.solved(basis, train.labels, task, strength, weights, linear)
        loss, tried, since = validation.loss(task, linear, weights), tried + 1, since + 1
        if best is None or loss < best[0]:
            best, since = (loss, strength, linear), 0
        strongest = loss if tried == 1 else strongest
        # a penalty that leaves the frequencies of the classes alone says nothing of weaker ones
        if since >= PATIENCE and abs(loss - strongest) > PLATEAU * strongest:
            break
    assert best is not None
    loss, strength, linear = best
    return Found(linear, strength, loss, tried, train.loss(task, linear, weights))
