"""What W&B shows of a run beside curves: what it was made from, its checkpoints, its predictions."""

import hashlib
import os
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from transferlab.config import hashes
from transferlab.encoders.loading import ENCODER
from transferlab.ground.hints import PRETRAINING
from transferlab.record import predictions
from transferlab.record.folder import read_summary
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.spec import Kind
from transferlab.tracking.wandb_logger import ID, WandbLogger, say

Cells = list[list[Any]]


class Source(NamedTuple):
    """Something that a run was made from, or that it leaves.

    Attributes:
        name: Collection on the server; another content is another version of it.
        type: ``dataset``, ``features``, ``model``, ``adapter`` or ``checkpoint``.
        content: What tells versions apart: a fingerprint, or the file itself.
        facts: Shown with it.
        made: Whether this run made it; otherwise it was used.
    """

    name: str
    type: str
    content: str | Path
    facts: dict[str, Any]
    made: bool = False


def sources(summary: dict[str, Any], teacher: Path | str | None, limit_mb: float) -> list[Source]:
    """What a run was made from: its rows, frozen work that was kept, a teacher.

    Rows and frozen work are named by their fingerprint and never uploaded.

    Args:
        summary: The record of the run.
        teacher: Run directory of the teacher, or its name on the Hub.
        limit_mb: A larger checkpoint is not uploaded.
    """
    task, data = summary["task"], summary.get("data", {})
    found = []
    if mark := data.get("fingerprint"):
        facts = {key: data.get(key) for key in ("origin", "train_examples", "validation", "test")}
        found.append(Source(f"data-{task}", "dataset", mark, {"protocol": summary.get("protocol"), **facts}))
    for field, mark in summary.get("kept", {}).items():
        made = any(line.startswith(f"{field} ") and "computed in" in line for line in summary.get("frozen_work", []))
        facts = {"task": task, "encoder": summary["encoder"], "field": field}
        found.append(Source(f"{field}-{task}", "features", mark, facts, made))
    if isinstance(teacher, Path):
        found.append(model_of(teacher, read_summary(teacher), "best", limit_mb))
    elif teacher:
        found.append(Source(f"model-{teacher}", "model", teacher, {}))
    return found


def id_of(folder: Path) -> str:
    """The ID of a run in W&B; that of its directory where it has none."""
    return (folder / ID).read_text(encoding="utf-8").strip() if (folder / ID).is_file() else folder.name


def model_of(folder: Path, summary: dict[str, Any], which: str, limit_mb: float) -> Source:
    """A checkpoint of a run; the same for the run that left it and for one that learns from it."""
    path = folder / "checkpoints" / f"{which}.ckpt"
    name = id_of(folder)
    # what learned but a part is of no use without its encoder
    kind, collection = (
        ("model" if summary.get("params", {}).get("trainable_pct") == 100 else "adapter"),
        f"model-{name}",
    )
    if which == "last":
        # a collection of its own: uploads run side by side, and either might become the latest
        kind, collection = "checkpoint", f"checkpoint-{name}"
    facts = {key: summary.get(key) for key in ("task", "encoder", "strategy", "experiment", "run")}
    if path.stat().st_size > limit_mb * 2**20:
        with path.open("rb") as file:
            mark = hashlib.file_digest(file, "sha256").hexdigest()
        return Source(collection, kind, f"{which}-{mark}", facts)
    return Source(collection, kind, path, facts)


