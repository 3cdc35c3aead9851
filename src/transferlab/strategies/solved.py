"""A head on cached features, solved instead of stepped; what it leaves open is chosen on the validation set."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning import convex
from transferlab.learning.heads import Head, HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.kinds import KINDS
from transferlab.learning.kinds.qa import SOLVED
from transferlab.learning.kinds.tagging import real_words
from transferlab.learning.nearby import Neighbours, class_means
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import Examples
from transferlab.tasks.spec import OF_ONE_CLASS, WORDED, Kind

Solver = Literal["lbfgs", "nearest_mean", "knn", "sgd"]
STRENGTHS = tuple(10.0 ** (number / 2) for number in range(-8, 7))
"""Inverse strengths of the L2 penalty that are compared, from 0.0001 to 1,000."""
PATIENCE = 2
"""Weaker penalties that may bring nothing better before the search ends."""
PLATEAU = 0.01
"""Part of the loss under the strongest penalty by which another one has to differ from it for the search to end."""
SCALES = tuple(10.0 ** (number / 2) for number in range(-2, 7))
"""Scales of the distance to a class mean that are compared, from 0.1 to 1,000."""
NEIGHBOURS = (1, 3, 5, 9, 15, 25)
"""Numbers of neighbours that are compared."""
SENTENCES = 256
"""Sentences whose words are laid out at once."""


class Found(NamedTuple):
    """A solved head.

    Attributes:
        out: What maps features to logits.
        validation: Its mean loss on the validation set; None where that was not asked.
        loss: Its mean loss on the training examples, without the penalty.
        in_words: What was chosen, for people.
    """

    out: "convex.Linear | Neighbours"
    validation: float | None
    loss: float
    in_words: str

    @torch.no_grad()
    def into(self, head: Head) -> None:
        """Puts the solution into a head; nearest neighbours are there already."""
        if isinstance(self.out, convex.Linear):
            assert isinstance(head.out, nn.Linear)
            head.out.weight.copy_(self.out.weight)
            head.out.bias.copy_(self.out.bias)


class Part(NamedTuple):
    """Training or validation examples as a head reads them, for tagging their words.

    Attributes:
        features: ``[rows, width]``.
        labels: ``[rows]``, for multilabel ``[rows, labels]``.
    """

    features: Tensor
    labels: Tensor

    def loss(self, task: TaskSpec, out: "convex.Linear | Neighbours", weights: Tensor | None) -> float:
        """The mean loss of a head."""
        kind = KINDS[task.kind]
        logits, labels = kind.logits(out(self.features)), self.labels
        if task.kind == "tagging":
            # a single sentence of all words
            logits, labels = logits[None], labels[None]
        if weights is None:
            return float(kind.loss(logits, labels, None))
        return float(kind.reweighted(logits, labels, None, "weighted", weights))


def refuse(solver: Solver, kind: Kind, head: HeadConfig, loss: LossForm | None, encoder: EncoderConfig) -> None:
    """Refuses what makes a problem that cannot be solved, or not on cached features.

    Raises:
        TransferlabError: Names the key and the remedy.
    """
    if kind == "qa":
        raise TransferlabError(SOLVED.replace("lbfgs", solver))
    reasons = {
        f"model.head.kind: {head.kind}": head.kind != "linear",
        "model.loss: focal": loss == "focal",
    }
    for key, unfit in reasons.items():
        if unfit:
            raise TransferlabError(
                f"model.solver: {solver} solves a convex problem, which {key} is not; set model.solver: sgd (and "
                "trainer.max_epochs), or change that key."
            )
    if loss and solver != "lbfgs":
        raise TransferlabError(
            f"model.loss: {loss} has no effect with model.solver: {solver}, which minimises no loss; leave it out, or "
            "set model.solver: lbfgs."
        )
    if solver == "knn" and kind == "slots":
        raise TransferlabError(
            "model.solver: knn keeps one set of training vectors, and intents and slots have two; set lbfgs, "
            "nearest_mean or sgd."
        )
    if solver == "nearest_mean" and kind not in (*OF_ONE_CLASS, *WORDED):
        raise TransferlabError(
            f"model.solver: nearest_mean needs one class for each example, which {kind} has not; set lbfgs or knn."
        )
    if encoder.layers == "mix" and encoder.pooling == "max":
        raise TransferlabError(
            "encoder.pooling: max of a mix is no mix of vectors that can be cached; with encoder.layers: mix and "
            f"model.solver: {solver} take mean or cls."
        )


def mixes(layers: int) -> dict[str, Tensor]:
    """The mixes of hidden states that are compared, by name: each one, the mean of the last four, the mean of all.

    Args:
        layers: Number of hidden states, the embeddings included.

    Returns:
        Shares ``[layers]``, which add up to 1.
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


class Ask(NamedTuple):
    """Which head is solved.

    Attributes:
        solver: How.
        strength: C of ``lbfgs``, or the scale of ``nearest_mean``; None: the best on the validation set.
        neighbours: k of ``knn``; None: the best on the validation set.
    """

    solver: Solver = "lbfgs"
    strength: float | None = None
    neighbours: int | None = None

    @property
    def idle(self) -> dict[str, str]:
        """Keys that are set and play no part, with the reason."""
        found = {}
        if self.strength is not None and self.solver not in ("lbfgs", "nearest_mean"):
            found["model.strength"] = f"{self.solver} has no penalty and no scale"
        if self.neighbours is not None and self.solver != "knn":
            found["model.neighbours"] = "only knn asks neighbours"
        return found


