"""Arrays of jobs: each element trains one run, or runs a command of its own."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from transferlab.ground import queue
from transferlab.ground.errors import TransferlabError
from transferlab.launch.cluster import script
from transferlab.launch.cluster.jobs import (
    Command,
    Job,
    command_of,
    is_finished,
    last_job,
    note,
    prepare,
    submitted,
    taken_back,
    write,
)
from transferlab.launch.cluster.settings import Slurm
from transferlab.record import folder as run_folder


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
    with taken_back([folder, *(jobs[number].run for number in texts)]):
        for number in texts:
            write(jobs[number], settings)
        _make(folder)
        run_folder.write_text(runs, "".join(f"{job.run.absolute()}\n" for job in jobs))
        submitted_as = array.submit(settings)
    for number in texts:
        note(jobs[number], settings, f"{submitted_as}_{number}")
    return submitted_as


class Element(NamedTuple):
    """An element of an array that fills several run directories by a command of its own.

    Attributes:
        arguments: What follows ``transferlab``.
        runs: The run directories.
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
            "`transferlab submit --experiment NAME` takes several."
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
    with taken_back([folder]):
        _make(folder)
        submitted_as = array.submit(settings)
    for number in texts:
        run, arguments = elements[number].runs[0], list(elements[number].arguments)
        (run / "slurm").mkdir(parents=True, exist_ok=True)
        note(Job(run, None, arguments, ""), settings, f"{submitted_as}_{number}")
    return submitted_as


def _to_submit(what: str, files: dict[Path, tuple[str, Sequence[Path]]], dry: bool) -> dict[int, tuple[Path, str]]:
    """Leaves out the elements whose runs are finished or in the queue.

    Args:
        what: What the elements are, in the plural.
        files: The script of each element, with its text and the run directories that it fills.
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
    return [Command(submitted(Path(run)).get("arguments", []), Path(run), command_of(Path(run))) for run in runs]


def ranges(numbers: Sequence[int]) -> str:
    """Rising numbers as Slurm writes them: ``0-2,5``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1] = [parts[-1][0], number]
        else:
            parts.append([number])
    return ",".join("-".join(map(str, part)) for part in parts)