def encoder_of(folder: Path, made_by: str, lineage: dict[str, Any], limit_mb: float) -> Source:
    """The encoder that a pretraining has left; the same for that run and for one that starts from it.

    Args:
        folder: The folder of the encoder.
        made_by: ID of the run that left it.
        lineage: What it was made from.
        limit_mb: A larger one is not uploaded.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file()]
    facts = {key: lineage.get(key) for key in ("experiment", "run", "strategy", "text", "held_out", "from")}
    if sum(path.stat().st_size for path in files) > limit_mb * 2**20:
        return Source(f"encoder-{made_by}", "model", f"encoder-{hashes.of_files(files)}", facts)
    return Source(f"encoder-{made_by}", "model", folder, facts)


def log_sources(logger: WandbLogger, found: list[Source]) -> None:
    """Draws the edges from them to the run."""
    for source in found:
        _log(logger, source, [])


def log_checkpoints(logger: WandbLogger, summary: dict[str, Any]) -> None:
    """Gives the chosen checkpoints to W&B, under their names and as ``latest``; of a pretraining its encoder."""
    folder = logger.folder / ENCODER
    if summary.get("kind") == PRETRAINING and folder.is_dir():
        left = encoder_of(folder, id_of(logger.folder), summary.get("lineage") or {}, logger.artifact_limit_mb)
        _log(logger, left._replace(made=True), ["best", "latest"])
    for which in logger.checkpoints:
        if (logger.folder / "checkpoints" / f"{which}.ckpt").is_file():
            source = model_of(logger.folder, summary, which, logger.artifact_limit_mb)._replace(made=True)
            _log(logger, source, [which, "latest"])


def _log(logger: WandbLogger, source: Source, aliases: list[str]) -> None:
    """Logs or uses a source; one that cannot be read is left out."""
    try:
        content = source.content if isinstance(source.content, str) else _files(source.content, logger.folder)
    except OSError as error:
        return say(f"W&B: {source.content} is left out ({error.strerror}).")
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", source.name)[:128]

    def log(run: Any) -> None:
        import wandb

        artifact = wandb.Artifact(name, source.type, metadata=source.facts)
        if isinstance(content, dict):
            for file, path in content.items():
                artifact.add_file(str(path), name=file, policy="immutable", skip_cache=True)
        else:
            artifact.add_reference(f"transferlab://{name}/{content}", name="content", checksum=False)
        if source.made:
            run.log_artifact(artifact, aliases=aliases)
        else:
            # `use_artifact` asks the server, and so refuses offline; this is its part that does not
            run._log_artifact(artifact, aliases=[], is_user_created=True, use_after_commit=True)

    return logger.tell(log)


def _files(path: Path, folder: Path) -> dict[str, Path]:
    """The file, or those of a folder, by their names; each as `_frozen` has it."""
    paths = sorted(one for one in path.iterdir() if one.is_file()) if path.is_dir() else [path]
    return {one.name: _frozen(one, folder) for one in paths}


def _frozen(path: Path, folder: Path) -> Path:
    """A hard link to what the file holds now: it may be replaced before an offline run is uploaded."""
    facts = path.stat()
    place = folder / "wandb" / "checkpoints" / f"{facts.st_ino}-{facts.st_mtime_ns}-{path.name}"
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        try:
            os.link(path, place)
        except OSError:
            shutil.copy2(path, place)
    return place


def log_tables(logger: WandbLogger, folder: Path, labels: list[str], kind: Kind) -> None:
    """Puts test predictions, the same examples in every run, and the confusion matrix into tables."""
    path = folder / "predictions" / "test.jsonl"
    if not logger.predictions or not path.is_file():
        return
    records = predictions.read(path)
    found = {"test/predictions": prediction_cells(records, logger.predictions)}
    if KINDS[kind].confusion:
        found["test/confusion"] = confusion_cells(records, labels)

    def log(run: Any) -> None:
        import wandb

        tables = {name: wandb.Table(columns=cells[0], data=cells[1:]) for name, cells in found.items()}
        run.log(tables)

    logger.tell(log)


def prediction_cells(records: list[predictions.Record], limit: int) -> Cells:
    """Header and rows: id, label, prediction, correct (for numbers the error), probability of the prediction."""
    cells: Cells = [["id", "label", "prediction", "correct", "error", "probability"]]
    for record in records[:limit]:
        label, prediction = record.get("label"), record["prediction"]
        number = isinstance(prediction, float)
        error = prediction - label if number and label is not None else None
        correct = None if number else label == prediction
        shown = [" ".join(map(str, value)) if isinstance(value, list) else str(value) for value in (label, prediction)]
        scores = record.get("scores")
        cells.append([record["id"], *shown, correct, error, max(scores) if scores else None])
    return cells


def confusion_cells(records: list[predictions.Record], labels: list[str]) -> Cells:
    """Header and rows: label, prediction, count; every pair of labels, so that runs compare."""
    counts: Counter[tuple[str, str]] = Counter()
    for record in records:
        label, prediction = record["label"], record["prediction"]
        counts.update(zip(label, prediction, strict=True) if isinstance(label, list) else [(label, prediction)])
    there = {name for pair in counts for name in pair}
    # tags are written as the files of the user spell them
    names = labels if there <= set(labels) else sorted(there)
    rows = [[label, other, counts[label, other]] for label in names for other in names]
    return [["label", "prediction", "count"], *rows]
