"""Which metrics a task can have; imports no torch."""

from transferlab.ground.errors import TransferlabError, near
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import TaskSpec

OF_ENTITIES, OF_TAGS = ("f1", "precision", "recall"), ("accuracy", "f1_macro")


def check_metrics(task: TaskSpec) -> None:
    """Checks the metrics that a task names.

    Raises:
        TransferlabError: A name is unknown for its kind, or is not for its labels, or the first one cannot select.
    """
    known = tuple(KINDS[task.kind].sums)
    if task.metrics[:1] == ("length_ratio",):
        raise TransferlabError(
            f"task {task.name!r}: metric 'length_ratio' cannot select checkpoints, since neither more nor less of it "
            "is better; name another one first in data.source.metrics"
        )
    for name in task.metrics:
        if name not in known:
            raise TransferlabError(
                f"task {task.name!r}: no metric {name!r} for {task.kind}{near(name, list(known))}; "
                f"known: {', '.join(known)}"
            )
        if task.kind == "classification" and name == "f1" and len(task.labels) != 2:
            raise TransferlabError(
                f"task {task.name!r}: metric 'f1' is that of the second of two labels, but there are "
                f"{len(task.labels)}; use 'f1_macro'"
            )
        if task.kind == "tagging" and name not in (fitting := OF_ENTITIES if task.entities else OF_TAGS):
            what = "tags of entities" if task.entities else "tags that mark no entities"
            raise TransferlabError(f"task {task.name!r}: no metric {name!r} for {what}; known: {', '.join(fitting)}")
