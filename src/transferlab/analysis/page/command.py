"""``transferlab report``: one self-contained HTML file on the run directories."""

import os
import time
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison import options
from transferlab.analysis.comparison.unchanged import unchanged
from transferlab.analysis.page.markup import TIME
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.lean import import_numpy, uncollected
from transferlab.record import folder as run_folder

FILE = "report.html"
PREDICTIONS = ("test.jsonl", "validation.jsonl", "hardest.jsonl")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab report``.

    Raises:
        TransferlabError: No runs, no run that passes the filters, a wrong option, or a file that cannot be written.
    """
    asked = _parser().parse_args(arguments)
    named = {name: value for name, value in vars(asked).items() if name not in {"root", "output"}}
    output: Path = asked.output or asked.root / FILE
    with uncollected():
        made = unchanged("report", asked.root, named, PREDICTIONS, lambda: _make(asked))
    # a mark that no text has, since it was drawn at random, stands where the time does
    count, mark, text = made.decode("utf-8", "surrogatepass").split("\n", 2)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        run_folder.write_text(output, text.replace(mark, time.strftime(TIME)))
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {output}: {error.strerror}.") from error
    print(f"{output}: {count} runs, {os.path.getsize(output) / 1e6:.2f} MB; open it in a browser.")


def _make(asked: Any) -> bytes:
    """The number of runs, the mark for the time, and the page."""
    # a page that was made before needs nothing of this
    import_numpy()
    from transferlab.analysis.comparison.reading import finished, read, select
    from transferlab.analysis.page.document import page

    filters = {name: getattr(asked, name) for name in options.FILTERS}
    summaries = select(read(asked.root), filters, baselines=True)
    hidden: list[str] = []
    if asked.finished:
        summaries, hidden = finished(summaries)
    mark = os.urandom(16).hex()
    text = page(summaries, asked.root, hidden, mark)
    return f"{len(summaries)}\n{mark}\n{text}".encode("utf-8", "surrogatepass")


def _parser() -> Parser:
    parser = Parser("transferlab report", description=__doc__)
    options.add(parser)
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"the page [ROOT/{FILE}]")
    return parser
