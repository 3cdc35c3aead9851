"""What saved configurations of earlier releases say otherwise: class paths that moved, keys that they did not know."""

from typing import Any

RENAMED = {
    "transferlab.parallel.Replicated": "transferlab.training.parallel.Replicated",
    "transferlab.parallel.Sharded": "transferlab.training.parallel.Sharded",
    "transferlab.runs.wandb_logger.WandbLogger": "transferlab.tracking.wandb_logger.WandbLogger",
}
"""Old class path to the one that replaced it."""
FIRST = {new: old for old, new in RENAMED.items()}


HOLDOUT_BY = "data.init_args.holdout_by"
STEADY = "model.init_args.steady"
BUCKET = "data.init_args.bucket"
FIRST_BUCKET, TEXT_BUCKET = 50, 4
"""Batches whose examples are sorted by length together: of every kind at first, and where texts are written today."""
FIRST_MEANT: dict[str, Any] = {
    "data.init_args.windows": "full",
    HOLDOUT_BY: "example",
    STEADY: {},
    BUCKET: FIRST_BUCKET,
}
"""Key that came later to the value that says what a configuration without it meant."""


def as_meant(tree: Any) -> Any:
    """A saved configuration with what it meant before there was a key for it.

    Saved configurations name all keys, so one that is missing came later.
    """
    settings = (tree.get("data") or {}).get("init_args") if isinstance(tree, dict) else None
    if not isinstance(settings, dict):
        return tree
    # of another class of data nothing is known
    meant: dict[str, Any] = {"holdout_by": "example"} if "holdout" in settings else {}
    if settings.get("truncation") == "windows":
        meant["windows"] = "full"
    missing = {key: value for key, value in meant.items() if key not in settings}
    if writes(settings) and settings.get("bucket") is None:
        # by now it is filled in
        missing["bucket"] = FIRST_BUCKET
    return {**tree, "data": {**tree["data"], "init_args": {**settings, **missing}}} if missing else tree


def writes(settings: Any) -> bool:
    """Whether the settings of data say that texts are written."""
    source = settings.get("source")
    kind = source.get("kind") if hasattr(source, "get") else getattr(source, "kind", None)
    return settings.get("generation") is not None or kind == "text"


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
