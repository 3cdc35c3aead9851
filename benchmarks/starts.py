"""How soon something answers: commands, and the second start on the same data."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import ROOT, Clock, Measurement, report, run


def time_command(command: tuple[str, ...]) -> Measurement:
    """Runs a command twice: once on the clock, once to see what it imports.

    Args:
        command: As in `benchmarks.works.Start`.

    Returns:
        ``wall_s``, and ``torch``: whether any Python process in it imported torch.

    Raises:
        RuntimeError: The command failed.
    """
    with tempfile.TemporaryDirectory() as runs:
        write_runs(Path(runs), 50)
        line = [part.format(python=sys.executable, runs=runs) for part in command]
        clock = time.perf_counter()
        _run(line, {})
        seconds = time.perf_counter() - clock
        imports = _run(line, {"PYTHONPROFILEIMPORTTIME": "1"})
    return {"wall_s": round(seconds, 4), "torch": bool(re.search(r"\|\s+torch$", imports, re.MULTILINE))}


def write_runs(folder: Path, count: int) -> None:
    """Writes the summaries of finished runs, for `compare` to read."""
    for number in range(count):
        run_folder = folder / f"experiment{number % 10}" / f"run{number}"
        run_folder.mkdir(parents=True)
        summary = {
            "experiment": run_folder.parent.name,
            "run": run_folder.name,
            "task": "sst2",
            "primary": "accuracy",
            "encoder": "all-MiniLM-L6-v2",
            "strategy": f"strategy{number % 10}",
            "seed": number // 10,
            "status": "finished",
            "metrics": {"val/accuracy": 0.9, "test/accuracy": 0.9 - number / 1000},
        }
        (run_folder / "summary.json").write_text(json.dumps(summary), encoding="utf-8")


def _run(line: list[str], variables: dict[str, str]) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **variables}
    # called from make, the flags of that call would be handed on
    environment = {key: value for key, value in environment.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    done = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().splitlines()[-1])
    return done.stderr


def second_start(place: str, encoder: str) -> Measurement:
    """Starts twice on the same data, each time in a fresh process, and returns the second.

    Args:
        place: A task of the table, or a folder written by `benchmarks.rows`.
        encoder: Name of the encoder.

    Returns:
        ``wall_s`` from the data module to tokenised rows, ``import_s`` of its imports, ``first_wall_s`` of the first
        start.
    """
    with tempfile.TemporaryDirectory() as folder:
        first = run("benchmarks.starts", [place, encoder], Path(folder))
        second = run("benchmarks.starts", [place, encoder], Path(folder))
    return {**second, "first_wall_s": first["wall_s"]}


def tokenise(place: str, encoder: str) -> Measurement:
    """Brings the rows of a task to tokens in this process."""
    clock = Clock()
    from transferlab.encoders import EncoderConfig
    from transferlab.tasks import TaskDataModule

    imports = clock.read()
    name, source = place, None
    if Path(place).is_dir():
        from benchmarks.rows import read_facts, read_source

        name, source = read_facts(place)["task"], read_source(place, ("train", "validation"))
    clock = Clock()
    TaskDataModule(name, EncoderConfig(encoder), source).setup("fit")
    return {**clock.read(), "import_s": imports["wall_s"]}


if __name__ == "__main__":
    report(tokenise(sys.argv[1], sys.argv[2]))
