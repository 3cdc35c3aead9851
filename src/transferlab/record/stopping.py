"""Early stopping, told: the rule of a run, and whether it ended it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import Callback


def rule(callbacks: "Iterable[Callback]") -> dict[str, Any] | None:
    """What early stopping watches: ``monitor``, ``mode``, ``patience`` (validations); None without it."""
    from lightning.pytorch.callbacks import EarlyStopping

    for callback in callbacks:
        if isinstance(callback, EarlyStopping):
            return {"monitor": callback.monitor, "mode": callback.mode, "patience": callback.patience}
    return None


def ended(trainer: Any) -> dict[str, Any]:
    """``reason``, ``epoch`` (counted from 1) and ``max_epochs`` where early stopping ended the run; else empty."""
    from lightning.pytorch.callbacks import EarlyStopping
    from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping) and callback.stopping_reason != EarlyStoppingReason.NOT_STOPPED:
            lines = (callback.stopping_reason_message or callback.stopping_reason.value).split(". ")
            return {"reason": lines[0].strip(), "epoch": callback.stopped_epoch + 1, "max_epochs": trainer.max_epochs}
    return {}


def in_words(found: dict[str, Any] | None, primary: str) -> str:
    """The rule for the header of a run."""
    if not found:
        return "off"
    monitor = f"val/{primary}" if found["monitor"] == "val/primary" else found["monitor"]
    return f"after {found['patience']} validations without a better {monitor}"


def end_in_words(found: dict[str, Any]) -> str:
    """How early stopping ended a run; empty where it did not."""
    if "epoch" not in found:
        return ""
    limit = found.get("max_epochs")
    return f"in epoch {found['epoch']}{f' of {limit}' if limit and limit > 0 else ''}: {found['reason']}"
