"""What the command line of an update takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.use.update import kept


def main(arguments: list[str]) -> None:
    """Runs ``transferlab update --run RUN --data NEW``.

    Raises:
        TransferlabError: No such run or file, a label that the run does not know, or examples that are out of reach.
    """
    asked, keys = parser().parse_known_args(arguments)
    if wrong := next((word for word in keys if word.startswith("-") and "." not in word), None):
        parser().error(f"unrecognized arguments: {wrong}")
    if asked.clean:
        if asked.run or asked.data or keys:
            parser().error("--clean goes with --root alone")
        kept.clean(asked.root)
        return
    if missing := [f"--{name}" for name in ("run", "data") if not getattr(asked, name)]:
        parser().error(f"the following arguments are required: {', '.join(missing)}")
    # only now: torch takes seconds
    from transferlab.use.update.command import run

    run(asked, keys)


def parser() -> Parser:
    """The options of ``transferlab update``."""
    options = Parser(
        "transferlab update",
        usage="transferlab update --run RUN --data NEW [--replay 0.5] [--KEY VALUE ...]",
        description="Trains a finished run on with new labelled examples and a share of its old ones, as a run of its "
        "own, and tells what it gained and forgot on the new and the old test sets. A KEY is one of fit, such as "
        "--trainer.max_epochs.",
    )
    options.add_argument("--run", help="experiment (its newest run), run ID or run directory")
    options.add_argument("--data", metavar="NEW", help="file of new examples, columns as in training")
    options.add_argument("--replay", type=float, default=0.5, help="share of the old training examples, 0 to 1 [0.5]")
    options.add_argument("--test", metavar="FILE", help="test set of new examples [a fifth of NEW]")
    options.add_argument("--experiment", metavar="NAME", help="name of the new run's experiment [OLD_updated]")
    options.add_argument("--seed", type=int, help="seed of the new run [that of the old one]")
    options.add_argument("--clean", action="store_true", help="remove the examples of updates whose runs are gone")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
