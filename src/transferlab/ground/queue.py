"""Questions to Slurm, and the two commands that change something there."""

import os
import re
import subprocess

from transferlab.ground.errors import TransferlabError

LIVE = {"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "CONFIGURING", "SIGNALING"}
"""States of a job that may have processes."""


def ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a Slurm command.

    Raises:
        TransferlabError: It is not there.
    """
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TransferlabError(
            f"no {command[0]} on PATH: submit where Slurm is, on a login node. DRY=1 (--dry) shows the job without it."
        ) from error


def submit(script: str) -> str:
    """Submits a job file; returns the number of the job.

    Raises:
        TransferlabError: No ``sbatch``, or it refused the job.
    """
    done = ask("sbatch", "--parsable", script)
    if done.returncode:
        raise TransferlabError(f"sbatch refused the job: {reason(done)}. DRY=1 (--dry) shows what it asks for.")
    return done.stdout.strip().partition(";")[0]


def requeue(job: str) -> str:
    """Puts a running job into the queue again; returns why not, empty where it worked."""
    done = ask("scontrol", "requeue", job)
    return reason(done) if done.returncode else ""


def reason(done: subprocess.CompletedProcess[str]) -> str:
    """What a Slurm command complains of, in one line."""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return "; ".join(re.sub(r"^\w+: (error|fatal): ", "", line) for line in lines) or f"status {done.returncode}"


def state(job: str) -> str:
    """The state of a job such as ``RUNNING``; empty where Slurm does not know the job, or does not answer."""
    done = ask("scontrol", "show", "job", "--oneliner", job)
    found = re.search(r"\bJobState=(\w+)", done.stdout)
    return found[1] if found and not done.returncode else ""


def may_live(job: str) -> bool:
    """Whether processes of a job may still be there; where Slurm cannot be asked they may."""
    try:
        done = ask("squeue", "--noheader", "--format=%T", f"--jobs={job}")
    except TransferlabError:
        return True
    if done.returncode:
        return "Invalid job id" not in done.stderr
    return any(line.strip() in LIVE for line in done.stdout.splitlines())


def own_jobs() -> set[str]:
    """Jobs of this user that wait or run; elements of arrays as ``12_3``."""
    done = ask("squeue", "--noheader", "--array", "--me", "--format=%i")
    return set(done.stdout.split())


def this_job() -> str:
    """The job that this process runs in, by the number that ``scontrol`` takes; empty outside of Slurm."""
    array, element = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{array}_{element}" if array and element else os.environ.get("SLURM_JOB_ID", "")
