"""What the command line of comparing new texts with the validation set takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.use.prediction.inputs import FORMATS


def main(arguments: list[str]) -> None:
    """Runs ``transferlab drift --run RUN INPUT``.

    Raises:
        TransferlabError: No such run or file, a row that cannot be read, or too few rows.
    """
    asked = parser().parse_args(arguments)
    if (asked.input is None) == (asked.counts is None):
        raise TransferlabError("drift: give either INPUT, a file of texts, or --counts FILE.")
    if asked.counts:
        from transferlab.use.drift import counts

        counts.run(asked)
        return
    # only now: torch takes seconds
    from transferlab.use.drift.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab drift``."""
    options = Parser(
        "transferlab drift",
        usage="transferlab drift --run RUN INPUT|--counts FILE [OPTION ...]",
        description="Whether new texts are like those that a run was validated on: predicted labels, confidence, "
        "length, features; and the shares of the right labels among them, which need not be known.",
    )
    options.add_argument(
        "input", metavar="INPUT", nargs="?", help="CSV, TSV, JSONL, Parquet, CoNLL or plain lines; - for stdin"
    )
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--counts", type=Path, metavar="FILE", help="instead of INPUT: counts that a service kept")
    options.add_argument("--rows", type=int, default=2000, help="rows that are looked at, drawn from all [2000]")
    options.add_argument("--output", type=Path, metavar="FILE", help="JSON file to write as well")
    options.add_argument("--picture", type=Path, metavar="FILE", help="draws it: a PNG, SVG or PDF file")
    options.add_argument("--fail", action="store_true", help="exit code 1 where something drifted")
    options.add_argument("--text", nargs="+", metavar="COLUMN", help="text columns, if not called as in training")
    options.add_argument("--label", metavar="COLUMN", help="label column, if there is one [as in training]")
    options.add_argument("--format", choices=sorted(set(FORMATS.values())), help="of the input [by its suffix]")
    options.add_argument("--delimiter", help="of the input [found out]")
    options.add_argument("--encoding", help="of the input [found out]")
    options.add_argument("--seed", type=int, default=0, help="seed of the draws [0]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
