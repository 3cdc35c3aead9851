"""What ``transferlab vectors`` takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError


def main(arguments: list[str]) -> None:
    """Runs ``transferlab vectors``.

    Raises:
        TransferlabError: No such file or task, or a folder that is there already.
    """
    asked = parser().parse_args(arguments)
    if not asked.tasks and not asked.texts:
        raise TransferlabError("--tasks: name the tasks, or --texts files, whose words are looked for.")
    if asked.output.exists() and any(asked.output.iterdir()):
        raise TransferlabError(f"--output: {asked.output} is there already; name another folder.")
    # only now: transformers takes seconds
    from transferlab.pretraining.vectors import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab vectors``."""
    options = Parser(
        "transferlab vectors",
        description="Static word vectors as the embeddings of a BiLSTM: text of GloVe or word2vec, fastText's .vec, "
        "also with .gz. Read a line at a time; the words of the tasks are kept, all splits of them.",
    )
    options.add_argument("file", type=Path, metavar="FILE", help="the vectors")
    options.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="tasks whose words are looked for")
    options.add_argument(
        "--texts", nargs="+", default=[], metavar="FILE", help="also the words of .txt, .jsonl, .parquet"
    )
    options.add_argument("--column", default="text", help="column with the text in these [text]")
    options.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="the folder of the encoder")
    return options
