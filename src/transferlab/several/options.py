"""What the command line of several tasks takes; imports no torch."""

import argparse
from pathlib import Path

from transferlab.config import experiments, shipped
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError

KEYS = """Any key of the config can follow, as with `transferlab fit`. The most used:
  --data.tasks '{sst2: {}, mrpc: {train_examples: 500}}'
                                        the tasks, each with keys of its data
  --data.alpha 0.5                      share of steps: examples to that power
  --data.steps_per_epoch 500            batches of an epoch, of all tasks
  --model.select mean                   or the task whose metric selects
  --model.weights '{sst2: 2}'           what the loss of a task counts
  --encoder.name, --encoder.from_run, --trainer.max_epochs

Each task has a run of its own afterwards, EXPERIMENT_TASK, with encoder and
head: compare, test, predict, explain and export take it like any other."""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab multitask``.

    Raises:
        TransferlabError: No such config, or what a run refuses.
    """
    if any(word in {"-h", "--help"} for word in arguments):
        parser().parse_args(["--help"])
    line = expanded(arguments)
    # only now: torch takes seconds
    from transferlab.several.cli import run

    run(line)


def parser() -> Parser:
    """The options of ``transferlab multitask``."""
    options = Parser(
        "transferlab multitask",
        usage="transferlab multitask NAME [--KEY VALUE ...]",
        description="Trains one encoder on several tasks at once, with a head for each.",
        epilog=KEYS,
        formatter=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("file", nargs="?", metavar="NAME", help="a config of configs/multitask")
    options.add_argument("--config", type=Path, metavar="FILE", help="a file of your own instead")
    options.add_argument("--resume", metavar="RUN", help="continue a run that was stopped or killed")
    options.add_argument("--print_config", action="store_true", help="show the configuration instead")
    return options


def expanded(arguments: list[str]) -> list[str]:
    """The command line with the file of a name in its place.

    Raises:
        TransferlabError: No such config.
    """
    if not arguments:
        known = ", ".join(shipped.listed("configs/multitask"))
        raise TransferlabError(f"multitask: say which: transferlab multitask NAME; there are {known}.")
    first, *rest = arguments
    if first.startswith("-"):
        return arguments
    if first.endswith((".yaml", ".yml")):
        given = f"transferlab multitask --config {first}"
        raise TransferlabError(f"{first!r} stands alone; a file is given as --config: {given}")
    return ["--config", str(experiments.config_file(f"multitask/{first}")), *rest]
