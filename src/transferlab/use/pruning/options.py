"""What the command line of pruning takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.use.quantising.options import share


def main(arguments: list[str]) -> None:
    """Runs ``transferlab prune``.

    Raises:
        TransferlabError: No such run, or an encoder whose heads cannot be dropped.
    """
    asked = parser().parse_args(arguments)
    part = share(asked.heads, "--heads")
    if asked.examples < 1:
        raise TransferlabError(f"--examples: {asked.examples} tell nothing; use 1 or more.")
    # only now: torch takes seconds
    from transferlab.use.pruning.command import run

    run(asked.run, part, asked.examples, asked.experiment, asked.root)


def parser() -> Parser:
    """The options of ``transferlab prune``."""
    options = Parser(
        "transferlab prune",
        description="A run of full fine-tuning without the attention heads that matter least on its validation set "
        "(Michel et al. 2019), as a run of its own: smaller matrices, validated and tested.",
    )
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--heads", default="25%", metavar="SHARE", help="heads to drop [25%%]")
    options.add_argument("--examples", type=int, default=512, help="validation examples, at most [512]")
    options.add_argument("--experiment", metavar="NAME", help="of the new run [EXPERIMENT_heads75: 75 %% are kept]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
