"""What `compare` and `report` read of a run, worked out when the run ends and its files are at hand."""

import contextlib
import time
from pathlib import Path

from transferlab.analysis.comparison import configs, kept
from transferlab.record import folder as run_folder


def keep(folder: Path, wait: bool = True) -> None:
    """Writes the entries of a finished run, see `transferlab.analysis.comparison.kept`.

    A table of a thousand runs then opens small entries from the first time on. Where something cannot be worked out,
    the reader says so when it needs it.

    Args:
        folder: The run directory.
        wait: Whether its files have been written only just now: a tick of their clock later none can change and keep
            its time.
    """
    from transferlab.analysis.comparison import outcomes
    from transferlab.analysis.page import answers, gather

    run = {**run_folder.read_summary(folder), "folder": str(folder)}
    if wait:
        time.sleep(1.2 * kept.TICK / 1e9)
    for read in (outcomes.outcomes, answers.tested, answers.examples, gather.curves):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            read(run)
    configs.of_folder(str(folder))
