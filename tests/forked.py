"""The real command in a process that is forked from the one of the tests, with all imports behind it."""

import os
import signal
import sys
import time
import traceback
from pathlib import Path

HANGS = 20
"""Seconds of processor time after which a command hangs; on a busy machine the clock says nothing."""


def transferlab(place, *arguments):
    """Runs a command that must end well, in a working directory; returns what it printed."""
    code, output = run(place, list(arguments))
    assert code == 0, output[-3000:]
    return output


def run(folder, words):
    """Runs a command in a forked process; returns exit code (None: it hangs) and what was printed."""
    from transferlab.cli import train  # noqa: F401  # what a forked process need not import

    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _child(folder, lambda: _command(words))
    start = time.monotonic()
    while True:
        done, status, _ = os.wait4(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), (folder / "output").read_text(errors="replace")
        ticks = sum(map(int, Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
        if ticks / os.sysconf("SC_CLK_TCK") > HANGS or time.monotonic() - start > 30 * HANGS:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None, (folder / "output").read_text(errors="replace")
        time.sleep(0.02)


def call(folder, function):
    """Calls a function in a forked process; returns its number, for `ended`."""
    child = os.fork()
    if child == 0:
        _child(folder, function)
    return child


def ended(child):
    """Exit code of a forked process, negative for the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _command(words):
    sys.argv = ["transferlab", *words]
    from transferlab.__main__ import main

    main()


def _child(folder, function):
    code = 1
    try:
        output = os.open(folder / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        sys.stdin = open(os.devnull)  # noqa: SIM115
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
        os.chdir(folder)
        function()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
