"""What the command line of a sequence of tasks takes; imports no torch."""

import argparse
import re
from pathlib import Path

from transferlab.cli import named
from transferlab.config import experiments
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import at_least

METHODS = ("none", "ewc", "lwf", "replay", "adapters")
KEYS = """The tasks are those of the config, in its order. Any key of it can follow:
  --seed_everything 1
  --data.tasks '{sst2: {train_examples: 500}, mrpc: {}}' --trainer.max_epochs 1

  none      each task in turn, all weights
  ewc       held near the weights that mattered (--weight 1000)
  lwf       old heads answer new texts as before (--weight 1)
  replay    some steps on kept examples (--share 0.2, --memory 100 a task)
  adapters  LoRA a task on the pretrained weights: nothing is forgotten

--resume RUN continues a sequence that was stopped or killed."""
WEIGHTS = {"ewc": 1000.0, "lwf": 1.0}


def main(arguments: list[str]) -> None:
    """Runs ``transferlab sequence``.

    Raises:
        TransferlabError: No such config, or what a run refuses.
    """
    asked, rest = parser().parse_known_args(arguments)
    if not asked.resume and not asked.file:
        raise named.unnamed("sequence", "multitask")
    if not 0 < asked.share < 1:
        raise TransferlabError(f"--share: {asked.share} is not in (0, 1).")
    at_least(2, **{"--memory": asked.memory})
    if asked.weight is not None and (asked.weight <= 0 or asked.method not in WEIGHTS):
        raise TransferlabError(f"--weight: {asked.weight:g} is of {' and '.join(WEIGHTS)}, and above 0.")
    if not asked.resume:
        given = asked.file.endswith((".yaml", ".yml"))
        asked.file = str(Path(asked.file) if given else experiments.config_file(f"multitask/{asked.file}"))
    if wrong := next((word for word in rest[::2] if not re.match(r"--\w+", word)), ""):
        raise TransferlabError(f"sequence: {wrong!r} is no key; keys of the config begin with --.")
    # only now: torch takes seconds
    from transferlab.several.sequence import run

    run(asked, rest)


def name_of(asked: argparse.Namespace, file: str) -> str:
    """The experiment that a sequence is, as the folder of its runs is called.

    Args:
        asked: The options.
        file: Its config.
    """
    return asked.experiment or f"sequence_{Path(file).stem}_{asked.method}"


def parser() -> Parser:
    """The options of ``transferlab sequence``."""
    options = Parser(
        "transferlab sequence",
        usage="transferlab sequence NAME [--method METHOD] [--KEY VALUE ...]",
        description="Learns tasks one after the other with one encoder, and tells what is forgotten.",
        epilog=KEYS,
        formatter=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("file", nargs="?", metavar="NAME", help="a config of configs/multitask, or a file")
    options.add_argument("--method", choices=METHODS, default="none", help="what holds on to earlier tasks [none]")
    options.add_argument("--weight", type=float, help="of ewc [1000] or lwf [1]")
    options.add_argument("--share", type=float, default=0.2, help="replay: share of the steps [0.2]")
    options.add_argument("--memory", type=int, default=100, help="replay: examples kept of each task [100]")
    options.add_argument("--alone", action="store_true", help="also each task alone, for forward transfer")
    options.add_argument("--experiment", help="name [sequence_NAME_METHOD]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    options.add_argument("--resume", metavar="RUN", help="continue a sequence that was stopped or killed")
    return options
