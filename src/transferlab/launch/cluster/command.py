"""``transferlab submit``: runs as jobs of Slurm."""

import argparse
import secrets
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from transferlab.cli.named import unnamed
from transferlab.config import experiments
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hints import SEQUENCE
from transferlab.launch.cluster import arrays, jobs
from transferlab.launch.cluster.jobs import Command
from transferlab.launch.cluster.settings import Slurm, build, read
from transferlab.record import folder as run_folder
from transferlab.several import sequence_options

FOLDERS = {"pretrain": "pretrain", "multitask": "multitask", SEQUENCE: "multitask"}
"""Commands that can stand first, and the folder of the configs of each; without one it is ``fit``."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab submit``.

    Raises:
        TransferlabError: A wrong experiment or key, no Slurm here, or it refused the job.
    """
    mine, overrides = split(arguments)
    command, mine = _named(mine)
    parser = Parser(
        "transferlab submit",
        usage="transferlab submit [pretrain|multitask|sequence NAME] [--KEY VALUE ...]",
        description="Runs as jobs of Slurm.",
    )
    parser.add_argument("--experiment", metavar="NAME", help="what to train")
    parser.add_argument("--config", "-c", metavar="FILE", help="the same as a file")
    parser.add_argument("--resume", metavar="RUN", help="submit a run, or the unfinished runs of an array, again")
    parser.add_argument("--seeds", metavar="N", help="an array of N runs, with the seeds 0 to N-1")
    parser.add_argument("--cluster", metavar="NAME", default="slurm", help="configs/cluster/NAME.yaml [slurm]")
    parser.add_argument("--dry", action="store_true", help="only print the job files")
    parser.epilog = (
        "--cluster.KEY VALUE overrides a key of that file; everything else is passed on to `transferlab fit`, or to "
        "the command that stands first: transferlab submit pretrain mlm_imdb --seeds 3."
    )
    options, rest = parser.parse_known_args(mine)
    if sum(value is not None for value in (options.experiment, options.config, options.resume)) != 1:
        raise TransferlabError("submit: give one of --experiment NAME, --config FILE, --resume RUN.")
    if options.resume is not None:
        if options.seeds is not None:
            raise TransferlabError("--seeds is for new runs; --resume takes the folder of an array as it is.")
        _again(options, rest, overrides)
        return
    settings = read(Path("configs") / "cluster" / f"{options.cluster}.yaml", overrides)
    source = ["--experiment", options.experiment] if options.experiment else ["--config", options.config]
    if options.seeds is None:
        _one(command, source, rest, settings, options.dry)
    else:
        _seeds(command, source, rest, settings, options)


def _named(arguments: list[str]) -> tuple[str, list[str]]:
    """The command that is to run, and the rest of the line with the file of its config.

    Raises:
        TransferlabError: No such config, or none is named.
    """
    folder = FOLDERS.get(arguments[0], "") if arguments else ""
    if not folder:
        return "fit", arguments
    command, *rest = arguments
    if rest and not rest[0].startswith("-"):
        rest = ["--config", str(experiments.config_file(f"{folder}/{rest[0]}")), *rest[1:]]
    if not any(word.partition("=")[0] in {"--config", "-c", "--resume"} for word in rest):
        raise unnamed(f"submit {command}", folder)
    return command, rest


def split(arguments: list[str]) -> tuple[list[str], dict[str, str]]:
    """Takes ``--cluster.KEY VALUE`` out of a command line.

    Raises:
        TransferlabError: A key without a value.
    """
    rest: list[str] = []
    overrides: dict[str, str] = {}
    given = iter(arguments)
    for argument in given:
        name, sign, value = argument.partition("=")
        if not name.startswith("--cluster."):
            rest.append(argument)
            continue
        if not sign and (value := next(given, "")) == "":
            raise TransferlabError(f"{name} needs a value behind it.")
        overrides[name.removeprefix("--cluster.")] = value
    return rest, overrides


