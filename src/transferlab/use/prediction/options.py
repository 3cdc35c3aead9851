"""What the command line of predicting a file takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.use.prediction.inputs import FORMATS


def parser() -> Parser:
    """The options of ``transferlab predict --run RUN INPUT``."""
    options = Parser(
        "transferlab predict",
        usage="transferlab predict --run RUN INPUT [--output FILE] [OPTION ...]",
        # as the other first pages, on any terminal
        description="Predictions of a finished run for the rows of a file; the rows keep their order and columns.",
        epilog="Without INPUT it predicts the splits that data.source.predict names, into the run directory; "
        "`transferlab predict --help data` shows the keys for that.",
    )
    formats = sorted(set(FORMATS.values()))
    options.add_argument("input", metavar="INPUT", help="CSV, TSV, JSONL, Parquet, CoNLL or plain lines; - for stdin")
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID, run directory or export")
    options.add_argument("--output", type=Path, metavar="FILE", help="file to write, its suffix decides [stdout]")
    options.add_argument("--text", nargs="+", metavar="COLUMN", help="text columns, if not called as in training")
    options.add_argument("--calibrated", action="store_true", help="probabilities scaled by the run's temperature")
    options.add_argument("--format", choices=formats, help="of the input [by its suffix; lines for -]")
    options.add_argument("--output-format", choices=["csv", "tsv", "jsonl", "conll", "parquet"], help="[as the input]")
    options.add_argument("--delimiter", help="of the input [found out]")
    options.add_argument("--encoding", help="of the input [found out]")
    options.add_argument("--batch-size", type=int, default=64, help="texts at once, at most [64]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--overwrite", action="store_true", help="replace the output if it is there")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
