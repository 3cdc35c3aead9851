"""The runs that the claims rest on, small enough to be kept in the repository: an archive for each sweep.

An archive is a ``.tar.xz`` of run directories with what their numbers are made of and nothing else: outcomes of each
test example, costs, logged losses and validation scores, the keys that decide a result. `compare`, `curve` and `report`
read them like any others once they are unpacked.
"""

import hashlib
import io
import json
import shutil
import tarfile
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison.groups import UNDER_WAY, Summary, faults
from transferlab.config.places import cache_folder
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.record import history, setting

FOLDER = Path("docs") / "evidence"
SUFFIX = ".tar.xz"
FORMAT = "1"
"""Part of the name under which archives are unpacked; to be raised when unpacking changes."""
KEPT = (
    *("experiment", "strategy", "seed", "tags", "precision", "setting", "task", "kind", "labels", "primary"),
    *("encoder", "protocol", "params", "metrics", "perf", "checkpoint_mb", "status", "before", "after"),
    *("per_class", "test", "early_stopping", "frozen_work", "layer_mix"),
)
"""Keys of ``summary.json``. What names a place of a machine (data, weights, errors) is not among them."""
DATA = ("version", "train_examples", "train_fraction", "validation", "test", "max_length", "truncation")
LOGGED = ("step", "val/primary", "train/loss")
PREDICTED = ("id", "label", "prediction", "scores", "tokens", "seen", "repeats")
MACHINE = ("processor", "cores", "threads", "gpus")


def pack(root: Path, folder: Path, sweeps: Iterable[str]) -> list[Path]:
    """Keeps the runs of sweeps, those that ended in an error too; a sweep without runs keeps its archive.

    The same runs give the same bytes.

    Args:
        root: Folder of runs.
        folder: Where the archives are.
        sweeps: Their names, which are tags of the runs.

    Returns:
        The archives that were written.

    Raises:
        TransferlabError: An archive cannot be written.
    """
    found = [(path, summary) for path, summary in run_folder.summaries(root) if isinstance(summary, dict)]
    ended = [(path, summary) for path, summary in found if summary.get("status") not in UNDER_WAY]
    written = []
    for sweep in sweeps:
        runs = [(path, summary) for path, summary in ended if sweep in (summary.get("tags") or ())]
        if runs:
            written.append(folder / f"{sweep}{SUFFIX}")
            _write(written[-1], root, runs)
    return written


def _write(path: Path, root: Path, runs: list[tuple[Path, Summary]]) -> None:
    files = [(f"{run.relative_to(root)}/{name}", text) for run, one in runs for name, text in _files(run, one)]
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w:xz", preset=9) as archive:
        # files of one kind side by side are smaller together
        for name, text in sorted(files, key=lambda file: (file[0].rpartition("/")[2], file[0])):
            member = tarfile.TarInfo(name)
            content = text.encode()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(memory.getvalue())
    except OSError as error:
        raise TransferlabError(f"cannot write {path}: {error.strerror}.") from error


def _files(run: Path, summary: Summary) -> Iterator[tuple[str, str]]:
    yield "summary.json", json.dumps(_summary(summary))
    if tree := setting.deciding(setting.of_folder(run)):
        # a flat mapping in JSON is YAML too
        yield "config.yaml", json.dumps(tree, indent=0, default=str) + "\n"
    if machine := _machine(run):
        yield "environment.json", json.dumps(machine)
    yield from _lines(history.NAME, history.rows(run), LOGGED)
    yield from _lines("predictions/test.jsonl", _predictions(run), PREDICTED)
    if (probes := _json(run / "forgetting.json").get("probes")) is not None:
        yield "forgetting.json", json.dumps({"run": run.name, "probes": probes})


def _summary(summary: Summary) -> Summary:
    kept = {key: summary[key] for key in KEPT if key in summary}
    data = summary.get("data")
    if isinstance(data, dict):
        kept["data"] = {key: data[key] for key in DATA if key in data}
    if "NaN" in faults(summary):
        kept["error"] = "became NaN"
    return kept


def _machine(run: Path) -> dict[str, Any]:
    tree = _json(run / "environment.json")
    hardware = tree.get("hardware")
    known: dict[str, Any] = {key: tree[key] for key in ("python", "packages") if key in tree}
    if isinstance(hardware, dict):
        known["hardware"] = {key: hardware[key] for key in MACHINE if key in hardware}
    return known


def _json(path: Path) -> dict[str, Any]:
    try:
        tree = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return tree if isinstance(tree, dict) else {}


def _predictions(run: Path) -> list[dict[str, Any]]:
    try:
        with (run / "predictions" / "test.jsonl").open(encoding="utf-8") as file:
            return [json.loads(line) for line in file]
    except (OSError, ValueError):
        return []


def _lines(name: str, rows: list[dict[str, Any]], keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    kept = [{key: row[key] for key in keys if key in row} for row in rows]
    kept = [row for row in kept if len(row) > 1]
    if kept:
        yield name, "".join(json.dumps(row) + "\n" for row in kept)


def archives(folder: Path) -> list[Path]:
    """The archives in a folder, by name."""
    return sorted(folder.glob(f"*{SUFFIX}"))


def unpack(folder: Path, into: Path) -> Path:
    """Lays the runs of all archives into a folder, as run directories.

    Raises:
        TransferlabError: No archives, a damaged one, or a folder that has runs already.
    """
    found = archives(folder)
    if not found:
        raise TransferlabError(
            f"no archives of runs in {folder}/: --pack RUNS keeps some there, --root RUNS reads them."
        )
    if into.exists() and any(into.iterdir()):
        raise TransferlabError(f"{into}/ is not empty; name a new folder.")
    for path in found:
        try:
            with tarfile.open(path) as archive:
                archive.extractall(into, filter="data")
        except (OSError, EOFError, tarfile.TarError) as error:
            raise TransferlabError(f"{path} is damaged ({error}); take it from the repository again.") from error
    return into


def opened(folder: Path) -> Path:
    """The runs of all archives, in a folder of the cache that is named by what the archives hold.

    Raises:
        TransferlabError: No archives, or a damaged one.
    """
    digest = hashlib.sha256(FORMAT.encode())
    for path in archives(folder):
        digest.update(path.name.encode() + path.read_bytes())
    place = cache_folder() / "evidence" / digest.hexdigest()[:32]
    if not place.is_dir():
        building = place.with_name(f".{place.name}.{uuid.uuid4().hex[:8]}")
        try:
            unpack(folder, building)
            building.rename(place)
        except OSError:
            # another process may have been faster
            if not place.is_dir():
                raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return place
