"""What the command line of self-training takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.use.prediction.inputs import FORMATS


def main(arguments: list[str]) -> None:
    """Runs ``transferlab selftrain --run RUN POOL``.

    Raises:
        TransferlabError: No such run, file or split, or examples that are out of reach.
    """
    asked, keys = parser().parse_known_args(arguments)
    if wrong := next((word for word in keys if word.startswith("-") and "." not in word), None):
        parser().error(f"unrecognized arguments: {wrong}")
    # only now: torch takes seconds
    from transferlab.use.selftraining.command import run

    run(asked, keys)


def parser() -> Parser:
    """The options of ``transferlab selftrain``."""
    options = Parser(
        "transferlab selftrain",
        usage="transferlab selftrain --run RUN POOL|--split NAME [OPTION ...]",
        description="A finished run labels the unlabelled texts that it is sure of, a new run with its settings learns "
        "from them and from its own training examples, and labels anew; several rounds. Texts of its training, "
        "validation and test sets are left out of the pool by content. Further KEYs are those of fit.",
    )
    options.add_argument("pool", metavar="POOL", nargs="?", help="CSV, TSV, JSONL, Parquet or plain lines")
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--split", metavar="NAME", help="instead of POOL: a split of the run's data, unlabelled")
    options.add_argument("--rounds", type=int, default=3, help="runs, each taught by the last one [3]")
    options.add_argument(
        "--threshold", nargs="+", default=["0"], metavar="P", help="least probability, or LABEL=P ... for each [0]"
    )
    options.add_argument("--most", type=int, default=100, help="texts of each class, the surest ones [100]")
    options.add_argument("--plain", action="store_true", help="probabilities as they are, without a temperature")
    options.add_argument("--rows", type=int, default=20000, help="texts that are looked at, drawn from all [20000]")
    options.add_argument("--text", nargs="+", metavar="COLUMN", help="text columns, if not called as in training")
    options.add_argument("--format", choices=sorted(set(FORMATS.values())), help="of POOL [by its suffix]")
    options.add_argument("--delimiter", help="of POOL [found out]")
    options.add_argument("--encoding", help="of POOL [found out]")
    options.add_argument("--experiment", metavar="NAME", help="name of the new runs' experiment [OLD_selftrained]")
    options.add_argument("--seed", type=int, help="seed of the new runs [that of the old one]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
