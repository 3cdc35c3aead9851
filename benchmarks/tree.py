"""What a whole command takes: CPU seconds of all its processes, wall time, and the memory of its largest process."""

import contextlib
import ctypes
import glob
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER`` of Linux: processes that lose their parent become ours, and their time is counted."""
PATIENCE = 60.0
"""Seconds that processes may outlive the command that started them; then they are killed."""


class Failed(RuntimeError):
    """A command ended with another exit code than 0; the message is its last line."""


def measure(
    command: Sequence[str], folder: Path, variables: Mapping[str, str], log: Path, until: str = ""
) -> dict[str, Any]:
    """Runs a command to its end, or until a file has something in it.

    It is started from a small process of its own: a child is charged with the memory of the process that starts it.

    Args:
        command: Program and arguments.
        folder: Working directory.
        variables: Added to the environment.
        log: File for its output.
        until: Pattern of files; when one of them is not empty the command is killed, and what it took so far counts.

    Returns:
        ``cpu_s``, ``wall_s``, ``peak_mem_mb`` (MB of 2**20 bytes, of the largest process), ``last``: its last line.

    Raises:
        Failed: It failed.
    """
    facts = json.dumps([list(command), str(folder), dict(variables), str(log), until])
    done = subprocess.run([sys.executable, "-S", __file__, facts], stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    if code := found.pop("code"):
        raise Failed(found["last"] or f"exit code {code}")
    return found


def _here(command: list[str], folder: str, variables: dict[str, str], place: str, until: str) -> dict[str, Any]:
    """What `measure` does, in this process."""
    log = Path(place)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        ended = False
        while until and process.poll() is None and not ended:
            time.sleep(0.1)
            ended = any(Path(path).stat().st_size for path in glob.glob(until))
        if ended:
            wall = time.perf_counter() - began
            os.killpg(process.pid, signal.SIGKILL)
        _, status, own = os.wait4(process.pid, 0) if process.returncode is None else (0, process.returncode, None)
        process.returncode = code = os.waitstatus_to_exitcode(status) if own else status
    wall = wall if ended else time.perf_counter() - began
    peak = own.ru_maxrss if own else 0
    peak = max(peak, _reap(PATIENCE))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    lines = [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return {
        "code": 0 if ended else code,
        "cpu_s": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 3),
        "wall_s": round(wall, 3),
        "peak_mem_mb": round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1),
        "last": lines[-1] if lines else "",
    }


def _reap(patience: float) -> int:
    """Waits for what the command left behind, so that its time is counted; the largest memory among it."""
    peak, end, killed = 0, time.monotonic() + patience, False
    while True:
        if not killed and time.monotonic() > end:
            killed = True
            for child in _children():
                with contextlib.suppress(OSError):
                    os.kill(child, signal.SIGKILL)
        try:
            number, _, usage = os.wait4(-1, os.WNOHANG)
        except ChildProcessError:
            return peak
        if number:
            peak = max(peak, usage.ru_maxrss)
        elif killed and time.monotonic() > end + patience:
            return peak
        else:
            time.sleep(0.05)


def _children() -> list[int]:
    try:
        text = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text(encoding="utf-8")
    except OSError:
        return []
    return [int(number) for number in text.split()]


if __name__ == "__main__":
    print(json.dumps(_here(*json.loads(sys.argv[1]))))
