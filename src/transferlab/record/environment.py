"""What a run ran on, for each of its starts: versions, commit, hardware, arguments."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from transferlab.ground.contents import content
from transferlab.record.folder import write_json

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


EXACT = ("torch", "lightning", "transformers", "peft", "tokenizers")
"""Packages under whose very versions a resumed run is equal to an uninterrupted one bit for bit."""
NAME = "environment.json"


def note_start(folder: Path, resumed: bool = False) -> dict[str, Any]:
    """Appends this start to ``environment.json``; `resumed`: it resumes from a checkpoint of the one before.

    The file holds the facts of the first start, as it did when there was only that one, and under ``starts`` those of
    every start that trained the run or made its record, oldest first.

    Returns:
        The facts of this start.
    """
    now, earlier = environment() | {"resumed": resumed}, starts(folder)
    write_json(folder / NAME, {**(earlier[0] if earlier else now), "starts": [*earlier, now]})
    return now


def read(folder: str) -> dict[str, Any]:
    """What ``environment.json`` holds; empty where it cannot be read."""
    try:
        known = json.loads(content(f"{folder}{os.sep}{NAME}").decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def starts(folder: Path | str) -> list[dict[str, Any]]:
    """The facts of all starts of a run, oldest first; of a run from before they were kept those of the first."""
    return starts_in(read(str(folder)))


def starts_in(known: dict[str, Any]) -> list[dict[str, Any]]:
    """The same, of what ``environment.json`` holds."""
    if not known:
        return []
    listed = known.get("starts")
    return [start for start in listed if isinstance(start, dict)] if isinstance(listed, list) else [known]


def effective(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The starts that a run's weights came from: the last one that began from the beginning, and those after it."""
    first = max((place for place, start in enumerate(found) if not start.get("resumed")), default=0)
    return found[first:]


def versions(start: dict[str, Any]) -> dict[str, str]:
    """The versions of `EXACT` in a start, as far as it tells them."""
    known = start.get("packages")
    return {name: str(known[name]) for name in EXACT if known.get(name)} if isinstance(known, dict) else {}


def other_versions(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """The packages of `EXACT` that are not the same, such as ``torch 2.12.0 -> 2.13.0``."""
    one, other = versions(before), versions(now)
    return [
        f"{name} {one[name]} -> {other[name]}"
        for name in EXACT
        if name in one.keys() & other.keys()
        if one[name] != other[name]
    ]


def environment() -> dict[str, Any]:
    """Facts for ``environment.json``. Commands and paths are recorded, environment variables are not."""
    # here and below: who only reads what was noted needs none of these modules, and they take long to import
    import platform

    return {
        "time": time.strftime("%Y-%m-%d %H:%M:%S"),
        "command": sys.argv[1:],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "git": {"commit": _git("rev-parse", "HEAD"), "dirty": bool(_git("status", "--porcelain", "-uno"))},
        "hardware": hardware(),
    }


def hardware() -> dict[str, Any]:
    """Processor, accelerators and operating system; torch is asked where it is loaded already."""
    import platform

    torch = sys.modules.get("torch")
    if torch is not None:
        gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        threads = torch.get_num_threads()
    else:
        gpus = _gpus()
        threads = int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0)))
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "gpus": gpus,
    }


def _gpus() -> list[str]:
    """The models of NVIDIA's cards, as their driver tells them."""
    told = [path.read_text(encoding="utf-8") for path in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))]
    lines = [line.partition(":") for text in told for line in text.splitlines()]
    return [value.strip() for key, _, value in lines if key == "Model"]


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    import platform

    return platform.processor()


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    import subprocess

    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
