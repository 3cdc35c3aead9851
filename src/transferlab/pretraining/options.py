"""What the command line of a pretraining takes; imports no torch."""

import argparse
from pathlib import Path

from transferlab.config import experiments, shipped
from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError

KEYS = """Any key of the config can follow, as with `transferlab fit`. The most used:
  --data.text.files '[a.txt, b.jsonl]'  your own text (or data.text.task, .path)
  --data.without '[sst2]'               tasks whose test texts are left out
  --data.max_length, --data.batch_size  tokens of a row, rows of a batch
  --encoder.name NAME                   the encoder that is pretrained further
  --encoder.new.layers, .vocabulary     or the size of a new one
  --model.optimizer.lr, --trainer.max_epochs
  --trainer.accumulate_grad_batches     batches of an optimizer step

The encoder stands in encoder/ of the run directory; any experiment starts from
it: transferlab fit --experiment lora_imdb --encoder.name RUN"""


def main(arguments: list[str]) -> None:
    """Runs ``transferlab pretrain``.

    Raises:
        TransferlabError: No such config, or what a run refuses.
    """
    if any(word in {"-h", "--help"} for word in arguments):
        parser().parse_args(["--help"])
    line = expanded(arguments)
    # only now: torch takes seconds
    from transferlab.pretraining.cli import run

    run(line)


def parser() -> Parser:
    """The options of ``transferlab pretrain``."""
    options = Parser(
        "transferlab pretrain",
        usage="transferlab pretrain NAME [--KEY VALUE ...]",
        description="Trains an encoder on unlabelled text: masked words, pairs of segments,\n"
        "replaced tokens, next tokens.",
        epilog=KEYS,
        formatter=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("file", nargs="?", metavar="NAME", help="a config of configs/pretrain")
    options.add_argument("--config", type=Path, metavar="FILE", help="a file of your own instead")
    options.add_argument("--resume", metavar="RUN", help="continue a run that was stopped or killed")
    options.add_argument("--print_config", action="store_true", help="show the configuration instead")
    return options


def expanded(arguments: list[str]) -> list[str]:
    """The command line with the file of a name in its place.

    Raises:
        TransferlabError: No such config.
    """
    if not arguments:
        known = ", ".join(shipped.listed("configs/pretrain"))
        raise TransferlabError(f"pretrain: say which: transferlab pretrain NAME; there are {known}.")
    first, *rest = arguments
    if first.startswith("-"):
        return arguments
    if first.endswith((".yaml", ".yml")):
        given = f"transferlab pretrain --config {first}"
        raise TransferlabError(f"{first!r} stands alone; a file is given as --config: {given}")
    return ["--config", str(experiments.config_file(f"pretrain/{first}")), *rest]
