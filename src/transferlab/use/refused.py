"""Runs that write texts, in the commands that read labels, words or a head; imports no torch."""

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.spec import TaskSpec


def refuse_texts(task: TaskSpec, command: str) -> None:
    """Refuses a run that writes texts.

    Args:
        task: That of the run.
        command: What was asked, such as ``drift``.

    Raises:
        TransferlabError: It writes texts.
    """
    if task.kind == "text":
        raise TransferlabError(
            f"{command}: it does not take runs that write texts, such as this one of {task.name}; `transferlab "
            "predict` writes them for new inputs."
        )
