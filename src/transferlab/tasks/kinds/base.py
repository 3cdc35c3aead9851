"""What a kind of task says of its answers, and metrics as functions of counts that add up over examples."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from transferlab.tasks.schemes import Scheme
from transferlab.tasks.scoring.sums import mean_of as mean_of
from transferlab.tasks.scoring.sums import ratio as ratio
from transferlab.tasks.spec import TaskSpec

if TYPE_CHECKING:
    from torch import Tensor

Array = np.ndarray[Any, Any]
OfSums = Callable[[Array], Array]
Report = dict[str, dict[str, float]]


class Answers(ABC):
    """A kind of task, as far as its answers are read, written and counted. Its object holds no state.

    Attributes:
        metrics: The usual ones, the first of which selects checkpoints.
        sums: Name of each metric that can be tested to its function of sums ``[..., counts]``, see `counts`.
        pipeline: What the Hub calls such a task.
        named: Whether its labels have names.
        listed: What a cell of labels holds, in words, where it is a list; else empty.
        texts: How many columns of text it may have.
        least: How many it must have.
        scored: Whether a prediction has a probability for each label.
        not_sampled: Why examples cannot be drawn in equal numbers of every class; empty where they can.
        varied: Whether training needs two different labels.
        confusion: Whether one label is taken for another, so that pairs of them can be counted.
        single: Whether each example has one of the labels.
        marked: Whether two entities are marked in each text, see `transferlab.tasks.marked`.
    """

    metrics: tuple[str, ...]
    sums: ClassVar[Mapping[str, OfSums]]
    pipeline = "text-classification"
    named = True
    listed = ""
    texts = 2
    least = 1
    scored = False
    confusion = False
    single = False
    marked = False
    not_sampled = ""
    varied = True

    def usual(self, task: TaskSpec) -> tuple[str, ...]:
        """The metrics of a task that names none."""
        return self.metrics

    def strata(self, labels: Array) -> Array | None:
        """By what a held-out part is stratified, ``[rows]``; None: by nothing.

        Args:
            labels: As `transferlab.tasks.rows.TaskRows.train_labels` gives them.
        """
        return None

    @abstractmethod
    def predicted(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[Any]:
        """The answer to each example as it stands in a file of predictions.

        Args:
            task: Names the labels.
            outputs: What a strategy's test step returns.
        """

    @abstractmethod
    def gold(self, task: TaskSpec, labels: "Tensor | Array", outputs: Mapping[str, Any]) -> list[Any]:
        """The right answer to each example, in the same form."""

    def scores(self, outputs: Mapping[str, Any]) -> list[list[float]] | None:
        """The probability of each label for each example; None where there are none."""
        return None

    def told(self, task: TaskSpec, outputs: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """What else a record says of each example; None: nothing."""
        return None

    def read(self, scheme: Scheme, answer: Any) -> Any:
        """An answer of a file of predictions with its tags, where it has any, in IOB2.

        Args:
            scheme: How the tags of the task are written.
            answer: Found or right.
        """
        return answer

    def parts(self, lines: Sequence[Mapping[str, Any]]) -> Report:
        """Scores of parts of a test set, by name; empty where it has none."""
        return {}

    def per_label(self, labels: Sequence[str], gold: Sequence[Any], found: Sequence[Any]) -> Report:
        """Precision, recall, F1 and support of each label."""
        return {}

    def counted(self, labels: Sequence[str], negative: str) -> Sequence[str]:
        """The labels that `counts` is given; `negative` is that of the task."""
        return labels

    def collapsed(self, gold: Sequence[Any], found: Sequence[Any]) -> bool:
        """Whether all answers are the same though the right ones are not."""
        return len(set(gold)) > 1 and len(set(found)) == 1

    def stored(self, lines: Sequence[Mapping[str, Any]], metric: str) -> Array | None:
        """What `counts` gives, where the records of a run hold it; None where they do not.

        Args:
            lines: Records of test examples.
            metric: A name of `sums`.
        """
        return None

    @abstractmethod
    def counts(self, found: list[Any], gold: list[Any], metric: str, labels: Sequence[str]) -> Array:
        """What a metric is a function of, for each example, ``[examples, counts]``."""


def row(precision: float, recall: float, f1: float, support: float) -> dict[str, float]:
    """A row of a report."""
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}


def f1(sums: Array) -> Array:
    """Counts: hits, predicted, gold."""
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def precision(sums: Array) -> Array:
    """Counts: hits, predicted, gold."""
    return ratio(sums[..., 0], sums[..., 1])


def recall(sums: Array) -> Array:
    """Counts: hits, predicted, gold."""
    return ratio(sums[..., 0], sums[..., 2])