def _place(command: str, source: list[str], rest: list[str]) -> tuple[Path, int]:
    """The folder of the experiment's runs, and the seed."""
    tree = jobs.read_experiment(source)[0] or {}
    if command == SEQUENCE:
        asked = sequence_options.parser().parse_known_args([source[1], *rest])[0]
        tree["run"] = {"root": str(asked.root), "experiment": sequence_options.name_of(asked, source[1])}
    root, seed = jobs.value_of("run.root", tree, rest, "runs"), jobs.value_of("seed_everything", tree, rest, 0)
    if not str(seed).isdigit():
        raise TransferlabError(f"seed_everything: {seed!r} is not a whole number from 0 on.")
    return Path(root) / str(jobs.value_of("run.experiment", tree, rest, "unnamed")), int(seed)


def _one(name: str, source: list[str], rest: list[str], settings: Slurm, dry: bool) -> None:
    place, seed = _place(name, source, rest)
    command = Command([*source, *rest], place / run_folder.new_id(seed), name)
    if not dry:
        _check(command, settings)
    _tell(jobs.submit(command, settings, dry), command.run)


def _seeds(name: str, source: list[str], rest: list[str], settings: Slurm, options: argparse.Namespace) -> None:
    if not options.seeds.isdigit() or not int(options.seeds):
        raise TransferlabError(f"--seeds: {options.seeds!r} is not a number of runs such as 5.")
    if any(argument.partition("=")[0] == "--seed_everything" for argument in rest):
        raise TransferlabError("--seeds gives every run its own --seed_everything; leave that one out.")
    place, _ = _place(name, source, rest)
    commands = [
        Command([*source, *rest, "--seed_everything", str(seed)], place / run_folder.new_id(seed), name)
        for seed in range(int(options.seeds))
    ]
    if not options.dry:
        _check(commands[0], settings)
    folder = place / f"array-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    _tell(arrays.submit_array(commands, folder, settings, options.dry), folder)


def _again(options: argparse.Namespace, rest: list[str], overrides: dict[str, str]) -> None:
    folder = Path(options.resume)
    if (folder / "runs.txt").is_file():
        commands = arrays.array_commands(folder)
        settings = _settings(commands[0].run, options, overrides)
        commands = [Command([*command.arguments, *rest], command.run, command.name) for command in commands]
        _tell(arrays.submit_array(commands, folder, settings, options.dry), folder)
        return
    # one that never began has no summary yet
    run = folder if jobs.submitted(folder) else run_folder.find(options.resume)
    settings = _settings(run, options, overrides)
    if jobs.is_finished(run) and not rest:
        print(f"{run} is finished.")
        return
    command = Command([*jobs.submitted(run).get("arguments", []), *rest], run, jobs.command_of(run))
    if rest and not options.dry:
        _check(command, settings)
    _tell(jobs.submit(command, settings, options.dry), run)


def _settings(run: Path, options: argparse.Namespace, overrides: dict[str, str]) -> Slurm:
    """Those of the last time; for a run that was no job those of the cluster's file."""
    before = jobs.submitted(run).get("cluster")
    if before:
        return build({**before, **overrides})
    return read(Path("configs") / "cluster" / f"{options.cluster}.yaml", overrides)


def _check(command: Command, settings: Slurm) -> None:
    """Has the configuration read as the job will: better a wrong key now than after a night in the queue."""
    job = jobs.prepare(command, settings)
    with tempfile.TemporaryDirectory() as folder:
        path = job.run / "slurm" / "experiment.yaml"
        if job.tree is not None:
            path = Path(folder) / "experiment.yaml"
            path.write_text(yaml.safe_dump(job.tree, sort_keys=False), encoding="utf-8")
        begun = (job.run / "config.yaml").is_file()
        source = ["--resume", str(job.run)] if begun else ["--config", str(path)]
        name, keys = job.command, job.arguments
        if name == SEQUENCE:
            # its tasks are those of a multitask, and so are the keys
            name, keys = "multitask", sequence_options.parser().parse_known_args([str(path), *keys])[1]
        line = [sys.executable, "-m", "transferlab", name, *source, *keys, "--print_config"]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise TransferlabError(lines[-1].removeprefix("error: "))


def _tell(number: str, folder: Path) -> None:
    if not number:
        return
    print(f"job {number}: {folder}")
    print(f"  squeue --jobs={number}   scancel {number}   transferlab submit --resume {folder}")
