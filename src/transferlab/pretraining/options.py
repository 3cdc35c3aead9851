"""What the command line of a pretraining takes; imports no torch."""

import json
from dataclasses import fields

import yaml

from transferlab.cli import named
from transferlab.config import plain
from transferlab.ground.arguments import Parser

PLACES = ("task", "path", "files")
"""Keys of `data.text` that say where it is."""
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
    line = with_text_alone(named.expanded(arguments, "pretrain", "pretrain"))
    # only now: torch takes seconds
    from transferlab.pretraining.cli import PretrainCLI

    PretrainCLI.run(line)


def with_text_alone(line: list[str]) -> list[str]:
    """The command line, in which a text that it names takes the whole place of the config's.

    Splits, column or number of documents of one text mean nothing to another one.

    Args:
        line: The command line with its ``--config FILE``.
    """
    begin = max((at for at, word in enumerate(line) if word.partition("=")[0] == "--config"), default=-1)
    if begin < 0:
        return line
    begin += 1 if "=" in line[begin] else 2
    if not any(_names_text(word, line[at + 1 : at + 2]) for at, word in enumerate(line) if at >= begin):
        return line
    from transferlab.pretraining.text import Text

    usual = {key.name: key.default for key in fields(Text)}
    return [*line[:begin], "--data.text", json.dumps(usual), *line[begin:]]


def _names_text(word: str, behind: list[str]) -> bool:
    option, sign, value = word.partition("=")
    if option in {f"--data.text.{place}" for place in PLACES}:
        return True
    if option != "--data.text":
        return False
    try:
        given = plain.load(value if sign else "".join(behind))
    except yaml.YAMLError:
        # the parser says what is wrong with it
        return False
    return isinstance(given, dict) and not given.keys().isdisjoint(PLACES)


def parser() -> Parser:
    """The options of ``transferlab pretrain``."""
    return named.parser(
        "pretrain",
        "pretrain",
        "Trains an encoder on unlabelled text: masked words, pairs of segments,\nreplaced tokens, next tokens.",
        KEYS,
    )
