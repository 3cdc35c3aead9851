"""How many processes there is room for on this machine, or in the part of it that this process may use."""

import os
import sys
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")
ACCELERATORS = ("/dev/nvidia0", "/dev/kfd")
"""Devices of NVIDIA and AMD: where there is one, processes would share it."""
MB = 2**20


def cores() -> int:
    """Cores that this process may use: those of its affinity, or fewer where a container is given less time."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota, _, period = _text(CGROUP / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        found = min(found, max(int(quota) // int(period), 1))
    return found


def free_memory_mb() -> float:
    """Memory that is free for new processes, in MB of 2**20 bytes; infinity where the system does not tell."""
    lines = [line.split() for line in _text(Path("/proc/meminfo")).splitlines()]
    found = next((int(line[1]) / 1024 for line in lines if line[0] == "MemAvailable:"), float("inf"))
    limit, used = _text(CGROUP / "memory.max"), _text(CGROUP / "memory.current")
    if limit.isdigit() and used.isdigit():
        found = min(found, max(int(limit) - int(used), 0) / MB)
    return found


def processes(memory_mb: float, threads: int = 1) -> int:
    """How many processes of so much memory and so many threads run side by side without being in each other's way.

    One where there is an accelerator, which they would share, and in a job of Slurm, which asked for one of them.
    """
    shared = any(os.path.exists(device) for device in ACCELERATORS) or sys.platform == "darwin"
    if shared or "SLURM_JOB_ID" in os.environ:
        return 1
    return max(min(cores() // max(threads, 1), int(min(free_memory_mb() / memory_mb, 1e6))), 1)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
