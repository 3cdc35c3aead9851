"""What the command line of a pretraining takes; imports no torch."""

from transferlab.cli import named
from transferlab.ground.arguments import Parser

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
    line = named.expanded(arguments, "pretrain", "pretrain")
    # only now: torch takes seconds
    from transferlab.pretraining.cli import PretrainCLI

    PretrainCLI.run(line)


def parser() -> Parser:
    """The options of ``transferlab pretrain``."""
    return named.parser(
        "pretrain",
        "pretrain",
        "Trains an encoder on unlabelled text: masked words, pairs of segments,\nreplaced tokens, next tokens.",
        KEYS,
    )
