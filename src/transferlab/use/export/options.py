"""What the command line of an export takes; imports no torch."""

from pathlib import Path

from transferlab.ground.arguments import Parser

FORMATS = ("onnx", "torch", "hf", "sentence-transformers", "peft")


def main(arguments: list[str]) -> None:
    """Runs ``transferlab export``.

    Raises:
        TransferlabError: No such run, a format that cannot hold it, or an export that differs from the run.
    """
    asked = parser().parse_args(arguments)
    # only now: torch takes seconds
    from transferlab.use.export.command import run

    run(asked.run, asked.format, asked.output, asked.overwrite, asked.root)


def parser() -> Parser:
    """The options of ``transferlab export``."""
    options = Parser(
        "transferlab export",
        description="A finished run as a folder that others load: ONNX, a program of torch.export, transformers, "
        "sentence-transformers, peft. It is compared with the run, and kept only where both agree.",
    )
    options.add_argument("--run", required=True, help="experiment (its newest run), run ID or run directory")
    options.add_argument("--format", choices=FORMATS, default="onnx", help="[onnx]")
    options.add_argument("--output", type=Path, metavar="FOLDER", help="folder to write [exports/EXPERIMENT-FORMAT]")
    options.add_argument("--overwrite", action="store_true", help="replace the folder if it is an export")
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
