"""Run directories that are ready to be trained by a job, and the job that does it."""

import dataclasses
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from transferlab.config import experiments, trees
from transferlab.config.trees import Tree
from transferlab.ground import hints, queue
from transferlab.ground.errors import TransferlabError
from transferlab.launch.cluster import script
from transferlab.launch.cluster.settings import Slurm
from transferlab.record import folder as run_folder

ALONE = ("multitask", "sequence")
"""Commands that train on one process."""


class Command(NamedTuple):
    """A run that is to be.

    Attributes:
        arguments: What follows the command: ``--experiment NAME`` or ``--config FILE``, and any keys.
        run: Its run directory; without a configuration in `arguments` it must hold one.
        name: The command that trains it: ``fit``, ``pretrain``, ``multitask`` or ``sequence``.
    """

    arguments: Sequence[str]
    run: Path
    name: str = "fit"


class Job(NamedTuple):
    """A run directory as a job needs it.

    Attributes:
        run: The run directory.
        tree: The experiment as it is now; later changes of its files do not reach the run. None: the run has its own.
        arguments: What follows the command but for the configuration.
        text: The lines that train it.
        command: What trains it.
    """

    run: Path
    tree: Tree | None
    arguments: list[str]
    text: str
    command: str = "fit"


def submit(command: Command, settings: Slurm, dry: bool = False) -> str:
    """Writes ``slurm/job.sbatch`` into the run directory and submits it.

    Args:
        command: The run.
        settings: What the job asks for.
        dry: Only print the job file.

    Returns:
        The number of the job; empty for a dry one.

    Raises:
        TransferlabError: A wrong experiment or key, no Slurm here, or it refused the job.
    """
    job = prepare(command, settings)
    name = job.run.parent.name
    text = f"{script.header(name, job.run / 'slurm' / 'job.log', settings)}\n{job.text}"
    if dry:
        print(text, end="")
        return ""
    _refuse_queued(job.run)
    with taken_back([job.run]):
        write(job, settings)
        path = job.run / "slurm" / "job.sbatch"
        run_folder.write_text(path, text)
        number = queue.submit(str(path))
    note(job, settings, number)
    return number


