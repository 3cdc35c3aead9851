"""``transferlab compare``: all settings, or all runs, as a table; made from their records alone."""

from transferlab.analysis.comparison import options, render
from transferlab.analysis.comparison.unchanged import unchanged
from transferlab.ground.arguments import Parser
from transferlab.ground.lean import uncollected

FORMATS = ("terminal", "markdown", "csv", "latex")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab compare``.

    Raises:
        TransferlabError: No runs, no run that passes the filters, or a wrong option.
    """
    asked = _parser().parse_args(arguments)
    named = {name: value for name, value in vars(asked).items() if name not in {"root", "format"}}

    def make() -> bytes:
        # a table that was shown before needs nothing of this
        from transferlab.analysis.comparison.sheets import sheet

        return render.pack(sheet(asked))

    with uncollected():
        cells = unchanged("compare", asked.root, named, ["test.jsonl"], make)
        render.show(render.unpack(cells), asked.format)


def _parser() -> Parser:
    parser = Parser(
        "transferlab compare",
        description="Table of all settings, task by task; the runs of a setting that differ in the seed are one row.",
    )
    options.add(parser)
    parser.add_argument("--runs", action="store_true", help="a row for each run")
    parser.add_argument("--reference", help="strategy or experiment that the others are tested against [the best]")
    parser.add_argument("--no-tests", dest="tests", action="store_false", help="no tests of significance: faster")
    parser.add_argument(
        "--bootstrap", action="store_true", help="test single runs by the paired bootstrap, not by swaps"
    )
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="csv has all digits and all columns")
    parser.add_argument("--sort", default="primary", metavar="COLUMN", help="column of the csv to sort by in a task")
    return parser
