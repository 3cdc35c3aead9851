"""What `compare` and `report` are asked alike."""

from pathlib import Path

from transferlab.ground.arguments import Parser

FILTERS = ("task", "strategy", "encoder", "tag")


def add(parser: Parser) -> None:
    """Adds the folder of runs, and which of them are wanted."""
    parser.add_argument(
        "root", nargs="?", type=Path, default=Path("runs"), metavar="ROOT", help="folder of runs [runs]"
    )
    for name in FILTERS:
        kept = "" if name == "task" else "; baselines stay"
        parser.add_argument(f"--{name}", help=f"only runs with this {name}{kept}")
    parser.add_argument("--finished", action="store_true", help="leave out runs that failed or are under way")