def submitted(run: Path) -> dict[str, Any]:
    """What a run was last submitted with: ``arguments``, ``cluster``, ``job``; empty for one that never was."""
    try:
        content = json.loads((run / "slurm" / "submitted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def command_of(run: Path) -> str:
    """The command that trains a run: as it was submitted, else by its kind."""
    return str(submitted(run).get("command", "")) or hints.command_of(run)


def last_job(run: Path) -> str:
    """The job that a run was last submitted as; empty for none."""
    return str(submitted(run).get("job", ""))


def is_finished(run: Path) -> bool:
    """Whether a run is trained and tested."""
    return run_folder.read_summary(run).get("status") == "finished"


def prepare(command: Command, settings: Slurm) -> Job:
    """Works out what a run needs, without writing anything.

    Raises:
        TransferlabError: A wrong experiment, or a number of processes that is not the job's.
    """
    run = command.run.absolute()
    tree, arguments = read_experiment(command.arguments)
    own = run / "config.yaml"
    if tree is None and not own.is_file() and not (run / "slurm" / "experiment.yaml").is_file():
        raise TransferlabError(f"{run} holds no configuration; give --experiment NAME or --config FILE.")
    existing = next((path for path in (own, run / "slurm" / "experiment.yaml") if path.is_file()), None)
    trainer = (trees.read_yaml(existing) if existing else tree or {}).get("trainer") or {}
    forced = _trainer(arguments, trainer, settings, begun=own.is_file())
    if command.name in ALONE and settings.nodes * settings.processes != 1:
        raise TransferlabError(
            f"cluster.nodes, cluster.processes_per_node: {command.name} trains on one process; set both to 1."
        )
    # the given ones come last: they win
    text = script.body(run, [*forced, *arguments], settings, command.name)
    return Job(run, None if existing else tree, arguments, text, command.name)


def read_experiment(arguments: Sequence[str]) -> tuple[Tree | None, list[str]]:
    """Takes the experiment out of a command line, as a tree with all its bases; None where there is none.

    Raises:
        TransferlabError: Several experiments, or none behind the option.
    """
    tree, rest = None, []
    chosen, arguments = experiments.take_choices(arguments)
    given = iter(arguments)
    for argument in given:
        name, sign, value = argument.partition("=")
        if name not in {"--experiment", "--config", "-c"}:
            rest.append(argument)
            continue
        value = value if sign else next(given, "")
        if not value or tree is not None:
            raise TransferlabError(f"{name}: give one experiment, {name} {'NAME' if 'exp' in name else 'FILE'}.")
        if name == "--experiment":
            tree = experiments.compose(value, chosen=chosen)
        else:
            tree = experiments.of_file(Path(value), chosen=chosen)
    return tree, rest


def value_of(key: str, tree: Tree, arguments: Sequence[str], default: Any) -> Any:
    """What a dotted key of one or two parts has in the end: given, in the tree, or the default."""
    found: Any = tree
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    found = default if found is None else found
    for position, argument in enumerate(arguments):
        name, sign, value = argument.partition("=")
        if name == f"--{key}":
            found = value if sign else next(iter(arguments[position + 1 :]), default)
    return found


def _trainer(arguments: Sequence[str], trainer: Tree, settings: Slurm, begun: bool) -> list[str]:
    """Keys of the Trainer that follow from what the job asks for."""
    wanted = {"num_nodes": settings.nodes, "devices": settings.processes}
    names = {"num_nodes": "nodes", "devices": "processes_per_node"}
    given = {argument.partition("=")[0] for argument in arguments}
    for key, number in wanted.items():
        if f"--trainer.{key}" in given:
            raise TransferlabError(f"--trainer.{key}: in a job cluster.{names[key]} decides about it.")
        # what came from the command line is kept as a string
        if begun and str(had := trainer.get(key, 1)) != str(number):
            raise TransferlabError(
                f"the run was begun with trainer.{key} {had}, the job has {number}: give --cluster.{names[key]} {had}."
            )
    if begun:
        return []
    keys = [part for key, number in wanted.items() for part in (f"--trainer.{key}", str(number))]
    alone = "--trainer.strategy" not in given and trainer.get("strategy", "auto") == "auto"
    if "--trainer.accelerator" not in given:
        # a GPU that the job did not ask for is not its own, even where it can be seen
        chooses = alone and trainer.get("accelerator") == "auto"
        kind = "gpu" if settings.gpus_per_node else "cpu" if chooses else ""
        keys += ["--trainer.accelerator", kind] if kind else []
    if settings.nodes * settings.processes > 1 and alone:
        keys += ["--trainer.strategy", "ddp"]
    return keys


@contextmanager
def taken_back(folders: Sequence[Path]) -> Iterator[None]:
    """Removes the folders that were not there before, if there is no job in the end."""
    new = [folder for folder in folders if not folder.exists()]
    try:
        yield
    except TransferlabError:
        for folder in new:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _refuse_queued(run: Path) -> None:
    job = last_job(run)
    if job and job in queue.own_jobs():
        raise TransferlabError(f"{run} is in the queue already, as job {job}. To stop that one: scancel {job}")


def write(job: Job, settings: Slurm) -> None:
    """Writes what a run needs into its folder.

    Raises:
        TransferlabError: The folder cannot be written.
    """
    try:
        (job.run / "slurm").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TransferlabError(f"run.root: cannot write the run directory {job.run}: {error.strerror}") from error
    if job.tree is not None:
        run_folder.write_text(job.run / "slurm" / "experiment.yaml", yaml.safe_dump(job.tree, sort_keys=False))
    note(job, settings, last_job(job.run))


def note(job: Job, settings: Slurm, number: str) -> None:
    """Notes what a run was submitted with, and as which job."""
    facts = {"arguments": job.arguments, "cluster": dataclasses.asdict(settings), "job": number}
    facts |= {} if job.command == "fit" else {"command": job.command}
    run_folder.write_json(job.run / "slurm" / "submitted.json", facts | {"time": time.strftime("%Y-%m-%d %H:%M:%S")})
