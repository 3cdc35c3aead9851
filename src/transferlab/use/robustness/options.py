"""What the command line of a test of robustness takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError

NAMES = ("typos", "lower", "upper", "punctuation", "contractions", "synonyms", "names", "pronouns", "longer")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab robustness``.

    Raises:
        TransferlabError: No such run, one without a labelled test set, or a wrong option.
    """
    asked = parser().parse_args(arguments)
    if asked.examples < 2:
        raise TransferlabError("--examples: two or more are needed.")
    # only now: torch takes seconds
    from transferlab.use.robustness.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab robustness``."""
    options = Parser(
        "transferlab robustness",
        usage="transferlab robustness --run RUN [RUN ...] [OPTION ...]",
        description="How runs bear small changes of their test texts: what becomes of the accuracy, and how many "
        "predictions change. The result is kept in the run directory, and shown by the report.",
    )
    options.add_argument("--run", nargs="+", required=True, help="experiments (their newest runs), run IDs or folders")
    options.add_argument("--change", nargs="+", choices=NAMES, metavar="NAME", help=f"{', '.join(NAMES)} [all]")
    options.add_argument("--examples", type=int, default=1000, help="test examples, at most [1000]")
    options.add_argument("--seed", type=int, default=0, help="of the changes [0]")
    options.add_argument("--batch-size", type=int, default=64, help="texts at once, at most [64]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
