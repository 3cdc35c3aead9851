"""What of a configuration decides the result: runs that agree in it and differ in the seed are one setting."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from transferlab.config.renamed import BUCKET, FIRST_MEANT, TEXT_BUCKET, as_meant, first_named, writes

Tree = dict[str, Any]

INDIFFERENT = (
    "cache.enabled",
    "cache.limit_gb",
    "checkpoint.auto_insert_metric_name",
    "checkpoint.dirpath",
    "checkpoint.enable_version_counter",
    "checkpoint.filename",
    "checkpoint.verbose",
    "ckpt_path",
    "config",
    "data.init_args.encoder",
    "data.init_args.eval_batch_size",
    "data.init_args.fold",
    "data.init_args.max_unknown",
    "data.init_args.num_workers",
    "data.init_args.predict",
    "data.init_args.seed",
    "early_stopping.log_rank_zero_only",
    "early_stopping.verbose",
    "model.init_args.encoder",
    "run",
    "seed_everything",
    "trainer.default_root_dir",
    "trainer.enable_autolog_hparams",
    "trainer.enable_checkpointing",
    "trainer.enable_model_summary",
    "trainer.enable_progress_bar",
    "trainer.log_every_n_steps",
    "trainer.logger",
    "trainer.num_sanity_val_steps",
    "trainer.profiler",
    "verbose",
    "weights_only",
)
"""Keys that change no result, with all that is below them: seed, names, places, what is shown, and links."""

BELOW = tuple(f"{key}." for key in INDIFFERENT)
"""What a key begins with, once a dot stands behind it."""
WINDOWS = "data.init_args.windows"
START = "run.start"
"""The only key of `run` that changes a result."""
NAMED: dict[str, str] = {}
"""What stands for each path that a configuration names: the setting of the run that is there, else the path."""


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """A tree as dotted keys; a list is a value."""
    if not isinstance(tree, dict) or not tree:
        return {prefix: tree}
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= flat(value, f"{prefix}.{key}" if prefix else str(key))
    return found


def deciding(tree: Tree) -> dict[str, Any]:
    """The keys of a configuration that decide the result.

    Keys without a value are left out, so that a new optional key makes no new setting of an old run. A run that
    another one starts from, such as a teacher, stands for its own setting: students of two seeds of a teacher agree.
    """
    keys = flat(tree)
    if keys.get("data.init_args.truncation") == "windows" and keys.get(WINDOWS, "") is None:
        # the default of today; a configuration without the key meant another
        keys[WINDOWS] = "even"
    if keys.get(BUCKET, "") is None and writes(tree["data"]["init_args"]):
        keys[BUCKET] = TEXT_BUCKET
    kept = {
        key: value
        for key, value in keys.items()
        if value is not None and value != FIRST_MEANT.get(key) and (key == START or not f"{key}.".startswith(BELOW))
    }
    return {key: _as_hashed(key, value) for key, value in kept.items()}


def fingerprint(tree: Tree) -> str:
    """Names the setting of a configuration: 12 hexadecimal digits of SHA-256 over `deciding`."""
    text = json.dumps(deciding(tree), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def of_folder(folder: Path) -> Tree:
    """The configuration of a run directory; empty where there is none that can be read."""
    try:
        tree: Tree = as_meant(parse((folder / "config.yaml").read_text(encoding="utf-8")))
        return tree
    except (OSError, ValueError):
        return {}


def parse(text: str) -> Tree:
    """Reads the text of a configuration.

    Raises:
        ValueError: It is no mapping in YAML.
    """
    import yaml

    from transferlab.config import plain

    try:
        tree = plain.load(text)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error
    if not isinstance(tree, dict):
        raise ValueError("no mapping")
    return tree


def _as_hashed(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_as_hashed(key, one) for one in value]
    if not isinstance(value, str):
        return value
    if key.endswith("class_path"):
        return first_named(value)
    return _setting_of_run(value) if os.sep in value else value


def _setting_of_run(path: str) -> str:
    if path not in NAMED:
        NAMED[path] = _read_setting(path)
    return NAMED[path]


def _read_setting(path: str) -> str:
    try:
        summary = json.loads((Path(path) / "summary.json").read_text(encoding="utf-8"))
        known = summary.get("setting")
    except (OSError, ValueError, AttributeError):
        return path
    return str(known) if known else fingerprint(of_folder(Path(path)))
