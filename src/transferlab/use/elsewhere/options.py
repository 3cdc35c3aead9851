"""What ``transferlab test --run RUN --files FILE`` takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError


def main(command: str, arguments: list[str]) -> None:
    """Runs ``transferlab test|validate --run RUN --files FILE``.

    Raises:
        TransferlabError: No such run, file or column, or labels that the run does not have.
    """
    asked = parser(command).parse_args(arguments)
    mapping = {}
    for pair in asked.map or ():
        old, equals, new = pair.partition("=")
        if not equals:
            raise TransferlabError(f"--map: {pair!r} is no pair; write --map OLD=NEW, as in --map pos=positive.")
        mapping[old] = new
    # only now: torch takes seconds
    from transferlab.use.elsewhere.command import run

    run(command, asked, mapping)


def parser(command: str) -> Parser:
    """The options of ``transferlab test --run RUN --files FILE``."""
    options = Parser(
        f"transferlab {command}",
        usage=f"transferlab {command} --run RUN --files FILE [FILE ...] [OPTION ...]",
        description="The metrics of a finished run on other labelled files. Labels are matched by name. Each file "
        "becomes an entry beside the record of the run, which stays as it is.",
    )
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--files", nargs="+", required=True, metavar="FILE", help="CSV, TSV, JSON, Parquet, CoNLL")
    options.add_argument("--text", nargs="+", metavar="COLUMN", help="text columns, if not called as in training")
    options.add_argument("--label", metavar="COLUMN", help="label column, if not called as in training")
    options.add_argument("--map", nargs="+", metavar="OLD=NEW", help="labels of the file called otherwise in the run")
    options.add_argument("--examples", type=int, help="of each file, at most [all]")
    options.add_argument("--batch-size", type=int, default=64, help="texts at once, at most [64]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
