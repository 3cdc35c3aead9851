"""The zip file for the GLUE server, from the predictions of runs."""

import json
import math
import tempfile
import zipfile
from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.record.predictions import Record
from transferlab.tasks.splits import file_name
from transferlab.tasks.table import TASKS

FILES: dict[str, tuple[str, ...]] = {
    "cola": ("CoLA",),
    "sst2": ("SST-2",),
    "mrpc": ("MRPC",),
    "stsb": ("STS-B",),
    "mnli": ("MNLI-m", "MNLI-mm", "AX"),
    "qnli": ("QNLI",),
    "rte": ("RTE",),
    "wnli": ("WNLI",),
    "qqp": ("QQP",),
}
"""Task to the server's file names, in the order of the task's splits to predict."""

ROWS = {
    "CoLA": 1063,
    "SST-2": 1821,
    "MRPC": 1725,
    "STS-B": 1379,
    "MNLI-m": 9796,
    "MNLI-mm": 9847,
    "AX": 1104,
    "QNLI": 5463,
    "RTE": 3000,
    "WNLI": 146,
    "QQP": 390965,
}
"""Test examples of each file; the server refuses a file with more or fewer."""

WORDS = ("mnli", "qnli", "rte")
"""Tasks whose labels the server wants as words; it wants class numbers for the others."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab submission``.

    Raises:
        TransferlabError: A run without or with incomplete predictions, two runs of a task, or a wrong option.
    """
    parser = Parser("transferlab submission", description="Zip file for the GLUE server.")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="folder, experiment or id of a predicted run")
    parser.add_argument("--output", type=Path, default=Path("submission.zip"), help="file to write [submission.zip]")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    asked = parser.parse_args(arguments)
    by_task = _by_task([run_folder.find(run, asked.root) for run in asked.runs])
    with tempfile.TemporaryDirectory() as scratch:
        paths = [path for task, run in by_task.items() for path in collect(task, run, Path(scratch))]
        _pack(paths, asked.output)
    print(f"{asked.output}: {', '.join(path.name for path in paths)}")
    missing = [name for name in ROWS if name not in {path.stem for path in paths}]
    if missing:
        print(
            f"missing: {', '.join(f'{name}.tsv' for name in missing)}; the server takes all {len(ROWS)} files at once."
        )


def _by_task(runs: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for run in runs:
        try:
            task = str(json.loads((run / "summary.json").read_text(encoding="utf-8"))["task"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise TransferlabError(f"{run}/summary.json does not tell the task of the run.") from error
        if task not in FILES:
            raise TransferlabError(f"{run}: {task} is not a GLUE task. The server takes {', '.join(FILES)}.")
        if task in found:
            raise TransferlabError(f"two runs of {task}: {found[task]} and {run}. Name one of them.")
        found[task] = run
    return found


def collect(task: str, run: Path, folder: Path) -> list[Path]:
    """Writes the TSV files of one run, for the splits that were predicted.

    Args:
        task: Name of a GLUE task.
        run: The run directory.
        folder: Where to write.

    Raises:
        TransferlabError: No predictions, or predictions for a part of the rows.
    """
    remedy = f"`transferlab predict --run {run}` makes them"
    # predictions of record are never written over
    anew = f"delete it, then {remedy} anew"
    paths = []
    for number, name in enumerate(FILES[task]):
        source = run / "predictions" / f"{file_name(number)}.jsonl"
        if not source.is_file():
            continue
        try:
            records = predictions.read(source)
        except ValueError as error:
            raise TransferlabError(f"{source} is damaged; {anew}.") from error
        if len(records) != ROWS[name]:
            raise TransferlabError(f"{source} has {len(records)} examples, the test has {ROWS[name]}; {anew}.")
        paths.append(write_tsv(task, number, records, folder))
    if not paths:
        raise TransferlabError(f"{run} has no predictions of unlabeled examples; {remedy}.")
    return paths


def write_tsv(task: str, number: int, records: list[Record], folder: Path) -> Path:
    """Writes a predicted split the way the GLUE server reads it.

    Args:
        task: Name of a GLUE task, a key of `FILES`.
        number: Position of the split among the task's splits to predict, from 0.
        records: ``id`` (row number) and ``prediction`` (name or number of a class, or a score), in any order.
        folder: Where to write; made if missing.

    Returns:
        The file.

    Raises:
        TransferlabError: Ids that are not 0, 1, ... n-1, or a prediction that the task does not know.
    """
    path = folder / f"{FILES[task][number]}.tsv"
    ordered = sorted(records, key=lambda record: int(record["id"]))
    _check_ids([int(record["id"]) for record in ordered], path.name)
    lines = [f"{record['id']}\t{cell(task, record)}" for record in ordered]
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["index\tprediction", *lines]) + "\n", encoding="utf-8")
    return path


def _check_ids(ids: list[int], name: str) -> None:
    if not ids:
        raise TransferlabError(f"{name}: no predictions.")
    for expected, number in enumerate(ids):
        if number != expected:
            fault = f"row {number} is there twice" if number < expected else f"row {expected} is missing"
            raise TransferlabError(f"{name}: {fault} among {len(ids)} predictions; predict the whole split again.")


def cell(task: str, record: Record) -> str:
    """The prediction in the server's form: class number, class word, or a score in [0, 5] with three decimals.

    Raises:
        TransferlabError: Not a label, class number or score of the task.
    """
    given, labels = record["prediction"], TASKS[task].labels
    if not labels:
        if isinstance(given, bool) or not isinstance(given, int | float) or math.isnan(given):
            raise _unknown(task, record, "a number")
        return f"{min(max(given, 0.0), 5.0):.3f}"
    known: list[int | str] = [*labels, *range(len(labels))]
    if isinstance(given, bool) or given not in known:
        raise _unknown(task, record, f"one of {', '.join(labels)} or its number")
    number = known.index(given) % len(labels)
    return labels[number] if task in WORDS else str(number)


def _unknown(task: str, record: Record, wanted: str) -> TransferlabError:
    return TransferlabError(f"{task}: the prediction of row {record['id']} is {record['prediction']!r}, not {wanted}.")


def _pack(paths: list[Path], output: Path) -> None:
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
            for path in paths:
                archive.write(path, path.name)
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {output}: {error.strerror}") from error
