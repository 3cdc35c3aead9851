"""Run folders that are ready to be trained by a job, and the jobs that do it: one run, or an array of runs."""

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
from transferlab.ground import queue
from transferlab.ground.errors import TransferlabError
from transferlab.launch.cluster import script
from transferlab.launch.cluster.settings import Slurm
from transferlab.record import folder as run_folder


class Command(NamedTuple):
    """A run that is to be.

    Attributes:
        arguments: What follows ``transferlab fit``: ``--experiment NAME`` or ``--config FILE``, and any keys.
        run: Its run folder; without a configuration in `arguments` it must hold one.
    """

    arguments: Sequence[str]
    run: Path


class Job(NamedTuple):
    """A run folder as a job needs it.

    Attributes:
        run: The run folder.
        tree: The experiment as it is now; later changes of its files do not reach the run. None: the run has its own.
        arguments: What follows ``transferlab fit`` but for the configuration.
        text: The lines that train it.
    """

    run: Path
    tree: Tree | None
    arguments: list[str]
    text: str


def submit(command: Command, settings: Slurm, dry: bool = False) -> str:
    """Writes ``slurm/job.sbatch`` into the run folder and submits it.

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
    with _taken_back([job.run]):
        _write(job, settings)
        path = job.run / "slurm" / "job.sbatch"
        run_folder.write_text(path, text)
        number = queue.submit(str(path))
    _note(job, settings, number)
    return number


def submit_array(commands: Sequence[Command], folder: Path, settings: Slurm, dry: bool = False) -> str:
    """Submits runs as the elements of one array; finished runs and those in the queue are left out.

    Each run has its folder, its logs, its requeues. To submit the unfinished ones again call it again.

    Args:
        commands: The runs, in an order that stays.
        folder: For the files of the array: ``array.sbatch``, ``runs.txt``.
        settings: What each element asks for.
        dry: Only print the job file and what each element would run.

    Returns:
        The number of the job; empty for a dry one, and where nothing is left to run.

    Raises:
        TransferlabError: A wrong experiment or key, no Slurm here, or it refused the job.
    """
    jobs = [prepare(command, settings) for command in commands]
    texts = _to_submit("runs", {job.run / "slurm" / "run.sh": (job.text, [job.run]) for job in jobs}, dry)
    if not texts:
        return ""
    runs = folder / "runs.txt"
    array = _Array(folder.parent.name, folder, script.element(runs), texts)
    if dry:
        return array.show(settings)
    with _taken_back([folder, *(jobs[number].run for number in texts)]):
        for number in texts:
            _write(jobs[number], settings)
        _make(folder)
        run_folder.write_text(runs, "".join(f"{job.run.absolute()}\n" for job in jobs))
        submitted_as = array.submit(settings)
    for number in texts:
        _note(jobs[number], settings, f"{submitted_as}_{number}")
    return submitted_as


class Element(NamedTuple):
    """An element of an array that fills several run folders by a command of its own.

    Attributes:
        arguments: What follows ``transferlab``.
        runs: The run folders.
    """

    arguments: Sequence[str]
    runs: Sequence[Path]


def submit_elements(elements: Sequence[Element], folder: Path, settings: Slurm, dry: bool = False) -> str:
    """Submits commands as the elements of one array; those whose runs are finished or in the queue are left out.

    Args:
        elements: The commands, in an order that stays.
        folder: For the files of the array: ``array.sbatch``, and a script and a log for each element.
        settings: What each element asks for.
        dry: Only print the job file and what each element would run.

    Returns:
        The number of the job; empty for a dry one, and where nothing is left to run.

    Raises:
        TransferlabError: More than one process, no Slurm here, or it refused the job.
    """
    if settings.nodes * settings.processes != 1:
        raise TransferlabError(
            "cluster.nodes, cluster.processes_per_node: the runs of a sweep have one process each; "
            "make exp NAME=... LAUNCHER=slurm takes several."
        )
    files = {
        folder / f"{n}.sh": (script.command_body(one.runs, one.arguments, folder / f"{n}.log", settings), one.runs)
        for n, one in enumerate(elements)
    }
    texts = _to_submit("jobs", files, dry)
    if not texts:
        return ""
    array = _Array(folder.name, folder, script.numbered(folder), texts)
    if dry:
        return array.show(settings)
    with _taken_back([folder]):
        _make(folder)
        submitted_as = array.submit(settings)
    for number in texts:
        run, arguments = elements[number].runs[0], list(elements[number].arguments)
        (run / "slurm").mkdir(parents=True, exist_ok=True)
        _note(Job(run, None, arguments, ""), settings, f"{submitted_as}_{number}")
    return submitted_as


def _to_submit(what: str, files: dict[Path, tuple[str, Sequence[Path]]], dry: bool) -> dict[int, tuple[Path, str]]:
    """Leaves out the elements whose runs are finished or in the queue.

    Args:
        what: What the elements are, in the plural.
        files: The script of each element, with its text and the run folders that it fills.
        dry: Do not ask Slurm.

    Returns:
        Number of an element to its script and the script's text.
    """
    queued = set() if dry else queue.own_jobs()
    runs = [filled for _, filled in files.values()]
    finished = {number for number, filled in enumerate(runs) if all(map(is_finished, filled))}
    waiting = {number for number, filled in enumerate(runs) if last_job(filled[0]) in queued} - finished
    texts = {
        number: (path, text)
        for number, (path, (text, _)) in enumerate(files.items())
        if number not in finished | waiting
    }
    print(f"{len(files)} {what}: {len(finished)} finished, {len(waiting)} in the queue, {len(texts)} to submit")
    return texts


class _Array(NamedTuple):
    """An array: what all elements run, and the script of each that is to be submitted."""

    name: str
    folder: Path
    body: str
    texts: dict[int, tuple[Path, str]]

    def text(self, settings: Slurm) -> str:
        """The job file."""
        limit = f"%{settings.parallel}" if settings.parallel else ""
        numbers = f"{ranges(list(self.texts))}{limit}"
        return f"{script.header(self.name, self.folder / 'array.log', settings, numbers)}\n{self.body}"

    def show(self, settings: Slurm) -> str:
        """Prints the job file and the scripts; there is no number of a job."""
        print(self.text(settings))
        for number, (path, text) in self.texts.items():
            print(f"# element {number}: {path}\n{text}")
        return ""

    def submit(self, settings: Slurm) -> str:
        """Writes the files and submits them; the number of the job."""
        for path, text in self.texts.values():
            # bash reads a script while it runs it; this replaces the file instead of changing it
            run_folder.write_text(path, text)
        run_folder.write_text(self.folder / "array.sbatch", self.text(settings))
        return queue.submit(str(self.folder / "array.sbatch"))


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TransferlabError(f"cannot write the folder of the jobs {folder}: {error.strerror}") from error


def array_commands(folder: Path) -> list[Command]:
    """The runs of an array that was submitted before.

    Raises:
        TransferlabError: No array there.
    """
    try:
        runs = (folder / "runs.txt").read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise TransferlabError(f"{folder} is no folder of an array: {error.strerror}.") from error
    return [Command(submitted(Path(run)).get("arguments", []), Path(run)) for run in runs]


def submitted(run: Path) -> dict[str, Any]:
    """What a run was last submitted with: ``arguments``, ``cluster``, ``job``; empty for one that never was."""
    try:
        content = json.loads((run / "slurm" / "submitted.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def last_job(run: Path) -> str:
    """The job that a run was last submitted as; empty for none."""
    return str(submitted(run).get("job", ""))


def is_finished(run: Path) -> bool:
    """Whether a run is trained and tested."""
    return run_folder.read_summary(run).get("status") == "finished"


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as Slurm writes them: ``0-2,5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)


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
    # the given ones come last: they win
    return Job(run, None if existing else tree, arguments, script.body(run, [*forced, *arguments], settings))


def read_experiment(arguments: Sequence[str]) -> tuple[Tree | None, list[str]]:
    """Takes the experiment out of a command line, as a tree with all its bases; None where there is none."""
    tree, rest = None, []
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
            tree = experiments.compose(value)
        else:
            tree = trees.expand(Path(value))
            tree.setdefault("run", {}).setdefault("experiment", Path(value).stem)
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
    if settings.gpus_per_node and "--trainer.accelerator" not in given:
        keys += ["--trainer.accelerator", "gpu"]
    several = settings.nodes * settings.processes > 1
    if several and "--trainer.strategy" not in given and trainer.get("strategy", "auto") == "auto":
        keys += ["--trainer.strategy", "ddp"]
    return keys


@contextmanager
def _taken_back(folders: Sequence[Path]) -> Iterator[None]:
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


def _write(job: Job, settings: Slurm) -> None:
    try:
        (job.run / "slurm").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TransferlabError(f"run.root: cannot write the run folder {job.run}: {error.strerror}") from error
    if job.tree is not None:
        run_folder.write_text(job.run / "slurm" / "experiment.yaml", yaml.safe_dump(job.tree, sort_keys=False))
    _note(job, settings, last_job(job.run))


def _note(job: Job, settings: Slurm, number: str) -> None:
    facts = {"arguments": job.arguments, "cluster": dataclasses.asdict(settings), "job": number}
    run_folder.write_json(job.run / "slurm" / "submitted.json", facts | {"time": time.strftime("%Y-%m-%d %H:%M:%S")})
