"""Whether a distillation asks its teacher, read from its keys alone."""

from collections.abc import Callable
from typing import Any

INNER = ("hidden", "embeddings", "attention", "relations", "patient")
"""Terms that compare the inside of student and teacher, keys of `model.inner`."""


def is_taught(value: Callable[[str], Any]) -> bool:
    """Whether the teacher is asked: not in the control of a distillation, which names it all the same.

    Args:
        value: The value of a key below ``model``, such as ``inner.hidden``; None where it is not given.
    """
    if value("alpha") != 1 or any(value(key) for key in ("beta", "from_teacher", "sequence")):
        return True
    return any(value(f"inner.{term}") is not None for term in INNER)
