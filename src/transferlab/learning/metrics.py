"""The metrics of a task, on torchmetrics: right on any device and under DDP."""

from typing import cast

from torch import Tensor, nn
from torchmetrics import Metric

from transferlab.learning.kinds import KINDS
from transferlab.learning.scores import SpanF1
from transferlab.tasks.measured import check_metrics
from transferlab.tasks.spec import TaskSpec


class TaskMetrics(nn.Module):
    """The metrics of a task. It holds no parameter and adds nothing to a checkpoint.

    Args:
        task: Its kind, labels and metrics are used.

    Raises:
        TransferlabError: A name is unknown for the kind of the task.
    """

    def __init__(self, task: TaskSpec) -> None:
        super().__init__()
        check_metrics(task)
        self.kind = KINDS[task.kind]
        self.names = task.metrics
        self.members = nn.ModuleDict(self.kind.members(task))

    def update(self, decoded: Tensor, labels: Tensor) -> None:
        """Counts a batch.

        Args:
            decoded: Classification: logits `[batch, classes]`. Regression: predictions `[batch]`. Tagging: predicted
                class numbers `[batch, words]`.
            labels: `[batch]`; tagging: `[batch, words]`, -100 for padding.
        """
        if labels.numel() == 0:
            return
        answers = self.kind.answers(decoded.detach())
        labels = labels.to(answers.dtype) if answers.is_floating_point() else labels
        for member in self._all().values():
            member.update(answers, labels)

    def compute(self, thresholds: Tensor | None = None) -> dict[str, Tensor]:
        """Returns a scalar per name, in the order of `TaskSpec.metrics`; under DDP call it on all ranks.

        Args:
            thresholds: Those that answers to questions are given by; None: each question gets one.
        """
        self.kind.at(self._all(), thresholds)
        return self.kind.values(self._all(), self.names)

    def per_type(self) -> dict[str, dict[str, float]]:
        """Returns `SpanF1.per_type` for tagging, else nothing."""
        return cast(SpanF1, self.members["spans"]).per_type() if "spans" in self.members else {}

    def reset(self) -> None:
        """Forgets all batches."""
        for member in self._all().values():
            member.reset()

    def _all(self) -> dict[str, Metric]:
        """Returns the torchmetrics by name."""
        return {name: cast(Metric, member) for name, member in self.members.items()}


def build_metrics(task: TaskSpec) -> TaskMetrics:
    """Returns the metrics that a task names.

    Raises:
        TransferlabError: A name is unknown for the kind of the task.
    """
    return TaskMetrics(task)
