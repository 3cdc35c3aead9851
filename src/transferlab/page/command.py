"""``transferlab report``: one self-contained HTML file on the run folders."""

import os
from pathlib import Path

from transferlab.arguments import Parser
from transferlab.errors import TransferlabError
from transferlab.page.document import page
from transferlab.runs import compare
from transferlab.runs import folder as run_folder
from transferlab.runs.groups import Summary

FILE = "report.html"


def main(arguments: list[str]) -> None:
    """Runs ``transferlab report``.

    Raises:
        TransferlabError: No runs, no run that passes the filters, a wrong option, or a file that cannot be written.
    """
    asked = _parser().parse_args(arguments)
    compare.read(asked.root)
    summaries = compare.select(read(asked.root), {name: getattr(asked, name) for name in compare.FILTERS})
    output: Path = asked.output or asked.root / FILE
    text = page(summaries, asked.root)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        run_folder.write_text(output, text)
    except OSError as error:
        raise TransferlabError(f"--output: cannot write {output}: {error.strerror}.") from error
    print(f"{output}: {len(summaries)} runs, {os.path.getsize(output) / 1e6:.2f} MB; open it in a browser.")


def _parser() -> Parser:
    parser = Parser("transferlab report", description=__doc__, allow_abbrev=False)
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path("runs"), metavar="ROOT", help="folder of runs [runs]"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help=f"the page [ROOT/{FILE}]")
    for name in compare.FILTERS:
        parser.add_argument(f"--{name}", help=f"only runs with this {name}")
    return parser


def read(root: Path) -> list[Summary]:
    """The summaries of all runs below `root`, each with ``run`` and ``folder``; what cannot be read is left out."""
    found = []
    for path, summary in run_folder.summaries(root):
        if isinstance(summary, dict):
            found.append({"status": "unknown", **summary, "run": path.name, "folder": str(path)})
    return found
