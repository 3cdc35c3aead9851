"""What the command line of merging takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError

METHODS = ("add", "average", "ties", "negate")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab merge``.

    Raises:
        TransferlabError: No such run, or runs whose encoders are not of one base.
    """
    asked = parser().parse_args(arguments)
    if asked.weights and len(asked.weights) != len(asked.runs):
        raise TransferlabError(f"--weights: {len(asked.weights)} for {len(asked.runs)} runs; give one for each.")
    if asked.method != "negate" and len(asked.runs) < 2 and not asked.weights:
        raise TransferlabError(f"--runs: one run alone has nothing to {asked.method} with; name at least two.")
    if asked.method == "average" and asked.weights and sum(asked.weights) == 0:
        raise TransferlabError("--weights: they sum to 0, which nothing is divided by; use --method add.")
    if asked.keep is not None and asked.method != "ties":
        raise TransferlabError(f"--keep: it is an option of ties, not of {asked.method}; leave it out.")
    if asked.keep is not None and not 0 < asked.keep <= 1:
        raise TransferlabError(f"--keep: {asked.keep} is not in (0, 1].")
    # only now: torch takes seconds
    from transferlab.use.merging.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab merge``."""
    options = Parser(
        "transferlab merge",
        description="One encoder from finished runs of the same pretrained weights, without training: what each run "
        "changed is added, negated, averaged or merged by TIES. Each run's task is then validated and tested with that "
        "encoder and the run's own head, as a run of its own.",
    )
    options.add_argument("--runs", nargs="+", required=True, metavar="RUN", help="runs of one base")
    options.add_argument("--method", choices=METHODS, default="add", help="how [add]")
    options.add_argument("--weights", nargs="+", type=float, metavar="W", help="what each run counts [1]")
    options.add_argument(
        "--scale", type=float, help="what the whole change counts [add: 0.4, negate, average and ties: 1]"
    )
    options.add_argument("--keep", type=float, help="ties: share of each change that is kept [0.2]")
    options.add_argument("--experiment", metavar="NAME", help="of the new runs [merged_METHOD]; the task is added")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
