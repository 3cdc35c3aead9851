"""A test, validation or prediction beside the one of record: an entry of its own that says where it differs.

The result of record is the one that training ended with, or the first of its kind under the run's own settings. What
comes later, on other examples, weights, precision or versions of the libraries, or just once more, never replaces it.
"""

import math
import secrets
import time
from pathlib import Path
from typing import Any

from transferlab.record import folder as run_folder
from transferlab.record import predictions, setting
from transferlab.tasks import TaskDataModule

SAME = 5e-5
"""Metrics nearer to each other than this are the same: they are to four decimals."""
LOCATION = tuple(f"data.init_args.source.{key}." for key in ("path", "revision", "config", "files"))
"""Keys that say where examples lie; what they hold is compared by content."""
LIMITS = tuple(f"trainer.limit_{part}_batches" for part in ("val", "test", "predict"))

Lines = dict[str, list[predictions.Record]]
Facts = dict[str, Any]


def evaluated(command: str, trainer: Any, data: TaskDataModule, lines: Lines, checkpoint: str | None) -> Facts:
    """What a result speaks of: examples by content and number, weights, precision.

    Args:
        command: ``validate``, ``test`` or ``predict``.
        trainer: The Trainer, for its precision and its model.
        data: The examples.
        lines: Records of what was evaluated, by the name of their file.
        checkpoint: Hash of the checkpoint; None where the weights came from no file.
    """
    if command == "test":
        splits = dict(zip(data.spec.tests, data.source.test, strict=True))
    elif command == "validate":
        splits = {"validation": data.part_rows("validation")[0]}
    else:
        splits = dict(zip(data.predicted.names, data.predicted.splits, strict=True))
    base = trainer.lightning_module.encoder.content
    return {
        "checkpoint": checkpoint,
        "base_weights": base.weights or None,
        "tokenizer": base.tokenizer or None,
        "precision": str(trainer.precision),
        "max_length": data.settings.max_length,
        "truncation": data.settings.truncation,
        "splits": {
            name: {"version": data.split_version(split), "examples": len(lines.get(name, []))}
            for name, split in splits.items()
        },
    }


def expected(command: str, summary: Facts) -> Facts:
    """What the result of record speaks of, as far as the summary tells; older ones tell less."""
    known = summary.get("evaluated") or {}
    if command in known:
        return dict(known[command])
    data, validated, base = (part or {} for part in (summary.get("data"), known.get("validate"), summary.get("base")))
    versions = data.get("versions") or {}
    examples = {"test": (summary.get("test") or {}).get("examples")}
    # the names of test splits in metric keys stand in the order of the splits
    tests = zip((summary.get("spec") or {}).get("tests") or [], data.get("test") or [], strict=False)
    splits = {
        name: {"version": versions.get(split), "examples": examples.get(name)} for name, split in tests if name != ""
    }
    return {
        "checkpoint": validated.get("checkpoint"),
        "base_weights": base.get("weights") or None,
        "tokenizer": base.get("tokenizer") or None,
        "precision": summary.get("precision"),
        "max_length": data.get("max_length"),
        "truncation": data.get("truncation"),
        "splits": splits if command == "test" else {},
    }


def differences(record: Facts, now: Facts) -> list[str]:
    """Where an evaluation differs from that of record, in words; what one side does not know is not compared."""
    found = []
    for key in ("checkpoint", "base_weights", "tokenizer", "precision", "max_length", "truncation"):
        found += _differs(key.replace("_", " "), record.get(key), now.get(key))
    for split, facts in now["splits"].items():
        own = (record.get("splits") or {}).get(split) or {}
        found += _differs(f"{split} examples by content", own.get("version"), facts["version"])
        found += _differs(f"number of {split} examples", own.get("examples"), facts["examples"])
    return found


def _differs(name: str, record: Any, now: Any) -> list[str]:
    return [f"{name} {record} -> {now}"] if None not in {record, now} and record != now else []


