"""What the command line of active learning takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.use.prediction.inputs import FORMATS

STRATEGIES = ("random", "least_confidence", "margin", "entropy", "badge", "core_set")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab select --run RUN POOL``.

    Raises:
        TransferlabError: No such run or file, a row that cannot be read, or too few new texts.
    """
    asked = parser().parse_args(arguments)
    # only now: torch takes seconds
    from transferlab.use.active.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab select``."""
    options = Parser(
        "transferlab select",
        usage="transferlab select --run RUN POOL [--count 50] [OPTION ...]",
        description="Which texts of a pool to label next, as a CSV file with an empty label column. Texts that the run "
        "trains, selects or tests on are left out. --simulate tells, on a pool that has labels, what each strategy "
        "would have brought.",
    )
    options.add_argument("pool", metavar="POOL", help="CSV, TSV, JSONL, Parquet or plain lines; - for stdin")
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--strategy", choices=STRATEGIES, default="badge", help="how they are chosen [badge]")
    options.add_argument("--count", type=int, default=50, help="texts to label next [50]")
    options.add_argument("--output", type=Path, metavar="FILE", help="[to_label.csv]; JSON of a simulation [none]")
    options.add_argument("--rows", type=int, default=20000, help="texts that are looked at, drawn from all [20000]")
    options.add_argument("--simulate", type=int, metavar="SEEDS", help="tries all on a labelled pool, 2 or more")
    options.add_argument(
        "--sizes", type=int, nargs="+", default=[50, 100, 200, 400], help="labels in a simulation [50 100 200 400]"
    )
    options.add_argument("--text", nargs="+", metavar="COLUMN", help="text columns, if not called as in training")
    options.add_argument("--label", metavar="COLUMN", help="label column of the pool [as in training]")
    options.add_argument("--format", choices=sorted(set(FORMATS.values())), help="of the pool [by its suffix]")
    options.add_argument("--delimiter", help="of the pool [found out]")
    options.add_argument("--encoding", help="of the pool [found out]")
    options.add_argument("--seed", type=int, default=0, help="seed of draws and ties [0]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
