"""A text that is written, token by token."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from transferlab.learning.kinds.tagging import Tagging
from transferlab.learning.overwritten import LARGE, overwritten_loss
from transferlab.tasks import scoring
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.kinds.text import ENDS, Texts
from transferlab.tasks.spec import TaskSpec

SHARES = ENDS[1:]
"""Ends of outputs that are told beside the scores."""
FIXED = 3 + len(SHARES)
"""Columns of a row before those of scores: negative log-likelihood, tokens, whether an output was generated, ends."""


class TextScores(Metric):
    """Scores of outputs as functions of sums over examples, perplexity, and shares of outputs that end badly.

    Attributes:
        rows: The sum over all examples ``[columns]``, see `counted`.
    """

    full_state_update = False
    higher_is_better = True
    rows: Tensor

    def __init__(self, task: TaskSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.names = task.metrics
        self.widths = [counts.shape[1] for counts in columns_of(task, [""], [[""]])]
        self.add_state("rows", default=torch.zeros(FIXED + sum(self.widths)).double(), dist_reduce_fx="sum")

    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Adds a batch ``[batch, columns]``; the tokens of its targets are not looked at."""
        self.rows += rows.detach().double().sum(0)

    def compute(self) -> dict[str, Tensor]:
        """Each score by name, ``perplexity``, and the shares of ``cut``, ``endless`` and ``empty`` outputs."""
        loss, tokens, outputs, *ends = self.rows[:FIXED]
        found: dict[str, Tensor] = {}
        parts = torch.split(self.rows[FIXED:], self.widths)
        for name, part in zip(self.names, parts, strict=True):
            found[name] = torch.as_tensor(float(Texts.sums[name](part.cpu().numpy())), device=self.rows.device)
        # exp of the mean over tokens, not the mean over batches of exps
        found["perplexity"] = (loss / tokens.clamp(min=1)).exp()
        return found | {name: end / outputs.clamp(min=1) for name, end in zip(SHARES, ends, strict=True)}


def columns_of(task: TaskSpec, texts: list[str], references: list[list[str]]) -> list[Any]:
    """What each score of a task is a function of, for each example ``[examples, counts]``."""
    counted = scoring.statistics(texts, references, task.metrics, task.language)
    return [counted[name] for name in task.metrics]


def counted(task: TaskSpec, outputs: Mapping[str, Any], sums: Tensor, tokens: Tensor) -> Tensor:
    """A batch as `TextScores` reads it.

    Args:
        task: Names the scores.
        outputs: ``texts``, ``ends`` and ``references`` of the examples that an output was generated for, and their
            ``places`` in the batch.
        sums: The negative log-likelihood of each target ``[batch]``.
        tokens: Tokens of each target ``[batch]``.
    """
    texts, ends, places = outputs["texts"], outputs["ends"], outputs["places"]
    parts = [torch.from_numpy(part) for part in columns_of(task, texts, outputs["references"])]
    flags = torch.tensor([[1.0, *(end == name for name in SHARES)] for end in ends]).view(len(ends), FIXED - 2)
    rows = torch.zeros(len(sums), FIXED + sum(part.shape[1] for part in parts), dtype=torch.float64)
    rows[:, 0], rows[:, 1] = sums.detach().double().cpu(), tokens.double().cpu()
    rows[places, 2:] = torch.cat([flags.double(), *(part.double() for part in parts)], 1)
    return rows if sums.device.type == "mps" else rows.to(sums.device)


class Written(Tagging):
    """Cross-entropy of the tokens of the targets, their end included; a mean over the tokens of the whole step.

    ``loss = sum_t -log p(y_t | y_<t, x) / tokens``, where label smoothing too counts real tokens only.
    """

    metrics = dict.fromkeys(Texts.sums, TextScores)
    no_classes = ""

    def last_loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """Of many logits without a copy of them: their gradient takes their place."""
        if logits.numel() < LARGE or not logits.requires_grad:
            return super().last_loss(logits, labels, mask)
        return overwritten_loss(logits, labels) / (labels != IGNORE).sum().clamp(min=1)

    def members(self, task: TaskSpec) -> dict[str, Metric]:
        """One sum of which the names are views."""
        return {"texts": TextScores(task)}

    def values(self, members: Mapping[str, Metric], names: tuple[str, ...]) -> dict[str, Tensor]:
        """The scores that the task names, perplexity, and shares of outputs that end badly."""
        (member,) = members.values()
        values: dict[str, Tensor] = member.compute()
        return values
