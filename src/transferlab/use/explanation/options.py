"""What the command line of an explanation takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.use.prediction.inputs import FORMATS


def main(arguments: list[str]) -> None:
    """Runs ``transferlab explain``.

    Raises:
        TransferlabError: No such run or file, nothing or two things to explain, or an output that is there already.
    """
    asked = parser().parse_args(arguments)
    if (asked.input is None) == (asked.text is None):
        raise TransferlabError("explain: give a file, or a text with --text, and not both.")
    if not 0 < asked.tolerance < 1:
        raise TransferlabError(f"--tolerance: {asked.tolerance} is no part of one; use 0.01, say.")
    if asked.rows < 1 or asked.orders < 0:
        raise TransferlabError("--rows must be 1 or more, --orders 0 or more.")
    # only now: torch takes seconds
    from transferlab.use.explanation.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab explain``."""
    options = Parser(
        "transferlab explain",
        usage="transferlab explain --run RUN (INPUT | --text TEXT) [OPTION ...]",
        description="Which words the answers of a finished run come from: integrated gradients, summed to words, and "
        "how faithful they are. Writes an HTML page, and JSON beside it.",
    )
    formats = sorted(set(FORMATS.values()))
    options.add_argument("input", nargs="?", metavar="INPUT", help="file of texts, as for predict; - for stdin")
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--text", nargs="+", metavar="TEXT", help="a text; for pairs two")
    options.add_argument("--label", help="explain this label [the predicted one]")
    options.add_argument("--output", type=Path, metavar="FILE", help="page to write [explanation.html]")
    options.add_argument("--rows", type=int, default=20, help="rows of the file that are explained [20]")
    options.add_argument("--columns", nargs="+", metavar="COLUMN", help="text columns, if not called as in training")
    options.add_argument("--baseline", choices=["pad", "mask"], default="pad", help="what stands for no word [pad]")
    options.add_argument("--tolerance", type=float, default=0.01, help="residue from which steps are doubled [0.01]")
    options.add_argument("--orders", type=int, default=10, help="random orders to compare with [10]")
    options.add_argument("--seed", type=int, default=0, help="of the random orders [0]")
    options.add_argument("--format", choices=formats, help="of the input [by its suffix; lines for -]")
    options.add_argument("--delimiter", help="of the input [found out]")
    options.add_argument("--encoding", help="of the input [found out]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--overwrite", action="store_true", help="replace the output if it is there")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
