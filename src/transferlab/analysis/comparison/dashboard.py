"""``transferlab dashboard``: run directories in Trackio, a dashboard on this machine without an account."""

import os
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison import naming
from transferlab.analysis.comparison.groups import Summary, group
from transferlab.analysis.comparison.options import FILTERS
from transferlab.analysis.comparison.reading import read, select
from transferlab.analysis.comparison.standing import standing
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.record import history

FOLDER = ".trackio"


def main(arguments: list[str]) -> None:
    """Runs ``transferlab dashboard``.

    Raises:
        TransferlabError: No runs, no run that passes the filters, Trackio is missing, or the port is taken.
    """
    parser = Parser("transferlab dashboard", description=__doc__)
    parser.add_argument("root", nargs="?", type=Path, default=Path("runs"), metavar="ROOT", help="folder of runs")
    parser.add_argument("--port", type=int, default=7860, help="port on this machine [7860]")
    parser.add_argument("--write-only", action="store_true", help=f"write ROOT/{FOLDER} and serve nothing")
    for name in FILTERS:
        parser.add_argument(f"--{name}", help=f"only runs with this {name}")
    asked = parser.parse_args(arguments)
    if not 1 <= asked.port <= 65535:
        raise TransferlabError(f"--port: {asked.port} is no port; use a number from 1024 to 65535, such as 7860.")
    runs = select(read(asked.root), {name: getattr(asked, name) for name in FILTERS})
    folder = asked.root / FOLDER
    written = write(runs, folder)
    print(f"{written} of {len(runs)} runs have logged steps; they are in {folder}/")
    if not asked.write_only:
        _serve(asked.port)


def write(runs: Sequence[Summary], folder: Path) -> int:
    """Writes runs as Trackio projects, one for each task, anew.

    Args:
        runs: Summaries, each with ``folder``; those without logged steps, such as baselines, are left out.
        folder: What was there is replaced.

    Returns:
        Number of runs written.

    Raises:
        TransferlabError: Trackio is missing.
    """
    # read at the import
    os.environ["TRACKIO_DIR"] = str(folder.absolute())
    try:
        # its types are not complete
        trackio: Any = import_module("trackio")
    except ImportError:
        raise TransferlabError("a dashboard needs Trackio: pip install 'transferlab[dashboard]'.") from None
    shutil.rmtree(folder, ignore_errors=True)
    written = 0
    for setting in standing(group(runs), tests=False):
        for run in setting.group.runs:
            if not (rows := history.rows(Path(str(run["folder"])))):
                continue
            facts: dict[str, Any] = {name: run.get(name) for name in ("task", "strategy", "encoder", "seed", "status")}
            # it tells how to open what is being written, for each run
            with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
                trackio.init(
                    str(run.get("task") or "unknown"),
                    name=f"{run.get('experiment')}/{run['run']}",
                    group=setting.label,
                    config=facts | naming.deciding(setting.group),
                    embed=False,
                    auto_log_gpu=False,
                    auto_log_cpu=False,
                )
                for row in rows:
                    curves = {name: value for name, value in row.items() if name not in {"step", "epoch"}}
                    trackio.log(curves, step=row.get("step"))
                trackio.log(dict(run.get("metrics") or {}), step=rows[-1].get("step"))
                trackio.finish()
            written += 1
            print(f"{run.get('experiment')}/{run['run']}: {len(rows)} steps", flush=True)
    return written


def _serve(port: int) -> None:
    import trackio

    try:
        trackio.show(open_browser=False, server_port=port, host="127.0.0.1", share=False, block_thread=True)
    except OSError as error:
        raise TransferlabError(f"--port {port}: no such port is free on this machine; give another one.") from error
