"""Few labels: sentences of one class are pulled together and those of two apart, then a head is solved."""

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.encoders.layers import layer_groups
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.nearby import Neighbours
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.strategies import solved
from transferlab.strategies.base import Strategy
from transferlab.strategies.solved import Solver
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import Examples
from transferlab.tasks.spec import OF_ONE_CLASS

UNIT = HeadConfig(unit=True, dropout=0.0)
"""A linear head on vectors of length one."""


def pair_loss(vectors: Tensor, labels: Tensor) -> Tensor:
    """The contrastive loss of a batch, a scalar.

    ``L = (mean over pairs of one class of (1 - cos(u, v))^2 + mean over pairs of two classes of cos(u, v)^2) / 2``
    over all pairs i < j of the batch, so that neither sort of pair outweighs the other. A sort that the batch does not
    have is left out; a batch of a single example has loss 0. That is the cosine loss of SetFit (Tunstall et al. 2022,
    https://arxiv.org/abs/2209.11055) with each sentence encoded once a step and compared with all others, and without
    the pairs of a sentence with itself.

    Args:
        vectors: ``[batch, width]``.
        labels: Class numbers ``[batch]``.
    """
    unit = F.normalize(vectors.float(), dim=-1)
    first, second = torch.triu_indices(len(labels), len(labels), 1, device=vectors.device)
    cosines = (unit @ unit.T)[first, second]
    same = labels[first] == labels[second]
    parts = [(1 - cosines[same]).square(), cosines[~same].square()]
    means = [part.mean() for part in parts if len(part)]
    return torch.stack(means).mean() if means else vectors.sum() * 0


class Contrastive(Strategy):
    """Tunes the encoder by pairs of training sentences, then solves a head on their vectors, as SetFit does.

    A step reads a batch and takes the gradient of `pair_loss` over all its pairs. Before each validation the training
    examples are encoded once, and a head is solved on them; it takes no part in the gradient. Its settings are fixed,
    and nothing but the checkpoint is chosen on the validation set, since few labels leave none for it. For
    classification of single texts and of joint pairs.

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        head: A linear one; `unit` brings the vectors to length one, as the loss sees them.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        loss: ``weighted``: the head is solved with examples of rare classes counting more; the pairs of two sorts
            count alike anyway. null: all count alike.
        solver: ``lbfgs``: logistic regression; ``nearest_mean``; ``knn``. See `FeatureExtraction`.
        strength: C, the inverse of the L2 penalty of ``lbfgs``, or the scale of ``nearest_mean``.
        neighbours: How many training sentences vote with ``knn``.
        tune_embeddings: Whether the embeddings are trained too. A few sentences have few words, and what the others
            mean would not move along.
    """

    begins_otherwise = "the head is solved before each validation"

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = UNIT,
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule("constant"),  # noqa: B008  frozen
        loss: LossForm | None = None,
        solver: Solver = "lbfgs",
        strength: float = 1.0,
        neighbours: int = 5,
        tune_embeddings: bool = False,
    ) -> None:
        _refuse(task, solver)
        above(0, model__strength=strength)
        at_least(1, model__neighbours=neighbours)
        solved.refuse(solver, task.kind, head, loss, encoder)
        super().__init__(task, encoder, head, optimizer, schedule, loss)
        self.ask = solved.Ask(solver, strength, neighbours)
        if not tune_embeddings:
            for _, parameter in layer_groups(self.encoder.backbone)[0]:
                parameter.requires_grad_(False)
        if solver == "knn":
            self.head.out = Neighbours(task, 0, self.reads)
        self.head.requires_grad_(False)
        self._vectors: Tensor | None = None
        self._found: dict[str, str] = {}

    def learned(self) -> set[str]:
        """Names in `state_dict` that training changes: of the encoder, and the head, which is solved."""
        return super().learned() | {f"head.{name}" for name in self.head.state_dict()}

    def without_effect(self) -> dict[str, str]:
        """Adds what belongs to another head, and a rate of the head."""
        found = super().without_effect()
        if self.ask.solver == "knn" and self.ask.strength != 1:
            found["model.strength"] = "knn has no penalty and no scale"
        if self.ask.solver != "knn" and self.ask.neighbours != 5:
            found["model.neighbours"] = "only knn asks neighbours"
        if self.head_config.lr is not None:
            found["model.head.lr"] = "a solved head takes no steps along a gradient"
        return found

    def findings(self) -> dict[str, str]:
        """How the head was solved."""
        return self._found

    def represent(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """What the head reads; see `Strategy.represent`."""
        self._vectors, mask = super().represent(batch)
        return self._vectors, mask

    def loss(self, logits: Tensor, batch: Batch, last: bool = False) -> Tensor:
        """The contrastive loss of the batch that went through the encoder last, a scalar."""
        assert self._vectors is not None
        assert batch.labels is not None
        return pair_loss(self._vectors, batch.labels)

    def on_validation_start(self) -> None:
        """Solves the head for the encoder as it is, without a random number, so a resumed run does the same.

        Raises:
            TransferlabError: The Trainer was given no data module, whose training examples the head is solved on.
        """
        if self.trainer.state.fn != "fit":
            return
        data = cast(Any, self.trainer).datamodule
        if not isinstance(data, TaskDataModule):
            raise TransferlabError("Contrastive solves its head on the training examples: trainer.fit(model, data).")
        batches = list(self._encoded(data))
        features = torch.cat([vectors for vectors, _ in batches]).cpu()
        train = solved.Part(features, torch.cat([labels for _, labels in batches]))
        if self.ask.solver == "knn":
            self.head.out = Neighbours(self.task, len(features), self.reads).requires_grad_(False)
        weights = self.weights()
        found = solved.solve(self.task, train, None, None if weights is None else weights.cpu(), self.ask, self.head)
        found.into(self.head)
        self.head.to(self.device)
        self._found = {"solver": f"{found.in_words}, on the vectors of {len(features):,} training examples"}

    def _encoded(self, data: TaskDataModule) -> Iterator[tuple[Tensor, Tensor]]:
        """Vectors as the head reads them, and labels, of all training examples on every process."""
        split, rows = data.training_rows()
        view = Examples(data.encoded(split), rows)
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) // data.eval_batch_size)):
            batch = view.__getitems__(part.tolist())
            with self.trainer.precision_plugin.forward_context():
                vectors = super().represent(batch.to(self.device))[0]
            assert batch.labels is not None
            yield self.head.scaled(vectors.float()), batch.labels

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds how the head was solved."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["transferlab"] |= {"found": dict(self._found)} if self._found else {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint fits, and makes room for the training vectors that it holds."""
        there = checkpoint["state_dict"].get("head.out.weight")
        if self.ask.solver == "knn" and there is not None:
            self.head.out = Neighbours(self.task, len(there), self.reads).requires_grad_(False).to(self.device)
        super().on_load_checkpoint(checkpoint)
        self._found = dict(checkpoint.get("transferlab", {}).get("found", {}))


def _refuse(task: TaskSpec, solver: Solver) -> None:
    if task.kind not in OF_ONE_CLASS:
        other = "lora" if task.kind == "text" else "feature_extraction"
        raise TransferlabError(
            f"model: Contrastive pulls together what has the same label; examples of a {task.kind} task have no single "
            f"one. Take another strategy, such as {other}."
        )
    if task.apart:
        raise TransferlabError(
            "data.pairs: apart gives each text of a pair a vector, but Contrastive compares examples by one vector "
            "each; set data.pairs: joint."
        )
    if solver == "sgd":
        raise TransferlabError("model.solver: sgd would train the head in steps; Contrastive solves it: set lbfgs.")
