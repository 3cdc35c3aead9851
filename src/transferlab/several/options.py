"""What the command line of several tasks takes; imports no torch."""

from transferlab.cli import named
from transferlab.ground.arguments import Parser

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
    line = named.expanded(arguments, "multitask", "multitask")
    # only now: torch takes seconds
    from transferlab.several.cli import SeveralCLI

    SeveralCLI.run(line)


def parser() -> Parser:
    """The options of ``transferlab multitask``."""
    return named.parser(
        "multitask", "multitask", "Trains one encoder on several tasks at once, with a head for each.", KEYS
    )
