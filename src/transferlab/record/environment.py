"""What a run ran on: versions, commit, hardware."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = [
    "transferlab",
    "lightning",
    "torch",
    "transformers",
    "tokenizers",
    "datasets",
    "peft",
    "torchmetrics",
    "wandb",
    "scikit-learn",
    "jsonargparse",
    "numpy",
]


def environment() -> dict[str, Any]:
    """Facts for ``environment.json``. Commands and paths are recorded, environment variables are not."""
    return {
        "command": sys.argv[1:],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": {"commit": _git("rev-parse", "HEAD"), "dirty": bool(_git("status", "--porcelain", "-uno"))},
        "hardware": hardware(),
    }


def hardware() -> dict[str, Any]:
    """Processor, accelerators and operating system."""
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": gpus,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
