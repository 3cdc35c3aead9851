"""Feature extraction: the encoder is frozen, only the head learns."""

from collections.abc import Callable
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least
from transferlab.learning.cache import Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import LossForm
from transferlab.learning.nearby import Neighbours
from transferlab.learning.optim import Schedule, adamw_1e3
from transferlab.learning.steady import Steady
from transferlab.strategies import head_start, solved
from transferlab.strategies.base import Strategy
from transferlab.strategies.forward import encoder_inputs
from transferlab.strategies.solved import Found, Solver
from transferlab.strategies.steadied import MOVED
from transferlab.tasks import Batch, TaskDataModule, TaskSpec

SCHEDULE = Schedule(warmup=0.05)
"""That of a head that is trained in steps."""


class FeatureExtraction(Strategy):
    """Trains a head on the output of a frozen encoder in evaluation mode.

    The features are computed once, in the precision of the Trainer, and kept on disk, unless they change during
    training (a layer mix that is not solved) or take too much room (`cache.limit_gb`).

    Args:
        task: Facts about the task; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        head: The task head.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        loss: For classes of unequal size, see `transferlab.strategies.base.Strategy`.
        solver: ``lbfgs``: a linear head is solved to convergence in one step over all training examples, with the L2
            penalty that is best on the validation set, and with `encoder.layers` ``mix`` on the best layer or mean of
            layers; optimizer and schedule then play no part. ``nearest_mean``: the class whose mean training vector is
            nearest; ``knn``: the votes of the nearest training vectors, which the checkpoint then holds (see
            `transferlab.learning.nearby`). ``sgd`` or null: the head is trained by the optimizer in batches.
        strength: C, the inverse of the penalty of ``lbfgs``, or the scale of the distances of ``nearest_mean``; null:
            the best on the validation set.
        neighbours: How many training vectors vote with ``knn``; null: the best number on the validation set.
        steady: Regularisers of a head that is trained in steps, see `transferlab.learning.steady.Steady`.
    """

    def __init__(
        self,
        task: TaskSpec,
        encoder: EncoderConfig,
        head: HeadConfig = HeadConfig(kind="mlp"),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_1e3,
        schedule: Schedule = SCHEDULE,
        loss: LossForm | None = None,
        solver: Solver | None = None,
        strength: float | None = None,
        neighbours: int | None = None,
        steady: Steady = Steady(),  # noqa: B008  frozen
    ) -> None:
        above(0, model__strength=strength)
        at_least(1, model__neighbours=neighbours)
        self.ask = solved.Ask(solver or "sgd", strength, neighbours)
        self.is_solved = self.ask.solver != "sgd"
        if self.is_solved:
            solved.refuse(self.ask.solver, task.kind, head, loss, encoder)
            self.begins_otherwise = "the head is solved anyway"
            if steady.chosen:
                raise TransferlabError(
                    f"model.steady.{steady.chosen[0]}: a solved head is not trained in steps; set model.solver: sgd, "
                    "or leave it out."
                )
        for name in MOVED:
            if name in steady.chosen:
                raise TransferlabError(
                    f"model.steady.{name}: the frozen encoder is not run in training, so its embeddings cannot be "
                    "moved; leave it out."
                )
        if task.kind == "text":
            raise TransferlabError(
                "model: feature_extraction trains a new head on frozen features, and a text is written by the head "
                "that was pretrained, so nothing would be learned; use lora, or top_layers."
            )
        super().__init__(task, encoder, head, optimizer, schedule, loss, steady)
        if task.new_tokens:
            raise TransferlabError(
                "data.markers: markers and typed put new tokens around the entities, which a frozen encoder has never "
                "read and never learns; use punctuation or none, or a strategy that trains the encoder."
            )
        if task.case:
            raise TransferlabError(
                "data.case: capitals are told through new rows of the encoder, which a frozen one never learns; "
                "leave it out, or use a strategy that trains the encoder."
            )
        self.encoder.backbone.requires_grad_(False)
        if self.ask.solver == "knn":
            self.head.out = Neighbours(task, 0, self.reads)
        self._solve: Callable[[], Found] | None = None
        self._found: dict[str, str] = {}

    pretrained_stays = "the encoder is frozen"

    def without_effect(self) -> dict[str, str]:
        """Adds the dropout of the frozen encoder."""
        keys = ("dropout", "attention_dropout")
        set_ = [key for key in keys if getattr(self.encoder_config, key) is not None]
        found = super().without_effect() | {f"encoder.{key}": "the frozen encoder drops nothing" for key in set_}
        found |= self.ask.idle
        if self.is_solved:
            one = [torch.nn.Parameter(torch.zeros(1))]
            given = {
                "model.head.lr": self.head_config.lr is not None,
                "model.optimizer": self.optimizer(one).defaults != adamw_1e3(one).defaults,
                "model.schedule": self.schedule != SCHEDULE,
            }
            found |= {key: "a solved head takes no steps along a gradient" for key, there in given.items() if there}
        return found

    def learned(self) -> set[str]:
        """Names in `state_dict` that training changes; of nearest neighbours what they stand for too."""
        found = super().learned()
        return found | {f"head.{name}" for name in self.head.state_dict()} if self.ask.solver == "knn" else found

    def findings(self) -> dict[str, str]:
        """Which penalty was chosen."""
        return self._found

    def train(self, mode: bool = True) -> "FeatureExtraction":
        """Keeps the encoder in evaluation mode: without dropout its output is the same every time."""
        super().train(mode)
        self.encoder.backbone.eval()
        return self

    def wrap_data(self, data: TaskDataModule, work: Work = Work()) -> TaskDataModule:  # noqa: B008  immutable
        """Computes the features of all rows that are trained, selected or tested on, or reads them."""
        if self.encoder.mix is not None and not self.is_solved:
            self.frozen_work.append("features in every step: the layer mix is trained")
        elif self.head.reads_tokens and data.settings.truncation == "windows":
            self.frozen_work.append("features in every step: the windows of a document are not cached one by one")
        else:
            tests = [(split, data.test_rows(split)) for split in data.source.test]
            values = head_start.values(self)
            if self.encoder.mix:
                # without the mix, which is chosen afterwards
                values = values._replace(width=values.width * self._layers, compute=self._all_layers)
            self.keep_frozen(data, work, values, [data.training_rows(), data.part_rows("validation"), *tests])
        data.single_step = self.is_solved
        if self.is_solved:
            self._prepare(data)
        return data

    @property
    def _layers(self) -> int:
        """Hidden states that are cached of each text or word."""
        return 1 if self.encoder.mix is None else len(self.encoder.mix.scores)

    def _all_layers(self, batch: Batch) -> Tensor:
        """What `vectors` gives, from every hidden state ``[batch, ..., layers, hidden]``."""
        states = self.encoder.states(**encoder_inputs(batch))
        return torch.stack([self.read(tokens, batch)[0] for tokens in states], -2)

    def vectors(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Those of `Strategy`; where all hidden states are cached, their mix."""
        vectors, mask = super().vectors(batch)
        mix = self.encoder.mix
        if mix is not None and batch.features is not None:
            vectors = torch.einsum("...kh,k->...h", vectors, (mix.gamma * mix.weights).to(vectors.device))
        return vectors, mask

    # a solved head ------------------------------------------------------------------------------------------------

    def _prepare(self, data: TaskDataModule) -> None:
        """Turns the training examples into a single step.

        Raises:
            TransferlabError: The features are not cached, or the examples are drawn anew in every epoch.
        """
        if "features" not in data.attached:
            raise TransferlabError(
                f"model.solver: {self.ask.solver} needs cached features, but {self.frozen_work[-1]}; change that, "
                "or set model.solver: sgd."
            )
        if data.sampling:
            raise TransferlabError(
                f"data.sampling: {data.sampling} draws examples anew in every epoch, but model.solver: "
                f"{self.ask.solver} sees all of them at once; set model.loss: weighted, or model.solver: sgd."
            )
        if self.ask.solver == "knn":
            # as many as there are: the optimizer and a checkpoint to resume from want their places
            self.head.out = Neighbours(self.task, len(data.training_rows()[1]), self.reads)
        self._solve = lambda: self._solution(data)

    @torch.inference_mode()
    def _solution(self, data: TaskDataModule) -> Found:
        weights, mix = self.weights(), self.encoder.mix
        weights = None if weights is None else weights.cpu()
        parts = (data.training_rows(), data.part_rows("validation"))
        batches = [list(solved.whole_batches(data, *part)) for part in parts]

        def best(name: str, shares: Tensor | None) -> tuple[Found, str, Tensor | None]:
            if mix is not None and shares is not None:
                mix.choose(shares)
            train, validation = (
                solved.part(part, lambda batch: self.head.scaled(self.represent(batch)[0])) for part in batches
            )
            return solved.solve(self.task, train, validation, weights, self.ask, self.head), name, shares

        choices = solved.mixes(self._layers).items() if mix is not None else [("", None)]
        found, name, shares = min((best(*choice) for choice in choices), key=lambda one: one[0].validation or 0.0)
        if shares is not None and self.ask.solver == "knn":
            # the head keeps the vectors of the last mix that was tried
            found = best(name, shares)[0]
        self._found = {"solver": found.in_words}
        if mix is not None and shares is not None:
            # else the last one that was tried stays
            mix.choose(shares)
            self._found["layers"] = f"{name}, of {len(choices)} mixes that were solved, by the same loss"
        return found

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """A step of the optimizer; or the one step that solves the head, whose loss has no gradient to follow.

        Raises:
            TransferlabError: The head is to be solved and no features were computed.
        """
        if not self.is_solved:
            return super().training_step(batch, batch_idx)
        if self._solve is None:
            raise TransferlabError(
                f"model.solver: {self.ask.solver} needs cached features: train with "
                "callbacks=transferlab.run_callbacks(), or with transferlab.FrozenWork() among them."
            )
        found = self._solve()
        if (epochs := self.trainer.max_epochs or 1) > 1:
            self._found["solver"] += f"; solved in one epoch, so trainer.max_epochs {epochs} has no effect"
        found.into(self.head)
        # there is nothing better to come
        self.trainer.should_stop = True
        loss = torch.stack([parameter.sum() for parameter in self.head.parameters()]).sum() * 0 + found.loss
        self.log("train/loss", loss.detach(), on_step=False, on_epoch=True, logger=False, batch_size=len(batch.index))
        # at once: what Lightning logs at the end of an epoch is not in the checkpoint of that end
        for logger in self.trainer.loggers:
            logger.log_metrics({"train/loss": found.loss}, step=self.global_step)
        return loss

    def configure_optimizers(self) -> Any:
        """Those of `Strategy`; for a solved head one that counts its step and moves nothing."""
        return torch.optim.SGD(self.head.parameters(), lr=0.0) if self.is_solved else super().configure_optimizers()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds which penalty was chosen."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["transferlab"] |= {"found": dict(self._found)} if self._found else {}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint fits, and reads which penalty was chosen."""
        if self.ask.solver == "knn" and (there := checkpoint["state_dict"].get("head.out.weight")) is not None:
            self.head.out = Neighbours(self.task, len(there), self.reads).to(self.device)
        super().on_load_checkpoint(checkpoint)
        self._found = dict(checkpoint.get("transferlab", {}).get("found", {}))
