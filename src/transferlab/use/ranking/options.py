"""What ``transferlab rank-encoders`` takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser


def main(arguments: list[str]) -> None:
    """Runs ``transferlab rank-encoders``.

    Raises:
        TransferlabError: No such task or encoder, or a task whose labels are no classes or numbers of texts.
    """
    asked = parser().parse_args(arguments)
    # only now: torch takes seconds
    from transferlab.use.ranking.command import run

    run(asked)


def parser() -> Parser:
    """The options of ``transferlab rank-encoders``."""
    options = Parser(
        "transferlab rank-encoders",
        description="Ranks encoders for a task by their frozen features, without fine-tuning: LogME, H-score, nearest "
        "neighbours, a linear probe, with the time that they take; and how that agrees with fine-tuned runs.",
    )
    options.add_argument("--task", required=True, help="a task of configs/task")
    options.add_argument(
        "--encoders", nargs="+", default=["minilm_l6"], help="configs of configs/encoder, runs, names or folders"
    )
    options.add_argument("--rows", type=int, default=1000, help="training examples, at most [1000]")
    options.add_argument(
        "--validation-rows", type=int, default=1000, help="validation examples, at most; none is tested on [1000]"
    )
    options.add_argument("--layers", choices=("last", "all"), default="last", help="all: each layer by itself [last]")
    options.add_argument("--seed", type=int, default=0, help="seed of hold-out and draw, as in a run [0]")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of fine-tuned runs [runs]")
    options.add_argument("--strategy", default="full_finetuning", help="of these runs [full_finetuning]")
    options.add_argument("--output", type=Path, metavar="FILE", help="the table as JSON")
    return options
