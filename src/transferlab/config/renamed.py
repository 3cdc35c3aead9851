"""Class paths of earlier releases, which saved configurations still name."""

from typing import Any

RENAMED = {
    "transferlab.parallel.Replicated": "transferlab.training.parallel.Replicated",
    "transferlab.parallel.Sharded": "transferlab.training.parallel.Sharded",
    "transferlab.runs.wandb_logger.WandbLogger": "transferlab.tracking.wandb_logger.WandbLogger",
}
"""Old class path to the one that replaced it."""
FIRST = {new: old for old, new in RENAMED.items()}


def renamed(tree: Any) -> Any:
    """A configuration with today's class paths."""
    return _replaced(tree, RENAMED)


def first_named(path: Any) -> Any:
    """The class path under which a class was first hashed, so that a setting keeps its fingerprint when code moves."""
    return FIRST.get(path, path) if isinstance(path, str) else path


def _replaced(tree: Any, names: dict[str, str]) -> Any:
    if isinstance(tree, dict):
        return {
            key: names.get(value, value) if key == "class_path" and isinstance(value, str) else _replaced(value, names)
            for key, value in tree.items()
        }
    return [_replaced(item, names) for item in tree] if isinstance(tree, list) else tree
