"""An answer in a text, or none: start and end logits over the tokens of each window and the token of no answer."""

from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from transferlab.learning.kinds.base import Factory, Learned
from transferlab.tasks.batch import IGNORE
from transferlab.tasks.passages import Passages
from transferlab.tasks.questions import FIRST, FLAGS, LAST
from transferlab.tasks.spans import BEST, LONGEST, Spans, best_spans, best_threshold
from transferlab.tasks.spec import TaskSpec
from transferlab.tasks.squad import scores

MARGIN, EXACT, F1, NONE = range(4)
"""What is counted of a question: margin of no answer, scores of the best span, and of no answer."""


class AnswerScores(Metric):
    """Exact match and F1 of answers, see `transferlab.tasks.squad`; kept question by question for the threshold.

    Attributes:
        rows: ``[questions, 4]``: margin of no answer, exact match and F1 of the best span, and what no answer scores.
        threshold: The margin above which a question has no answer.
    """

    full_state_update = False
    higher_is_better = True
    rows: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("rows", default=[], dist_reduce_fx="cat")
        self.threshold = float("inf")

    def update(self, rows: Tensor, labels: Tensor) -> None:
        """Keeps a batch ``[batch, 4]``; the labels of its tokens are not looked at."""
        self.rows.append(rows.detach())

    def compute(self) -> dict[str, Tensor]:
        """Returns exact_match and f1."""
        rows = dim_zero_cat(self.rows)
        none = rows[:, MARGIN] > self.threshold
        values = {"exact_match": EXACT, "f1": F1}
        return {name: torch.where(none, rows[:, NONE], rows[:, at]).mean() for name, at in values.items()}


