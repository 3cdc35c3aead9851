"""What the processes of a sweep do: each runs the command of one cell, and need not import anything for it.

The slow imports are done once, in multiprocessing's fork server, from which each process is forked before anything was
computed or seeded. So a cell gives the bits that its command gives alone. This module itself imports little, since the
sweep names its functions.
"""

import os
import sys
import threading
from importlib.util import find_spec
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path
from signal import SIGTERM
from typing import Any

from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder

PRELOAD = ["transferlab.launch.sweeps.preload"]
"""What the fork server imports."""
LOG = "output.log"
"""File in the run directory of a cell: what its command printed."""


def work(arguments: tuple[str, ...], folder: Path) -> None:
    """Runs one command in a run directory; the process ends with its exit status."""
    # a Ctrl-C at the terminal is for the sweep, which then asks its cells to stop
    os.setsid()
    output = os.open(folder / LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ[run_folder.VARIABLE] = str(folder.absolute())
    # a launcher of further processes runs the command again
    sys.modules["__main__"].__spec__ = find_spec("transferlab.__main__")
    sys.argv = ["transferlab", *arguments]
    threading.Thread(target=_follow_parent, daemon=True).start()
    from transferlab.__main__ import main
    from transferlab.training import lock

    try:
        main()
    finally:
        # a forked process ends without its exit handlers
        lock.release(folder.absolute())


def _follow_parent() -> None:
    """Asks this process to save and end when the sweep was killed."""
    parent: Any = parent_process()
    wait([parent.sentinel])
    os.kill(os.getpid(), SIGTERM)


def check(commands: list[tuple[str, ...]], answer: Connection) -> None:
    """Parses commands without running them, and sends for each the message of its mistake, or an empty one."""
    from transferlab.baselines import command as baseline
    from transferlab.cli import parsing
    from transferlab.ground.quiet import quiet

    quiet()
    for command in commands:
        try:
            if command[0] == "fit":
                parsing.check(list(command))
            else:
                baseline.check(list(command[1:]))
            answer.send("")
        except TransferlabError as error:
            answer.send(str(error))
    answer.close()
