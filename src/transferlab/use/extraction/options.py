"""What the command line of extracting triples takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.use.prediction.inputs import FORMATS


def main(arguments: list[str]) -> None:
    """Runs ``transferlab extract --ner RUN --relation RUN INPUT``.

    Raises:
        TransferlabError: No such run or file, runs of other kinds, or a row that cannot be read.
    """
    asked = parser().parse_args(arguments)
    # only now: torch takes seconds
    from transferlab.use.extraction.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab extract``."""
    options = Parser(
        "transferlab extract",
        usage="transferlab extract --ner RUN --relation RUN INPUT [OPTION ...]",
        description="Entities of texts by one run, and the relations of each pair of them by another. With JSONL that "
        "has `entities` (type, start, end) and `relations` (head, tail: numbers of entities; relation) it is scored.",
    )
    options.add_argument("input", metavar="INPUT", help="CSV, TSV, JSONL, Parquet, CoNLL or plain lines; - for stdin")
    options.add_argument("--ner", required=True, metavar="RUN", help="a run or export that tags entities")
    options.add_argument("--relation", required=True, metavar="RUN", help="a run or export of relations")
    options.add_argument("--output", type=Path, metavar="FILE", help="JSONL to write [stdout]")
    options.add_argument(
        "--pairs", nargs="+", metavar="HEAD:TAIL", help="types of entities that are asked about, as PER:LOC [all]"
    )
    options.add_argument("--least", type=float, default=0.0, help="probability from which a relation is given [0]")
    options.add_argument("--text", metavar="COLUMN", help="column of texts [that of the run of entities]")
    options.add_argument("--format", choices=sorted(set(FORMATS.values())), help="of the input [by its suffix]")
    options.add_argument("--delimiter", help="of the input [found out]")
    options.add_argument("--encoding", help="of the input [found out]")
    options.add_argument("--batch-size", type=int, default=64, help="texts at once, at most [64]")
    options.add_argument("--device", help="cpu, cuda, cuda:1 ... [a GPU where there is one]")
    options.add_argument("--overwrite", action="store_true", help="replace the output if it is there")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