class Questions(Learned):
    """Cross-entropy of the first and the last token of the answer, their mean, over the tokens of each window.

    A window without the answer has the token of no answer for both. The best span over all windows is the answer; where
    no answer is better by more than a threshold, there is none (Devlin et al. 2018, section 4.3,
    https://arxiv.org/abs/1810.04805). The threshold is fitted on the validation set; it is infinite where each question
    there has an answer.
    """

    metrics: ClassVar[Mapping[str, Factory]] = dict.fromkeys(("f1", "exact_match"), lambda task: AnswerScores())
    thresholded = True
    no_classes = "answers are places in a text, not classes"

    def loss(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """``mean_w -(log p_start(first_w) + log p_end(last_w)) / 2`` over the windows w of the batch."""
        totals, count = self._windows(logits, labels)
        return totals.sum() / count.sum().clamp(min=1)

    def losses(self, logits: Tensor, labels: Tensor, mask: Tensor | None) -> Tensor:
        """The mean over the windows of each question."""
        totals, count = self._windows(logits, labels)
        return totals / count.clamp(min=1)

    def _windows(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The sum of the losses of the windows of each question, and their number, both ``[batch]``."""
        real, unit = _units(labels)
        logs = _log_softmax(logits, real, unit)
        flags = labels.clamp(min=0) % FLAGS
        first, last = real & (flags % 2 == FIRST), real & (flags >= LAST)
        totals = -(logs[..., 0].masked_fill(~first, 0.0) + logs[..., 1].masked_fill(~last, 0.0)).sum(-1) / 2
        return totals, first.sum(-1)

    def imitation(
        self, student: Tensor, teacher: Tensor, labels: Tensor, temperature: float, mask: Tensor | None
    ) -> Tensor:
        """``T^2`` times the mean of ``KL(p || q)`` over the tokens of a window, over windows and both ends.

        Raises:
            ValueError: Student and teacher differ in shape.
        """
        if student.shape != teacher.shape:
            raise ValueError(f"student and teacher differ in shape: {list(student.shape)} and {list(teacher.shape)}")
        real, unit = _units(labels)
        q, p = (_log_softmax(one / temperature, real, unit) for one in (student, teacher))
        apart = (p.exp() * (p - q)).masked_fill(~real.unsqueeze(-1), 0.0).sum() / 2
        windows = (real & (labels % FLAGS % 2 == FIRST)).sum().clamp(min=1)
        return temperature**2 * apart / windows

    def start(self, task: TaskSpec) -> Tensor:
        """No threshold: each question gets its best span."""
        return torch.full((1,), float("inf"))

    def thresholds(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The threshold of the best F1, see `transferlab.tasks.spans.best_threshold`.

        Args:
            logits: What is counted of each question, ``[questions, 4]``.
            labels: Not looked at.
        """
        rows = logits.double().cpu().numpy()
        return torch.tensor([best_threshold(rows[:, MARGIN], rows[:, F1], rows[:, NONE])])

    def evidence(self, outputs: Mapping[str, Any], labels: Tensor) -> tuple[Tensor, Tensor]:
        """What is counted of each question."""
        return outputs["counted"], outputs["index"]

    def members(self, task: TaskSpec) -> dict[str, Metric]:
        """One count of which the names are views."""
        return {"answers": AnswerScores()}

    def at(self, members: Mapping[str, Metric], thresholds: Tensor | None) -> None:
        """Judges by a threshold."""
        for member in members.values():
            assert isinstance(member, AnswerScores)
            member.threshold = float("inf") if thresholds is None else float(thresholds[0])


SOLVED = (
    "model.solver: lbfgs solves for classes, and an answer is a place in a text; set model.solver: sgd (and "
    "trainer.max_epochs)."
)


class Decided(NamedTuple):
    """Answers of a batch.

    Attributes:
        spans: What is known of each question.
        counted: What is counted of it, ``[batch, 4]``.
    """

    spans: list[Spans]
    counted: Tensor


def decide(logits: Tensor, mask: Tensor, passages: Passages, longest: int = LONGEST, best: int = BEST) -> Decided:
    """The best answers of a batch of questions, and what is counted of each.

    Args:
        logits: ``[batch, words, 2]``.
        mask: True for real words ``[batch, words]``.
        passages: What answers are read from.
        longest: Tokens of an answer, at most.
        best: Answers that are kept.
    """
    real = mask.cpu()
    flat = logits.detach().float().cpu()[real].numpy()
    spots, segments = passages.spots[real].numpy(), passages.segments[real].numpy()
    found = best_spans(flat, spots, segments, real.sum(-1).tolist(), longest, best)
    rows = torch.zeros(len(found), 4)
    for number, one in enumerate(found):
        rows[number, MARGIN] = one.margin
        if passages.golds is not None:
            golds, context = passages.golds[number], passages.contexts[number]
            text = context[one.best[0].start : one.best[0].end] if one.best else ""
            rows[number, EXACT], rows[number, F1] = scores(text, golds)
            rows[number, NONE] = scores("", golds)[0]
    return Decided(found, rows.to(logits.device))


def _units(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which tokens count ``[batch, words]``, and the number of the window of each among all of the batch."""
    real = labels != IGNORE
    segments = labels.clamp(min=0) // FLAGS
    width = int(segments.max()) + 1
    rows = torch.arange(len(labels), device=labels.device).unsqueeze(-1)
    return real, rows * width + segments


def _log_softmax(logits: Tensor, real: Tensor, unit: Tensor) -> Tensor:
    """The logarithm of the softmax over the tokens of each window, ``[batch, words, 2]``; 0 where nothing counts."""
    flat, places = logits[real].float(), unit[real]
    if not len(flat):
        return logits.float() * 0
    index = places.unsqueeze(-1).expand_as(flat)
    shape = (int(unit.max()) + 1, flat.shape[-1])
    tops = flat.new_full(shape, -torch.inf).scatter_reduce(0, index, flat.detach(), "amax")
    sums = flat.new_zeros(shape).index_add(0, places, (flat - tops[places]).exp())
    logs = torch.zeros_like(logits, dtype=torch.float32)
    logs[real] = flat - tops[places] - sums[places].log()
    return logs