def changed_keys(saved: setting.Tree, given: setting.Tree, by_content: bool) -> list[str]:
    """Keys of task, encoder and model with other values than in the run's own configuration, in words.

    Args:
        saved: The configuration of the run.
        given: That of now.
        by_content: Whether the examples are compared by content, so that it does not matter where they lie.
    """
    one, other = setting.deciding(saved), setting.deciding(given)
    keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
    kept = [key for key in keys if key.partition(".")[0] in {"data", "encoder", "model"} or key in LIMITS]
    # every split that is predicted has a file of its own
    kept = [key for key in kept if key != "data.init_args.predict"]
    if by_content:
        kept = [key for key in kept if not any(f"{key}.".startswith(location) for location in LOCATION)]
    return [f"{key.replace('init_args.', '')} {_word(one, key)} -> {_word(other, key)}" for key in kept]


def _word(tree: Facts, key: str) -> str:
    return "null" if key not in tree else str(tree[key])


def changed_predictions(folder: Path, lines: Lines) -> tuple[int, int] | None:
    """How many predictions are other ones than those of record, and of how many; None without the same examples."""
    changed = total = 0
    for name, records in lines.items():
        try:
            known = {line["id"]: line["prediction"] for line in predictions.read(predictions.place(folder, name))}
        except (OSError, ValueError, KeyError, TypeError):
            return None
        if known.keys() != {line["id"] for line in records}:
            return None
        changed += sum(not _equal(known[line["id"]], line["prediction"]) for line in records)
        total += len(records)
    return (changed, total) if total else None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-4)
    return bool(one == other)


def compare(folder: Path, metrics: dict[str, float], record: dict[str, float], lines: Lines) -> Facts:
    """Compares a result with that of record.

    Args:
        folder: The run directory.
        metrics: The new result.
        record: Metrics of record; empty where there are none.
        lines: The new predictions by the name of their file.

    Returns:
        ``record`` (metrics of record), ``changed_predictions`` ([changed, of], None where the examples are others) and
        ``equal``, whether metrics and predictions are the same, None where there is nothing to compare with.
    """
    own = {name: record[name] for name in metrics if record.get(name) is not None}
    changed = changed_predictions(folder, lines)
    apart = [name for name, value in own.items() if not abs(value - metrics[name]) <= SAME]
    equal = not apart and len(own) == len(metrics) and (changed is None or changed[0] == 0)
    known = bool(own) or changed is not None
    return {"record": own, "changed_predictions": changed, "equal": equal if known else None}


def place(folder: Path, command: str) -> Path:
    """The folder of a new entry, made.

    Raises:
        FileExistsError: A hundred names that were tried are taken.
    """
    stamp = time.strftime("%Y%m%d-%H%M%S")
    for suffix in ("", *(f"-{secrets.token_hex(2)}" for _ in range(100))):
        found = folder / run_folder.RETESTS / f"{stamp}-{command}{suffix}"
        if not found.exists():
            found.mkdir(parents=True)
            return found
    raise FileExistsError(f"{folder / run_folder.RETESTS}: no name is free")


def verdict(differs: list[str], result: Facts) -> dict[str, str]:
    """What is printed of an entry beside its metrics: settings, and whether it agrees with the record."""
    changed = result["changed_predictions"]
    count = f"{changed[0]:,} of {changed[1]:,} predictions changed" if changed else ""
    if result["equal"] is None:
        said = "the record has no such result to compare with"
    elif result["equal"]:
        said = "the same result as the record" + (f"; {count}" if count else "")
    else:
        said = "another result than the record" + (f": {count}" if count else "")
        if not differs:
            said = f"warning: {said}, though the settings are the same"
    return {"settings": "; ".join(differs) or "those of the record", "compared": said}


def metric_rows(metrics: dict[str, float], record: dict[str, float]) -> dict[str, str]:
    """The metrics of an entry, each with that of record."""
    known = {name: f"   (of record: {record[name]:.4f})" if name in record else "" for name in metrics}
    return {name: f"{value:.4f}{known[name]}" for name, value in metrics.items()}
