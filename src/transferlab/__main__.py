"""Entry point: ``transferlab COMMAND``. Imports torch only for the commands that need it."""

import errno
import os
import sys
from collections.abc import Callable

from transferlab import signals
from transferlab.errors import TransferlabError, near

USAGE = """transferlab: task x encoder x strategy, trained by the Lightning Trainer

  transferlab fit --config experiments/lora_sst2.yaml    train, select, test; writes runs/<experiment>/<run id>/
  transferlab fit --resume RUN                           goes on with a run that was stopped or killed
  transferlab test|validate|predict --run RUN            a finished run again (--config and --ckpt_path also work)
  transferlab baseline --config experiments/...yaml      majority, TF-IDF, NB-SVM, token-majority on the same rows
  transferlab compare [RUNS]                             table of all runs
  transferlab submission RUN [RUN ...]                   zip file for the GLUE server from predicted runs
  transferlab demo                                       every strategy on a generated task, then the comparison
  transferlab list                                       experiments with one line each

  transferlab fit --help                                 all keys; any of them can be given as --key value
"""


NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""A disk that is full, a quota that is used up, a folder that cannot be written, a file that may not grow."""


def main() -> None:
    """Runs a command; a mistake of the user ends with one message and status 2."""
    arguments = sys.argv[1:]
    command = arguments[0] if arguments else "--help"
    try:
        if command in {"-h", "--help", "help"}:
            print(USAGE, end="")
        elif command in LIGHT:
            LIGHT[command](arguments[1:])
        elif command in {"fit", "validate", "test", "predict"}:
            _train()
        else:
            raise TransferlabError(
                f"no command {command!r}{near(command, [*LIGHT, 'fit', 'validate', 'test', 'predict'])}."
            )
    except TransferlabError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(
            f"error: {where}{error.strerror}. Make room, or choose another --run.root, then start again.",
            file=sys.stderr,
        )
        sys.exit(2)


def _train() -> None:
    # a signal may come during the imports already, which take seconds
    with signals.handled():
        from transferlab.cli import main as train

        train()


def _baseline(arguments: list[str]) -> None:
    from transferlab.baselines import main as baseline

    baseline(arguments)


def _compare(arguments: list[str]) -> None:
    from transferlab.runs.compare import main as compare

    compare(arguments)


def _submission(arguments: list[str]) -> None:
    from transferlab.runs.submission import main as submission

    submission(arguments)


def _demo(arguments: list[str]) -> None:
    from transferlab.demo import main as demo

    demo(arguments)


def _list(arguments: list[str]) -> None:
    from transferlab.experiments import main as list_experiments

    list_experiments(arguments)


LIGHT: dict[str, Callable[[list[str]], None]] = {
    "baseline": _baseline,
    "compare": _compare,
    "submission": _submission,
    "list": _list,
    "demo": _demo,
}

if __name__ == "__main__":
    main()
