"""One encoder with a head for each of several tasks, as a LightningModule."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from transferlab.adapters import Method
from transferlab.encoders import EncoderConfig
from transferlab.encoders.layers import layer_groups
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.remembered import Remembered
from transferlab.learning.fitting import Fitted
from transferlab.learning.heads import HeadConfig
from transferlab.learning.optim import Schedule, adamw_1e4, apply_scales, parameter_groups
from transferlab.several.conflicts import cosines
from transferlab.several.keeping import Keeping, Remains
from transferlab.several.mixing import TaskBatch
from transferlab.strategies import FullFineTuning, ParameterEfficient, Strategy, content
from transferlab.tasks import Batch, TaskSpec
from transferlab.tasks.spec import direction

MEAN = "mean"
"""Selects checkpoints by the mean of the leading metrics of all tasks."""


class MultiTask(Remembered, Fitted):
    """Hard parameter sharing (Caruana 1997, https://doi.org/10.1023/A:1007379606734): all tasks train one encoder.

    Each batch is of one task and trains the encoder and that task's head. With accumulated batches the loss of a step
    is the mean over its batches, each the mean over its examples.

    Args:
        tasks: Facts about the tasks by name; linked from the data.
        encoder: What is transferred; linked from the top-level key.
        method: Trains few parameters inside the encoder, shared by all tasks, such as LoRA; null: all of it.
        head: The head of each task.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        weights: What the loss of a task counts; null: 1 for each.
        select: ``mean`` of the leading metrics of all tasks, or the name of the one task whose metric selects.
        keeping: What holds on to tasks that were learned before, in a sequence; null: nothing.

    Raises:
        TransferlabError: A name that is no task.
    """

    def __init__(
        self,
        tasks: dict[str, TaskSpec],
        encoder: EncoderConfig,
        method: Method | None = None,
        head: HeadConfig = HeadConfig(lr=1e-3),  # noqa: B008  frozen
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        weights: dict[str, float] | None = None,
        select: str = MEAN,
        keeping: Keeping | None = None,
    ) -> None:
        super().__init__()
        for name in (*(weights or {}), *([select] if select != MEAN else [])):
            if name not in tasks:
                raise TransferlabError(f"model.select, model.weights: no task {name!r}{near(name, list(tasks))}.")
        for name, task in tasks.items():
            if task.kind == "text":
                raise TransferlabError(
                    f"data.tasks: {name} writes texts, which has no head beside others; train it alone."
                )
        if head.start is not None:
            raise TransferlabError(
                f"model.head.start: {head.start}, but no head of several tasks is solved before training; leave it out."
            )
        self.optimizer, self.schedule, self.head_config, self.method = optimizer, schedule, head, method
        self.loss_weights, self.select = weights or {}, select
        parts: dict[str, Strategy] = {}
        for name, task in tasks.items():
            part = (
                FullFineTuning(task, encoder, head)
                if method is None
                else ParameterEfficient(task, encoder, method, head)
            )
            if parts:
                # one encoder, in all of them
                part.encoder = next(iter(parts.values())).encoder
            parts[name] = part
        self.parts = nn.ModuleDict(parts)
        self.task = joined(tasks, select)
        self.remains = Remains(keeping)
        self.strict_loading = False
        self.accept_changed_base = False
        self.probes: dict[str, Batch] = {}

    @property
    def primary(self) -> str:
        """The metric that selects checkpoints."""
        return self.task.primary

    @property
    def encoder(self) -> Any:
        """The encoder of all tasks."""
        return next(iter(self.strategies.values())).encoder

    @property
    def strategies(self) -> dict[str, Strategy]:
        """Encoder and head of each task, as a strategy of its own."""
        return dict(self.parts.items())  # type: ignore[arg-type]  # a ModuleDict knows modules only

    def kept(self) -> set[str]:
        """Names in `state_dict` that a checkpoint holds: encoder once, heads, thresholds."""
        found = set()
        for number, (name, part) in enumerate(self.strategies.items()):
            found |= {f"parts.{name}.{one}" for one in part.kept() if not number or not one.startswith("encoder.")}
        return found

    def shared(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters that all tasks train, by name in the encoder."""
        return ((name, one) for name, one in self.encoder.named_parameters() if one.requires_grad)

    # training -----------------------------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Lets the parts know the Trainer."""
        super().setup(stage)
        for part in self.strategies.values():
            part.trainer = self.trainer

    def on_train_start(self) -> None:
        """Tells the method how long the run is."""
        for part in self.strategies.values():
            if isinstance(part, ParameterEfficient):
                part.refuse_missing()
        if self.method is not None:
            self.method.plan(self.encoder.backbone, self.total_steps)

    def forward(self, batch: TaskBatch) -> Tensor:
        """Logits of a batch, as the strategy of its task gives them."""
        logits: Tensor = self.parts[batch.task](batch.batch)
        return logits

    def task_loss(self, batch: TaskBatch) -> Tensor:
        """The loss of a batch without its weight, a scalar."""
        return self.strategies[batch.task].loss(self(batch), batch.batch)

    def training_step(self, batch: TaskBatch, batch_idx: int) -> Tensor:
        """Weighted loss of a batch, and what holds on to earlier tasks; stops the run where it is not finite."""
        # no loss for each task: Lightning would log its last value again in the steps of all other tasks
        loss = self.task_loss(batch)
        self.check_finite(loss)
        self.log("train/loss", loss, prog_bar=True)
        loss = loss * self.loss_weights.get(batch.task, 1.0)
        if (penalty := self.remains.penalty(self, batch)) is not None:
            self.log("train/keeping", penalty)
            loss = loss + penalty
        return loss

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Callable[[], Any] | None = None
    ) -> None:
        """Lets the method follow each optimizer step."""
        super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)
        if self.method is not None:
            self.method.after_step(self.encoder.backbone, self.global_step + 1)

    def configure_optimizers(self) -> Any:
        """Parameter groups, optimizer and schedule."""
        layers = [[parameter for _, parameter in layer] for layer in layer_groups(self.encoder.backbone)]
        inside = {id(parameter) for layer in layers for parameter in layer}
        others = [parameter for parameter in self.parameters() if id(parameter) not in inside]
        optimizer: Optimizer = self.optimizer(parameter_groups(layers, others, self.head_config.lr))
        apply_scales(optimizer)
        scheduler = self.schedule.build(optimizer, self.total_steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    # validation ---------------------------------------------------------------------------------------------------

    def on_validation_epoch_start(self) -> None:
        """Begins the metrics of each task."""
        for part in self.strategies.values():
            part.on_validation_epoch_start()

    def validation_step(self, batch: Batch, batch_idx: int, dataloader_idx: int = 0) -> None:
        """Updates the metrics of a task."""
        [*self.strategies.values()][dataloader_idx].validation_step(batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Logs ``val/TASK/METRIC``, ``val/mean``, ``val/primary``, ``val/loss``, and the cosines of gradients."""
        found = {name: part.validated() for name, part in self.strategies.items()}
        tasks = {name: part.task for name, part in self.strategies.items()}
        leading = {name: direction(tasks[name].primary) * values[tasks[name].primary] for name, values in found.items()}
        logged = {f"val/{name}/{key}": value for name, values in found.items() for key, value in values.items()}
        logged["val/mean"] = torch.stack([*leading.values()]).mean()
        logged["val/loss"] = torch.stack([values["loss"] for values in found.values()]).mean()
        if self.trainer.state.fn == "fit" and len(self.probes) > 1:
            logged |= {f"val/cosine/{pair}": value for pair, value in self.conflicts().items()}
        self.log_dict(logged, sync_dist=True)
        self.log("val/primary", leading.get(self.select, logged["val/mean"]), prog_bar=True, sync_dist=True)

    def conflicts(self) -> dict[str, Tensor]:
        """The cosine of the gradients of each two tasks on `probes`; see `transferlab.several.conflicts`."""
        batches = [TaskBatch(name, batch.to(self.device)) for name, batch in self.probes.items()]
        parameters = [one for _, one in self.shared()]
        # validation runs in inference mode, in which nothing is differentiated
        with torch.inference_mode(False), torch.enable_grad():
            losses: dict[str, Callable[[], Tensor]] = {b.task: lambda b=b: self.task_loss(b) for b in batches}  # type: ignore[misc]
            return cosines(losses, parameters)

    # checkpoints --------------------------------------------------------------------------------------------------

    @property
    def belongs(self) -> content.Belongs:
        """What a checkpoint of this model belongs to."""
        first = next(iter(self.strategies.values()))
        return content.Belongs(first.encoder_config, first.encoder.content, self.task)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps what was trained, and says which encoder and labels it belongs to."""
        content.keep_learned(checkpoint, self.kept(), self.belongs)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that a checkpoint fits.

        Raises:
            TransferlabError: Other tasks or labels, other encoder by name or content, missing or unequal tensors.
        """
        content.check_fits(checkpoint, self.state_dict(), self.kept(), self.belongs)
        leans = any(part.pretrained_stays for part in self.strategies.values())
        if not self.accept_changed_base:
            content.check_base(checkpoint.get("transferlab", {}), self.belongs, leans)
        for part in self.strategies.values():
            if isinstance(part, ParameterEfficient):
                # a checkpoint holds adapters of other runs too
                part.missing = []


def joined(tasks: Mapping[str, TaskSpec], select: str = MEAN) -> TaskSpec:
    """Facts about all tasks as one: its labels are those of each task with its name before."""
    labels = tuple(f"{name}: {label}" for name, task in tasks.items() for label in (task.labels or ("",)))
    each = tuple(f"{name}/{metric}" for name, task in tasks.items() for metric in (*task.metrics, "loss"))
    first = "mean" if select == MEAN else f"{select}/{tasks[select].primary}"
    metrics = tuple(dict.fromkeys((first, "mean", *each)))
    return TaskSpec("+".join(tasks), "classification", labels, metrics)
