"""``transferlab report``: one self-contained HTML file on the run directories."""

import os
from pathlib import Path
from typing import Any

from transferlab.analysis.comparison.reading import FILTERS, finished, read, select
from transferlab.analysis.page.document import page
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.lean import uncollected
from transferlab.record import folder as run_folder

FILE = "report.html"


def main(arguments: list[str]) -> None:
    """Runs ``transferlab report``.

    Raises:
        TransferlabError: No runs, no run that passes the filters, a wrong option, or a file that cannot be written.
    """
    asked = _parser().parse_args(arguments)
    filters = {name: getattr(asked, name) for name in FILTERS}
    with uncollected():
        _write(asked, filters)


def _write(asked: Any, filters: dict[str, str | None]) -> None:
    summaries = select(read(asked.root), filters, baselines=True)
    hidden: list[str] = []
    if asked.finished:
        summaries, hidden = finished(summaries)
    output: Path = asked.output or asked.root / FILE
    text = page(summaries, asked.root, hidden)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        run_folder.write_text(output, text)
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {output}: {error.strerror}.") from error
    print(f"{output}: {len(summaries)} runs, {os.path.getsize(output) / 1e6:.2f} MB; open it in a browser.")


def _parser() -> Parser:
    parser = Parser("transferlab report", description=__doc__)
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path("runs"), metavar="ROOT", help="folder of runs [runs]"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"the page [ROOT/{FILE}]")
    for name in FILTERS:
        kept = "" if name == "task" else "; baselines stay"
        parser.add_argument(f"--{name}", help=f"only runs with this {name}{kept}")
    parser.add_argument("--finished", action="store_true", help="leave out runs that failed or are under way")
    return parser
