"""What the command line of quantising takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError

FORMS = ("int8-dynamic", "int8-static", "fp16")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab quantise``.

    Raises:
        TransferlabError: No such run or export, no labelled examples, or more changed predictions than are allowed.
    """
    asked = parser().parse_args(arguments)
    limit = share(asked.max_changed, "--max-changed")
    # only now: torch takes seconds
    from transferlab.use.quantising.command import Asked, run

    run(
        Asked(
            asked.run,
            asked.form,
            limit,
            asked.output,
            asked.overwrite,
            asked.files,
            asked.label,
            asked.calibrate,
            asked.record,
            asked.root,
        )
    )


def share(text: str, option: str) -> float:
    """A share such as ``3%`` or ``0.03``, which an option takes.

    Raises:
        TransferlabError: It is none between 0 and 1.
    """
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise TransferlabError(f"{option}: {text!r} is no share; write 3% or 0.03.")
    return found


def parser() -> Parser:
    """The options of ``transferlab quantise``."""
    options = Parser(
        "transferlab quantise",
        description="A run or its ONNX export with weights in int8 or float16. What it costs is measured on labeled "
        "examples, beside float32, and the folder is kept only where few predictions change.",
    )
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID, run directory or export")
    options.add_argument("--form", choices=FORMS, default=FORMS[0], help="[int8-dynamic]")
    options.add_argument(
        "--max-changed", default="3%", metavar="SHARE", help="predictions that may be other ones than in float32 [3%%]"
    )
    options.add_argument("--output", type=Path, metavar="FOLDER", help="folder to write [exports/EXPERIMENT-FORM]")
    options.add_argument("--overwrite", action="store_true", help="replace the folder if it is an export")
    options.add_argument("--files", metavar="FILE", help="labeled examples to judge by [the test set of the run]")
    options.add_argument("--label", metavar="COLUMN", help="its column of labels [as in training]")
    options.add_argument(
        "--calibrate", metavar="FILE", help="texts that set the scales of int8-static [training examples of the run]"
    )
    options.add_argument(
        "--no-record", dest="record", action="store_false", help="leave compare and report as they are"
    )
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
