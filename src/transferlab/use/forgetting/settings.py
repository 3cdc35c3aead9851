"""How a run is probed, and the options that say so; imports no torch."""

from pathlib import Path
from typing import NamedTuple

from transferlab.ground.arguments import Parser


class Settings(NamedTuple):
    """How a run is probed.

    Attributes:
        probes: Probes, each with rows of its own.
        rows: Training examples of each.
        test_rows: Test examples of all of them together, at most.
        texts: Test examples on which drift is measured.
        seed: Seed of the draws.
    """

    probes: int = 5
    rows: int = 1000
    test_rows: int = 2000
    texts: int = 500
    seed: int = 0


def parser() -> Parser:
    """The options of ``transferlab forgetting``."""
    options = Parser(
        "transferlab forgetting",
        description="How much a tuned encoder still supports another task, and how far its layers moved.",
    )
    default = Settings()
    options.add_argument("--run", nargs="+", required=True, help="experiment (its newest run), run id or folder")
    options.add_argument("--probe", nargs="+", metavar="TASK", help="other tasks [stsb, for runs of it sst2]")
    options.add_argument("--probes", type=int, default=default.probes, help="probes, each with its own examples [5]")
    options.add_argument("--rows", type=int, default=default.rows, help="training examples of a probe [1000]")
    options.add_argument(
        "--test-rows", type=int, default=default.test_rows, help="test examples in all, at most [2000]"
    )
    options.add_argument("--texts", type=int, default=default.texts, help="test examples that show drift [500]")
    options.add_argument("--seed", type=int, default=default.seed, help="seed of the examples [0]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    options.add_argument("--picture", type=Path, metavar="FILE", help="draws drift by layer: a PNG, SVG or PDF file")
    return options