def solve(
    task: TaskSpec,
    train: Part,
    validation: Part | None,
    weights: Tensor | None,
    ask: Ask = Ask(),  # noqa: B008  immutable
    head: Head | None = None,
) -> Found:
    """The head whose penalty, scale or number of neighbours gives the least loss on the validation set.

    By the loss and not by the metric, which jumps with single examples of a small validation set. Penalties are
    tried from the strongest on, until some in a row bring nothing better.

    Args:
        task: Its kind says which problem is solved.
        train: What the head is solved on.
        validation: What is left open is chosen on it; None where nothing is.
        weights: What each label weighs; None: all alike.
        ask: Which head.
        head: For ``knn``, the head that keeps the training vectors.
    """
    if task.intents:
        return _both(task, train, validation, weights, ask)
    match ask.solver:
        case "knn":
            assert head is not None
            return _neighbours(task, train, validation, ask.neighbours, head.out)
        case "nearest_mean":
            scales = SCALES if ask.strength is None else (ask.strength,)

            def by_means(scale: float, _: convex.Linear | None) -> convex.Linear:
                return class_means(train.features, train.labels, len(task.labels), scale)

            value, out, loss, tried = _best(task, validation, None, scales, by_means)
            words = f"the nearest of the class means, scale {value:.3g}"
            return Found(out, loss, train.loss(task, out, None), words + _chosen("scales of the distance", tried, loss))
    basis, kind = convex.Basis(train.features), KINDS[task.kind]
    strengths = STRENGTHS if ask.strength is None else (ask.strength,)

    def by_loss(strength: float, start: convex.Linear | None) -> convex.Linear:
        return kind.solved(basis, train.labels, task, strength, weights, start)

    value, out, loss, tried = _best(task, validation, weights, strengths, by_loss)
    words = f"L-BFGS to convergence, C {value:.3g}{_chosen('strengths of the L2 penalty', tried, loss)}"
    return Found(out, loss, train.loss(task, out, weights), words)


def _both(task: TaskSpec, train: Part, validation: Part | None, weights: Tensor | None, ask: Ask) -> Found:
    """The two heads of intents and slots, each solved on its own rows; no loss joins them."""
    tags = len(task.tags)
    heads = {
        "slots": (task._replace(kind="tagging", labels=task.tags), 0, tags),
        "intents": (task._replace(kind="classification", labels=task.intents), tags, len(task.labels)),
    }
    found = {}
    for name, (own, first, behind) in heads.items():
        sides = [None if side is None else _between(side, first, behind) for side in (train, validation)]
        assert sides[0] is not None
        found[name] = solve(own, sides[0], sides[1], None if weights is None else weights[first:behind], ask)
    outs = [one.out for one in found.values() if isinstance(one.out, convex.Linear)]
    losses = [one.validation for one in found.values() if one.validation is not None]
    return Found(
        convex.Linear(torch.cat([out.weight for out in outs]), torch.cat([out.bias for out in outs])),
        sum(losses) if losses else None,
        sum(one.loss for one in found.values()),
        "; ".join(f"{name}: {one.in_words}" for name, one in found.items()),
    )


def _between(side: Part, first: int, behind: int) -> Part:
    """The rows whose labels lie in a range, counted from its beginning."""
    rows = (side.labels >= first) & (side.labels < behind)
    return Part(side.features[rows], side.labels[rows] - first)


def _best(
    task: TaskSpec,
    validation: Part | None,
    weights: Tensor | None,
    values: Sequence[float],
    solution: Callable[[float, convex.Linear | None], convex.Linear],
) -> tuple[float, convex.Linear, float | None, int]:
    """The value with the least loss on the validation set, its solution, that loss, and how many were tried."""
    if validation is None:
        return values[0], solution(values[0], None), None, 1
    best: tuple[float, float, convex.Linear] | None = None
    linear, since, tried, strongest = None, 0, 0, 0.0
    for value in values:
        linear = solution(value, linear)
        loss, tried, since = validation.loss(task, linear, weights), tried + 1, since + 1
        if best is None or loss < best[0]:
            best, since = (loss, value, linear), 0
        strongest = loss if tried == 1 else strongest
        # a penalty that leaves the frequencies of the classes alone says nothing of weaker ones
        if since >= PATIENCE and abs(loss - strongest) > PLATEAU * strongest:
            break
    assert best is not None
    return best[1], best[2], best[0], tried


def _neighbours(task: TaskSpec, train: Part, validation: Part | None, k: int | None, out: nn.Module) -> Found:
    assert isinstance(out, Neighbours)
    out.remember(train.features, train.labels)
    losses: dict[int, float] = {}
    # more than there are cannot vote
    for count in [min(k, len(train.features))] if k else [n for n in NEIGHBOURS if n <= len(train.features)]:
        out.k.fill_(count)
        losses[count] = validation.loss(task, out, None) if validation else 0.0
    best = min(losses, key=lambda count: losses[count])
    out.k.fill_(best)
    loss = losses[best] if validation else None
    words = f"the {best} nearest of {len(train.features):,} training vectors"
    words += f" (model.neighbours: {k} is more than there are)" if k and k > best else ""
    return Found(out, loss, train.loss(task, out, None), words + _chosen("numbers of neighbours", len(losses), loss))


def _chosen(what: str, tried: int, loss: float | None) -> str:
    """How a value was chosen, in words."""
    if loss is None:
        return ""
    many = f" of {tried} {what} by the" if tried > 1 else ", the only one;"
    return f"{many} loss {loss:.4f} on the validation set"
