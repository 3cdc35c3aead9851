"""A run on Slurm by submitit, in place of `make exp ... LAUNCHER=slurm`; without Slurm on this machine.

    pip install 'transferlab[launchers]'
    python docs/launchers/submitit_run.py runs/lora_sst2/mine --experiment lora_sst2 --trainer.max_epochs 1

The first argument is the run folder. At the end of its time and when it is preempted the run saves, the job goes into
the queue again, and the run goes on in its folder. One process; for several there is LAUNCHER=slurm.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import submitit

PARAMETERS: dict[str, Any] = {
    "name": "transferlab",
    "timeout_min": 24 * 60,
    "tasks_per_node": 1,
    "cpus_per_task": 4,
    "slurm_signal_delay_s": 90,
    # "slurm_partition": "gpu", "slurm_gpus_per_node": 1, "slurm_account": "mine",
}


class Fit:
    """`transferlab fit` in a run folder: begins the run, goes on with it, or says that it is finished.

    Args:
        run: The run folder.
        arguments: What follows `transferlab fit`.
    """

    def __init__(self, run: str, arguments: list[str]) -> None:
        self.run = run
        self.arguments = arguments
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self) -> str:
        """Trains; submitit calls this in the job."""
        line = [sys.executable, "-m", "transferlab", "fit", *self.arguments]
        self._process = subprocess.Popen(line, env={**os.environ, "TRANSFERLAB_RUN_DIR": self.run})
        if status := self._process.wait():
            raise RuntimeError(f"{self.run}: status {status}")
        return self.run

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Waits until the run has saved; submitit calls this when the job is told to stop, and then requeues it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
            # `wait` is what this was called out of, and cannot be entered twice
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return submitit.helpers.DelayedSubmission(Fit(self.run, self.arguments))


def submit(run: Path, arguments: list[str], cluster: str | None = None, **parameters: Any) -> submitit.Job[str]:
    """Submits a run; pickles and logs go into its folder. `cluster` is ``slurm``, ``local``, or what is there."""
    folder = run.absolute()
    executor = submitit.AutoExecutor(folder=folder / "submitit", cluster=cluster)
    executor.update_parameters(**PARAMETERS | parameters)
    return executor.submit(Fit(str(folder), arguments))


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(str(__doc__))
    job = submit(Path(sys.argv[1]), sys.argv[2:])
    print(f"job {job.job_id}, log {job.paths.stdout}")
    # here it is a child of this process
    if isinstance(job, submitit.LocalJob):
        print(job.result())
