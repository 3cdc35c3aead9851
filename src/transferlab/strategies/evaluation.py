"""Validation, test and prediction: the same for every strategy."""

import time
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchmetrics import SumMetric

from transferlab.encoders import Encoder, EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.learning.fitting import Fitted
from transferlab.learning.heads import HeadConfig
from transferlab.learning.kinds import KINDS
from transferlab.learning.kinds.base import Learned
from transferlab.learning.kinds.qa import decide
from transferlab.learning.kinds.text import counted
from transferlab.learning.losses import example_losses
from transferlab.learning.metrics import TaskMetrics
from transferlab.learning.scores import Collected
from transferlab.strategies.forward import best_sequences
from transferlab.strategies.step import counts
from transferlab.strategies.writing import target_losses, written
from transferlab.tasks import Batch, TaskSpec
from transferlab.tasks.spans import BEST, LONGEST
from transferlab.tasks.spec import direction


class Evaluated(Fitted):
    """Lightning's hooks of validation, test and prediction, for a module that maps a batch to logits.

    Attributes:
        task: Facts about the task.
        judged: Its kind, as far as it is learned and judged.
        head_config: Says how tags are decoded.
        thresholds: For multilabel, the probability from which each label is given, ``[labels]``; for questions the
            margin above which there is no answer ``[1]``; fitted on the validation set, kept in the checkpoint. None
            for other kinds.
        generated_s: Seconds that generating the outputs of the test sets took.
    """

    task: TaskSpec
    encoder: Encoder
    encoder_config: EncoderConfig
    head_config: HeadConfig
    thresholds: Tensor | None
    generated_s = 0.0
    judged: Learned

    def measure(self, task: TaskSpec) -> None:
        """Creates the metrics of the validation set and of each test set."""
        self.judged = KINDS[task.kind].of(task, self.head_config.shares)
        self.metrics = nn.ModuleDict({split: TaskMetrics(task) for split in ("val", *task.tests)})
        several = KINDS[task.kind].thresholded
        self.seen = Collected() if several else None
        self.register_buffer("thresholds", KINDS[task.kind].start(task) if several else None)
        # sums, since a mean that lets NaN through ignores its weights (torchmetrics 1.9)
        self.validation_loss = nn.ModuleDict({"sum": SumMetric("disable"), "count": SumMetric("disable")})

    def decode(self, logits: Tensor, batch: Batch) -> Tensor:
        """What the metrics read: logits, or for tagging class numbers ``[batch, words]``, "O" where a word was cut.

        For multilabel the labels given ``[batch, labels]``: in validation at one half, since the thresholds were fitted
        there, in test and prediction at the thresholds.
        """
        reachable = self._reachable(batch)
        if reachable is None:
            at_half = self._trainer is not None and self.trainer.state.fn in {"fit", "validate"}
            return KINDS[self.task.kind].decide(logits, None if at_half else self.thresholds)
        tags = len(self.task.tags)
        if not self.task.intents:
            return self._tags(logits, reachable)
        intent = logits[:, :1, tags:].argmax(-1) + tags
        return torch.cat([intent, self._tags(logits[:, 1:, :tags], reachable[:, 1:])], 1)

    def _tags(self, logits: Tensor, reachable: Tensor) -> Tensor:
        if self.head_config.decoding == "argmax":
            return torch.where(reachable, logits.argmax(-1), self.task.outside)
        parted = self.task.spelling.name != "IO"
        return best_sequences(logits, reachable, self.task.tags, self.task.outside, parted)

    def _reachable(self, batch: Batch) -> Tensor | None:
        return None if batch.words is None else batch.words >= 0

    def on_validation_epoch_start(self) -> None:
        """Starts with fresh metric states: those of inference mode could not be updated outside of it."""
        self._metrics_of("val").reset()
        for part in self._loss_sums():
            part.reset()
        if self.seen is not None:
            self.seen.reset()

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Updates the metrics of the validation set; returns what `test_step` returns."""
        outputs = self._evaluate("val", batch) if batch.targets is None else self._write("val", batch, some=True)
        total, number = self._loss_sums()
        number_of = counts(batch, self.judged.per_example)
        total.update(outputs["loss"] * number_of)
        number.update(number_of)
        if self.seen is not None and batch.labels is not None:
            self.seen.update(*KINDS[self.task.kind].evidence(outputs, batch.labels))
        return self._generated_only(outputs) if batch.targets is not None else outputs

    def test_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Updates test metrics; returns logits, losses, numbers of tokens and example ids for the record."""
        split = self.task.tests[dataloader_idx]
        return self._evaluate(split, batch) if batch.targets is None else self._write(split, batch)

    def predict_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> dict[str, Tensor]:
        """Returns logits, numbers of tokens and example ids."""
        return self._outputs(batch, self(batch)) if batch.targets is None else self._written(batch)

    def _evaluate(self, split: str, batch: Batch) -> dict[str, Tensor]:
        logits = self(batch)
        assert batch.labels is not None
        outputs = self._outputs(batch, logits)
        decoded = outputs["counted"] if batch.passages is not None else self.decode(logits, batch)
        self._metrics_of(split).update(decoded, batch.labels)
        return outputs

    def _write(self, split: str, batch: Batch, some: bool = False) -> dict[str, Any]:
        """The loss of all targets and generated outputs, or `some` of them."""
        assert batch.labels is not None
        outputs = self._written(batch, some)
        outputs["loss"] = target_losses(self.encoder.backbone, batch)
        tokens = counts(batch)
        self._metrics_of(split).update(counted(self.task, outputs, outputs["loss"] * tokens, tokens), batch.labels)
        return outputs

    def _written(self, batch: Batch, some: bool = False) -> dict[str, Any]:
        assert self.task.search is not None
        started = time.perf_counter()
        tokenizer = load_tokenizer(self.encoder_config)
        found = written(self.encoder.backbone, tokenizer, batch, self.task.search, some)
        self.generated_s += time.perf_counter() - started
        return {"index": batch.index, "tokens": batch.tokens, **found._asdict()}

    @staticmethod
    def _generated_only(outputs: dict[str, Any]) -> dict[str, Any]:
        """What is recorded of a validation: the examples that an output was generated for."""
        places = outputs["places"].to(outputs["index"].device)
        return outputs | {name: outputs[name][places] for name in ("index", "tokens", "loss")}

    def _outputs(self, batch: Batch, logits: Tensor) -> dict[str, Any]:
        outputs: dict[str, Any] = {"index": batch.index, "logits": logits.float(), "tokens": batch.tokens}
        if batch.labels is not None:
            outputs["loss"] = example_losses(self.judged, logits, batch.labels, self._reachable(batch))
        if batch.passages is not None:
            assert batch.word_mask is not None
            assert self.thresholds is not None
            config = self.head_config
            found = decide(logits, batch.word_mask, batch.passages, config.longest or LONGEST, config.n_best or BEST)
            # the logits of all tokens are not kept; the threshold is: it is fitted after this batch, maybe
            del outputs["logits"]
            return outputs | found._asdict() | {"passages": batch.passages, "threshold": self.thresholds}
        if batch.word_mask is not None:
            outputs |= {"classes": self.decode(logits, batch), "word_mask": batch.word_mask}
        elif self.thresholds is not None:
            outputs["classes"] = self.decode(logits, batch)
        return outputs

    def on_validation_epoch_end(self) -> None:
        """Logs ``val/<metric>``, the primary one also as ``val/primary``, and ``val/loss``.

        Of ``val/primary`` more is always better: of a metric of which less is better the sign is turned.

        The loss is the mean over all examples of the validation set, for tagging over its words, of all processes.
        """
        values = self.validated()
        loss = values.pop("loss")
        self.log_dict({f"val/{name}": value for name, value in values.items()}, sync_dist=True)
        self.log("val/loss", loss, sync_dist=True)
        # more of it is better, whatever the metric: it selects checkpoints, stops, prunes and is searched for
        primary = direction(self.task.primary) * values[self.task.primary]
        self.log("val/primary", primary, prog_bar=True, sync_dist=True)

    def validated(self) -> dict[str, Tensor]:
        """The metrics of a validation that ends, and ``loss``; in training, thresholds are fitted on it first."""
        if self.seen is not None and self.thresholds is not None and self.trainer.state.fn == "fit":
            # before the checkpoint of this validation is written; in place, since this is inference mode
            self.thresholds.copy_(KINDS[self.task.kind].thresholds(*self.seen.compute()))
        values = self._values("val")
        total, number = self._loss_sums()
        if self.seen is not None:
            self.seen.reset()
        return values | {"loss": (total.compute() / number.compute()).float()}

    def on_test_epoch_start(self) -> None:
        """Begins to count the time that generating takes."""
        self.generated_s = 0.0

    def on_test_epoch_end(self) -> None:
        """Logs ``test/<metric>``, for further test splits ``test_<name>/<metric>``."""
        for split in self.task.tests:
            # the metrics are already those of all ranks
            found = {f"{split}/{name}": value for name, value in self._values(split).items()}
            self.log_dict(found, sync_dist=True)

    def _loss_sums(self) -> tuple[SumMetric, SumMetric]:
        return cast(SumMetric, self.validation_loss["sum"]), cast(SumMetric, self.validation_loss["count"])

    def _metrics_of(self, split: str) -> TaskMetrics:
        return cast(TaskMetrics, self.metrics[split])

    def _values(self, split: str) -> dict[str, Tensor]:
        metrics = self._metrics_of(split)
        values = metrics.compute(self.thresholds)
        metrics.reset()
        return {name: value.float() for name, value in values.items()}
