"""``transferlab watch RUN``: W&B's terminal dashboard on the files of a run, offline or online."""

import os
import shutil
import sys
from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder


def main(arguments: list[str]) -> None:
    """Becomes ``wandb leet``.

    Raises:
        TransferlabError: No such run, or none with W&B files, or no terminal.
    """
    parser = Parser("transferlab watch", description="Terminal dashboard of a run.")
    parser.add_argument("run", help="experiment (its newest run), run id or folder")
    options = parser.parse_args(arguments)
    file = newest(run_folder.find(options.run))
    if not sys.stdout.isatty():
        raise TransferlabError(f"watch needs a terminal; `wandb leet inspect --summary {file}` prints the state.")
    program = shutil.which("wandb", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise TransferlabError("watch: no program `wandb`; pip install wandb.")
    os.execv(program, [program, "leet", "run", str(file)])


def newest(folder: Path) -> Path:
    """The W&B file of the newest start of a run, which holds all before it.

    Raises:
        TransferlabError: There is none.
    """
    found = sorted(folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise TransferlabError(f"{folder} holds no W&B files; was it trained with `--trainer.logger false`?")
    return found[-1]
