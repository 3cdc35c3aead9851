"""What the answers of each kind of task are, in rows, in predictions and in counts; imports no torch.

A new kind is a file here and one of the same name in `transferlab.learning.kinds`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from transferlab.tasks.kinds.base import Answers, OfSums
from transferlab.tasks.kinds.classification import Classification
from transferlab.tasks.kinds.multilabel import Multilabel
from transferlab.tasks.kinds.qa import Questions
from transferlab.tasks.kinds.regression import Regression
from transferlab.tasks.kinds.relation import Relation
from transferlab.tasks.kinds.slots import Slots
from transferlab.tasks.kinds.tagging import Tagging
from transferlab.tasks.kinds.text import Texts
from transferlab.tasks.spec import Kind

KINDS: dict[Kind, Answers] = {
    "classification": Classification(),
    "regression": Regression(),
    "tagging": Tagging(),
    "multilabel": Multilabel(),
    "relation": Relation(),
    "qa": Questions(),
    "text": Texts(),
    "slots": Slots(),
}
"""Kind of task to what its answers are."""
SUMS: dict[tuple[str, str], OfSums] = {
    (kind, metric): of_sums for kind, answers in KINDS.items() for metric, of_sums in answers.sums.items()
}
"""Kind of task and name of metric to the metric of sums ``[..., counts]``, which returns ``[...]``."""


def counted(summary: Mapping[str, Any]) -> Sequence[str]:
    """The labels that `Answers.counts` is given, from the record of a run."""
    labels = [str(label) for label in summary.get("labels") or []]
    answers = KINDS.get(cast(Kind, summary.get("kind")))
    return answers.counted(labels, str(summary.get("negative") or "")) if answers else labels
