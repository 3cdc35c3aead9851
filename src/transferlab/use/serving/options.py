"""What the command line of serving takes; imports neither torch nor the server."""

from pathlib import Path
from typing import NamedTuple

from transferlab.ground.arguments import Parser
from transferlab.ground.errors import TransferlabError


class Limits(NamedTuple):
    """What a request may ask for, and how many may be under way.

    Attributes:
        bytes: Of a request's body.
        texts: Of a request.
        characters: Of a text, or of both texts of a pair together.
        waiting: Texts that wait for an answer; more are refused.
        requests: Requests whose body is being read or answered; more are refused.
        seconds: For reading and answering a request.
    """

    bytes: int = 1_000_000
    texts: int = 64
    characters: int = 20_000
    waiting: int = 256
    requests: int = 256
    seconds: float = 10.0


class Keep(NamedTuple):
    """What is kept of the texts that were answered.

    Attributes:
        counts: JSON lines of counts of labels, confidence and length; None: not kept.
        texts: JSON lines of texts with their answers; None: not kept.
        log: Whether the log holds texts.
    """

    counts: Path | None = None
    texts: Path | None = None
    log: bool = False


def main(arguments: list[str]) -> None:
    """Runs ``transferlab serve``.

    Raises:
        TransferlabError: No such run or export, a limit below 1, or a token that is none.
    """
    asked = parser().parse_args(arguments)
    limits = Limits(**{name: getattr(asked, f"max_{name}") for name in Limits._fields})
    for name, value in limits._asdict().items():
        if value <= 0:
            raise TransferlabError(f"--max-{name}: {value} is no limit; give a number above 0.")
    if limits.texts > limits.waiting:
        raise TransferlabError(f"--max-texts: {limits.texts} texts would never find room; --max-waiting is the less.")
    if (asked.threads is not None and asked.threads < 1) or asked.batch_size < 1:
        raise TransferlabError("--threads and --batch-size: give a number above 0.")
    if not 0 <= asked.port < 65536:
        raise TransferlabError(f"--port: {asked.port} is none; give 0 to 65535.")
    from transferlab.use.serving import command

    command.run(asked, limits, Keep(asked.keep_counts, asked.keep_texts, asked.log_texts))


def parser() -> Parser:
    """The options of ``transferlab serve``."""
    usual = Limits()
    options = Parser(
        "transferlab serve",
        usage="transferlab serve EXPORT|RUN [OPTION ...]",
        description="Answers new texts over HTTP: /predict for one or many, /health, /ready, /metrics, /docs. An "
        "exported ONNX folder is served as it is; a run is exported first.",
        epilog="SIGTERM answers what has come and ends; SIGHUP exchanges the model for what lies in its folder now.",
    )
    options.add_argument("model", metavar="EXPORT|RUN", help="exported folder, or experiment, run ID, run directory")
    options.add_argument("--host", default="127.0.0.1", help="address to listen on [127.0.0.1, this machine alone]")
    options.add_argument("--port", type=int, default=8000, help="0: any that is free [8000]")
    options.add_argument("--tokens", type=Path, metavar="FILE", help="bearer tokens, one a line [$TRANSFERLAB_TOKENS]")
    options.add_argument("--without-tokens", action="store_true", help="let anyone ask who reaches --host")
    options.add_argument("--calibrated", action="store_true", help="probabilities scaled by the run's temperature")
    options.add_argument("--threads", type=int, help="batches at once [as many as processors]")
    options.add_argument("--batch-size", type=int, default=8, help="texts of a batch, at most [8]")
    limit = options.add_argument_group("limits")
    limit.add_argument("--max-bytes", type=int, default=usual.bytes, help=f"of a request [{usual.bytes:,}]")
    limit.add_argument("--max-texts", type=int, default=usual.texts, help=f"of a request [{usual.texts}]")
    limit.add_argument("--max-characters", type=int, default=usual.characters, help=f"of a text [{usual.characters:,}]")
    limit.add_argument("--max-waiting", type=int, default=usual.waiting, help=f"texts in the queue [{usual.waiting}]")
    limit.add_argument("--max-requests", type=int, default=usual.requests, help=f"at once [{usual.requests}]")
    limit.add_argument("--max-seconds", type=float, default=usual.seconds, help=f"of a request [{usual.seconds:g}]")
    kept = options.add_argument_group("what is kept")
    kept.add_argument("--keep-counts", type=Path, metavar="FILE", help="labels, confidence, length: a line a minute")
    kept.add_argument("--keep-texts", type=Path, metavar="FILE", help="texts with their answers, 100 MB at most")
    kept.add_argument("--log-texts", action="store_true", help="the log on standard error holds texts too")
    options.add_argument(
        "--manifests", type=Path, metavar="DIR", help="write image, Compose file, Kubernetes manifests; serve nothing"
    )
    options.add_argument("--root", type=Path, default=Path("runs"), help="folder of runs [runs]")
    return options
