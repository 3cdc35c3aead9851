"""One measurement is one process: its clocks, its peak memory, and how it is started. Imports no torch."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PACKAGES = ("transferlab", "torch", "transformers", "lightning", "peft", "datasets", "numpy")
Measurement = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """What a process is to measure; both sides of a comparison get the same one but for `variant`.

    Attributes:
        variant: A name in `benchmarks.ours.VARIANTS` or `benchmarks.peers.VARIANTS`.
        data: Folder written by `benchmarks.rows`.
        folder: An empty folder for caches, configuration and outputs.
        encoder: Name of the encoder, or its folder.
        seed: Seed of initial weights, dropout and order.
        epochs: Epochs of training.
        batch_size: Training examples per step.
        max_length: Tokens per sequence; what is longer is truncated.
        lr: Learning rate of the encoder, or of what is trained inside it.
        head_lr: Learning rate of the head.
        precision: Precision of the forward pass, ``fp32`` or ``bf16``.
        keep_layers: Layers of the student, for distillation.
        teacher: Folder of the finished run that teaches or predicts; its transformers copy lies in ``exported/``.
    """

    variant: str
    data: str
    folder: str
    encoder: str = "sentence-transformers/all-MiniLM-L6-v2"
    seed: int = 0
    epochs: int = 1
    batch_size: int = 32
    max_length: int = 128
    lr: float = 1e-4
    head_lr: float = 1e-3
    precision: str = "fp32"
    keep_layers: tuple[int, ...] = ()
    teacher: str = ""

    @classmethod
    def read(cls) -> "Job":
        """The job in the first argument of this process."""
        fields = json.loads(sys.argv[1])
        return cls(**{**fields, "keep_layers": tuple(fields["keep_layers"])})


class Clock:
    """CPU and wall time since it was made; CPU time is that of all threads of this process."""

    def __init__(self) -> None:
        self.cpu, self.wall = time.process_time(), time.perf_counter()

    def read(self, prefix: str = "") -> Measurement:
        """Seconds of both clocks, as ``<prefix>cpu_s`` and ``<prefix>wall_s``."""
        return {
            f"{prefix}cpu_s": round(time.process_time() - self.cpu, 4),
            f"{prefix}wall_s": round(time.perf_counter() - self.wall, 4),
        }


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB of 2**20 bytes."""
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale, 1)


def report(measurement: Measurement) -> None:
    """Prints a measurement as the last line of this process."""
    print(json.dumps(measurement), flush=True)


def run(module: str, arguments: list[str], folder: Path, timeout: float = 7200) -> Measurement:
    """Runs ``python -m module`` on one thread with caches of its own, and returns the JSON of its last line.

    Args:
        module: What to run.
        arguments: Its arguments.
        folder: Where the caches of this measurement lie, so that nothing is gained from an earlier one.
        timeout: Seconds after which it counts as failed.

    Raises:
        RuntimeError: It failed; the message is the last line that it wrote.
    """
    variables = {
        "OMP_NUM_THREADS": "1",
        "MKL_NUM_THREADS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFERLAB_CACHE": str(folder / "cache"),
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "TRANSFERLAB_RUN_DIR"} | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(lines[-1] if lines else f"{module} ended with status {done.returncode}")
    measurement: Measurement = json.loads(done.stdout.strip().splitlines()[-1])
    return measurement


def measure(module: str, job: Job, timeout: float = 7200) -> Measurement:
    """Runs a job in a process of its own; see `run`."""
    return run(module, [json.dumps(asdict(job))], Path(job.folder), timeout)


def environment() -> dict[str, Any]:
    """What the figures were measured on: versions and hardware, nothing that names a machine."""
    return {
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "processor": processor(),
        "cores": os.cpu_count(),
        "bf16": has_bf16(),
    }


def processor() -> str:
    """Name of the processor."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def has_bf16() -> bool:
    """Whether this processor multiplies bf16 in hardware; where it does not, bf16 is slower than fp32."""
    flags = _cpuinfo("flags").split() + _cpuinfo("Features").split()
    return bool({"avx512_bf16", "amx_bf16", "bf16"} & set(flags))


def _cpuinfo(key: str) -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.split(":")[0].strip() == key), "")


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
