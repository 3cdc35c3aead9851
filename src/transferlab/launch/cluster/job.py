"""What a job does before and after its run: ``python -m transferlab.launch.cluster.job start|end RUN ... NUMBER``.

It stands in the job file and not in the run, so that a signal during the imports, a run that dies, or a job that Slurm
itself requeues are counted and requeued too, and only when all processes have ended.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from transferlab.ground import queue
from transferlab.ground.errors import TransferlabError
from transferlab.ground.signals import STOPPED
from transferlab.record import folder as run_folder

AGAIN = (STOPPED, *(128 + number for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGTERM)))
"""Statuses of a run that was told to stop; the latter ones before it could listen."""


def start(run: Path, limit: int, others: Sequence[Path] = ()) -> None:
    """Counts the requeues in a row that brought no new checkpoint.

    Args:
        run: The run directory.
        limit: So many are allowed.
        others: Further runs of the same job, whose checkpoints count too.

    Raises:
        TransferlabError: There was one more.
    """
    path = run / "slurm" / "starts.json"
    restart = int(os.environ.get("SLURM_RESTART_COUNT") or 0)
    before = json.loads(path.read_text(encoding="utf-8")) if restart and path.is_file() else {}
    checkpoint = max(map(_checkpoint, (run, *others)))
    idle = before.get("idle", 0) + 1 if before and before["checkpoint"] == checkpoint else 0
    _say(f"start {restart + 1} on {os.environ.get('SLURM_JOB_NODELIST', '?')}" + (f", {idle} in vain" if idle else ""))
    if idle > limit:
        raise TransferlabError(
            f"{idle} requeues in a row without a new checkpoint in {run}, more than "
            f"cluster.requeues_without_checkpoint ({limit}): giving up. {run}/slurm/ has the logs; checkpoints come "
            f"every run.checkpoint_every_minutes. To try again: transferlab submit --resume {run}"
        )
    run_folder.write_json(path, {"checkpoint": checkpoint, "idle": idle})


def end(run: Path, status: int, others: Sequence[Path] = ()) -> int:
    """Requeues the job of a run that was told to stop; not one that finished, failed or was cancelled.

    Args:
        run: The run directory.
        status: With which ``srun`` ended.
        others: Further runs of the same job.

    Returns:
        The status of the job: 0 only for a run that is complete.
    """
    job = queue.this_job()
    complete = (run_folder.read_summary(one).get("status") in {"trained", "finished"} for one in (run, *others))
    if status == 0 and not all(complete):
        # srun does so where it is told to kill processes and does not hear from them
        _say("the run did not come to its end")
        return 1
    if status not in AGAIN:
        _say(f"the run ended with exit code {status}" + ("" if status == 0 else f": see {run}/slurm/rank*.log"))
        return status
    state = queue.state(job)
    # one that is cancelled must not come back; one that Slurm requeues itself comes back anyway
    if state not in {"RUNNING", ""}:
        _say(f"the run was stopped; job {job} is {state}, so it is not requeued from here")
    elif why_not := queue.requeue(job):
        _say(f"job {job} could not be requeued ({why_not}); resume with: transferlab submit --resume {run}")
    else:
        _say(f"the run was told to stop; job {job} is requeued")
    return status


def _checkpoint(run: Path) -> int:
    """Names the newest checkpoint by the time it was written, in nanoseconds; 0 where there is none."""
    newest = 0
    # a sequence of tasks has one for each, below its stages
    for folder in (run, *run.glob(f"{run_folder.STAGES}/*/*")):
        with suppress(FileNotFoundError):
            newest = max(newest, (folder / "checkpoints" / run_folder.LAST).stat().st_mtime_ns)
    return newest


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} job {queue.this_job()}: {line}", flush=True)


def main() -> None:
    """Runs ``start RUN ... LIMIT`` or ``end RUN ... STATUS``."""
    moment, *places, number = sys.argv[1:]
    run, *others = map(Path, places)
    try:
        if moment == "end":
            sys.exit(end(run, int(number), others))
        start(run, int(number), others)
    except TransferlabError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
