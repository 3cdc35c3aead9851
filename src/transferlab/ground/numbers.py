"""Numbers that a setting may have, checked where it is set."""

from transferlab.ground.errors import TransferlabError


def at_least(low: float, **values: float | None) -> None:
    """Checks settings that are None or not below a bound.

    Args:
        low: The bound.
        values: Settings by key; two underscores stand for a dot, as in ``data__batch_size``.

    Raises:
        TransferlabError: One is below.
    """
    for name, value in values.items():
        if value is not None and not value >= low:
            raise TransferlabError(f"{_key(name)}: {value} is below {low}; use {low} or more.")


def above(low: float, **values: float | None) -> None:
    """Checks settings that are None or above a bound; see `at_least`.

    Raises:
        TransferlabError: One is not above it.
    """
    for name, value in values.items():
        if value is not None and not value > low:
            raise TransferlabError(f"{_key(name)}: {value} is not above {low}.")


def probability(**values: float | None) -> None:
    """Checks settings that are None or in [0, 1), such as dropout; see `at_least`.

    Raises:
        TransferlabError: One is outside.
    """
    for name, value in values.items():
        if value is not None and not 0 <= value < 1:
            raise TransferlabError(f"{_key(name)}: {value} is not in [0, 1).")


def _key(name: str) -> str:
    return name.replace("__", ".")
