"""The one place where an exception becomes a message: a line for what a user can mend, else its traceback."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from transferlab.config.received import TRUST
from transferlab.ground.errors import TransferlabError
from transferlab.ground.escapes import visible

DEBUG = "TRANSFERLAB_DEBUG"
"""Set by ``--debug``; processes that this one starts inherit it."""
MEMORY = (
    "this machine's memory is full: close other programs or ask for more (a job: --cluster.memory), or lower "
    "data.batch_size, data.eval_batch_size or data.max_length."
)
NO_MEMORY = ("out of memory", "cannot allocate memory", "failed to map segment", "can't allocate memory")
"""How libraries say it."""
FULL = f"error: {MEMORY}\n".encode()
MISTAKE = 2
"""Exit code of a message; 1 is that of a traceback, 130 that of Ctrl-C."""


def take_flags(arguments: list[str]) -> list[str]:
    """Takes ``--debug`` and ``--trust`` out of a command line and remembers them in the environment."""
    flags = {"--debug": DEBUG, "--trust": TRUST}
    for argument in arguments:
        if argument in flags:
            os.environ[flags[argument]] = "1"
    return [argument for argument in arguments if argument not in flags]


def run(command: Callable[[], None]) -> None:
    """Runs a command and ends the process if something goes wrong.

    A `TransferlabError`, and what `message_of` knows of the libraries, is one line and exit code 2, with ``--debug``
    after the traceback. Everything else is a fault of the program and keeps its traceback.
    """
    try:
        try:
            command()
        except KeyboardInterrupt:
            sys.exit(130)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except Exception as error:
            message = message_of(error)
            if message is None:
                raise
            if os.environ.get(DEBUG):
                import traceback

                traceback.print_exception(error)
            # in a log of both, what came before the error stands before it
            with suppress(OSError, ValueError):
                sys.stdout.flush()
            print(f"error: {visible(message + _place(message))}", file=sys.stderr)
            sys.exit(MISTAKE)
    except MemoryError:
        # not even the message could be made
        os.write(2, FULL)
        os._exit(MISTAKE)


def _place(message: str) -> str:
    """Where the key stands that a message is about, if in a file of the user's."""
    from transferlab.cli.keys import where

    return where.told(sys.argv[1:], message)


def message_of(error: BaseException) -> str | None:
    """The line that says what to mend; None for an exception that nobody foresaw."""
    text = " ".join(str(error).split())
    if short := next((cause for cause in _chain(error) if _is_out_of_memory(cause)), None):
        return _memory(str(short))
    if isinstance(error, TransferlabError):
        return str(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return (
            f"the disk is full: {error.filename or text}. Make room, then start the command again; a run continues "
            "with --resume RUN behind its command."
        )
    if isinstance(error, RecursionError):
        return "a value is nested too deeply to be read."
    # by name: Lightning, which takes seconds to import, may not have been imported yet
    if any(kind.__name__ == "MisconfigurationException" for kind in type(error).__mro__):
        return f"Lightning refuses this setting: {text} (`--debug` shows where)."
    return None


def _chain(error: BaseException) -> list[BaseException]:
    """An exception and what led to it, since a library may wrap the one that tells; a chain can bite its tail."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or any(part in str(error).lower() for part in NO_MEMORY)


def _memory(text: str) -> str:
    if "cuda" in text.lower() or "mps" in text.lower():
        return (
            "the GPU's memory is full: lower data.batch_size and raise trainer.accumulate_grad_batches by the same "
            "factor, shorten data.max_length, or set trainer.precision: bf16-mixed."
        )
    return MEMORY
