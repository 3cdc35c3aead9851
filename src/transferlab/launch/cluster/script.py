"""The text of job files."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import PLAN, SEQUENCE
from transferlab.launch.cluster.settings import Slurm


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


def body(run: Path, arguments: Sequence[str], settings: Slurm, command: str = "fit") -> str:
    """The lines that train one run; the same again after each requeue.

    Args:
        run: The run directory.
        arguments: What follows the command but for the configuration.
        settings: What the job asks for.
        command: What trains it.
    """
    folder, python = shlex.quote(str(run.absolute())), shlex.quote(sys.executable)
    given = " ".join(map(shlex.quote, arguments))
    saved, option = (PLAN, "") if command == SEQUENCE else ("config.yaml", "--config ")
    choose = [
        "# from the second start on with the configuration that the first one saved",
        f'if [ -f "$run/{saved}" ]; then set -- --resume "$run"; else set -- {option}"$run/slurm/experiment.yaml"; fi',
    ]
    train = f'{python} -m transferlab {command} "$@" {given}'.rstrip()
    lines = _frame('"$run"', {"TRANSFERLAB_RUN_DIR": "$run"}, choose, train, run / "slurm" / "rank%t.log", settings)
    return "\n".join([f"run={folder}", *lines])


def command_body(runs: Sequence[Path], arguments: Sequence[str], log: Path, settings: Slurm) -> str:
    """The lines of a job that fills several run directories by a command of its own; the same again after each requeue.

    Args:
        runs: The run directories.
        arguments: What follows ``transferlab``.
        log: Where the command writes.
        settings: What the job asks for.
    """
    places = " ".join(shlex.quote(str(run.absolute())) for run in runs)
    command = " ".join(map(shlex.quote, [sys.executable, "-m", "transferlab", *arguments]))
    return "\n".join(_frame(places, {}, [], command, log, settings))


def _frame(
    runs: str, variables: dict[str, str], before: list[str], command: str, log: Path, settings: Slurm
) -> list[str]:
    python = shlex.quote(sys.executable)
    # in the folder a per cent sign is one, in the name it stands for the number of the process
    logs = shlex.quote(str(log.parent.absolute()).replace("%", "%%") + f"/{log.name}")
    variables = {**variables, "PYTHONUNBUFFERED": "1"}
    if settings.offline:
        variables |= {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "${WANDB_MODE:-offline}"}
    return [
        "export " + " ".join(f'{name}="{value}"' for name, value in variables.items()),
        *settings.setup,
        "# a signal is for the processes of the run; this shell must be there after them",
        "trap : TERM USR1 USR2",
        f"{python} -m transferlab.launch.cluster.job start {runs} {settings.requeues_without_checkpoint} || exit",
        *before,
        # srun does not take the number of cores over from the job
        f"srun --kill-on-bad-exit=1 --cpus-per-task={settings.cpus_per_process} --open-mode=append --output={logs} \\",
        f"  {command}",
        f"{python} -m transferlab.launch.cluster.job end {runs} $?",
        "exit",
        "",
    ]


def element(runs: Path) -> str:
    """The lines that an element of an array runs.

    Args:
        runs: A file with a run directory in each line, that of element 0 first.
    """
    return "\n".join(
        [
            f'run=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {shlex.quote(str(runs.absolute()))})',
            'exec bash "$run/slurm/run.sh"',
            "",
        ]
    )


def numbered(folder: Path) -> str:
    """The lines that an element of an array runs whose scripts lie in `folder`, ``0.sh`` and so on."""
    return f'exec bash {shlex.quote(str(folder.absolute()))}/"$SLURM_ARRAY_TASK_ID".sh\n'
