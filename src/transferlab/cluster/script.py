"""The text of job files."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from transferlab.cluster.settings import Slurm
from transferlab.errors import TransferlabError


def header(name: str, log: Path, settings: Slurm, array: str = "") -> str:
    """The first lines of a job file, with what the job asks for.

    Args:
        name: Name of the job.
        log: Where the job itself writes.
        settings: What it asks for.
        array: Numbers of the elements, ``0-4%2``; empty for a single job.

    Raises:
        TransferlabError: The name of a folder cannot stand there.
    """
    options = {
        "job-name": name,
        "array": array,
        "partition": settings.partition,
        "account": settings.account,
        "qos": settings.qos,
        "constraint": settings.constraint,
        "nodes": settings.nodes,
        # not --ntasks, which may put two processes on one node and none on another
        "ntasks-per-node": settings.processes,
        "cpus-per-task": settings.cpus_per_process,
        "gpus-per-node": settings.gpus_per_node or None,
        "mem": settings.memory,
        "time": settings.time,
        "signal": f"USR1@{settings.signal_seconds}",
        "chdir": _quoted(Path.cwd()),
        "output": _quoted(log.absolute(), pattern=True),
        # a requeued job would begin its log anew
        "open-mode": "append",
    }
    lines = [f"--{option}={value}" for option, value in options.items() if value not in {None, ""}]
    return "\n".join(["#!/bin/bash", *(f"#SBATCH {line}" for line in [*lines, "--requeue", *settings.options])])


def _quoted(path: Path, pattern: bool = False) -> str:
    text = str(path)
    if any(mark in text for mark in '"\\\n'):
        raise TransferlabError(f"{text}: Slurm takes no quotation mark, backslash or line break in a folder's name.")
    # %t and its like stand for something in the name of a log
    return f'"{text.replace("%", "%%") if pattern else text}"'


def body(run: Path, arguments: Sequence[str], settings: Slurm) -> str:
    """The lines that train one run; the same again after each requeue.

    Args:
        run: The run folder.
        arguments: What follows ``transferlab fit`` but for the configuration.
        settings: What the job asks for.
    """
    folder, python = shlex.quote(str(run.absolute())), shlex.quote(sys.executable)
    logs = shlex.quote(str(run.absolute()).replace("%", "%%") + "/slurm/rank%t.log")
    variables = {"TRANSFERLAB_RUN_DIR": "$run", "PYTHONUNBUFFERED": "1"}
    if settings.offline:
        variables |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "${WANDB_MODE:-offline}"}
    command = " ".join(map(shlex.quote, arguments))
    return "\n".join(
        [
            f"run={folder}",
            "export " + " ".join(f'{name}="{value}"' for name, value in variables.items()),
            *settings.setup,
            "# a signal is for the processes of the run; this shell must be there after them",
            "trap : TERM USR1 USR2",
            f'{python} -m transferlab.cluster.job start "$run" {settings.requeues_without_checkpoint} || exit',
            "# from the second start on with the configuration that the first one saved",
            'if [ -f "$run/config.yaml" ]; then set -- --resume "$run"; '
            'else set -- --config "$run/slurm/experiment.yaml"; fi',
            # srun does not take the number of cores over from the job
            f"srun --kill-on-bad-exit=1 --cpus-per-task={settings.cpus_per_process} --open-mode=append "
            f"--output={logs} \\",
            f'  {python} -m transferlab fit "$@" {command}'.rstrip(),
            f'{python} -m transferlab.cluster.job end "$run" $?',
            "exit",
            "",
        ]
    )


def element(runs: Path) -> str:
    """The lines that an element of an array runs.

    Args:
        runs: A file with a run folder in each line, that of element 0 first.
    """
    return "\n".join(
        [
            f'run=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(runs.absolute()))})',
            'exec bash "$run/slurm/run.sh"',
            "",
        ]
    )
