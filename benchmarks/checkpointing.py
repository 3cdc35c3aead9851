"""What writing checkpoints costs: seconds of one, as a share of the training between two.

``python -m benchmarks.checkpointing [--millions 22.7 109]``. The state is that of full fine-tuning with AdamW (weights
and two moments of every parameter), the largest that a strategy has. The time that passes says little where other work
shares the processor; hence the CPU seconds.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from transferlab.ground.intact import is_whole
from transferlab.record.config import RunConfig
from transferlab.record.folder import LAST
from transferlab.training.checkpoints import AtomicCheckpointIO


def state(parameters: int) -> dict[str, Any]:
    """Weights and moments of so many parameters, in float32."""
    moments = {"exp_avg": torch.randn(parameters), "exp_avg_sq": torch.rand(parameters)}
    return {"state_dict": {"weights": torch.randn(parameters)}, "optimizer_states": [{"state": {0: moments}}]}


def measure(parameters: int, repeats: int, folder: Path) -> tuple[float, float, float, float]:
    """Median seconds to write, CPU seconds of it, seconds to check, and MB of the file."""
    checkpoint, io, path = state(parameters), AtomicCheckpointIO(), folder / LAST
    writing, computing, checking = [], [], []
    for _ in range(repeats):
        began, cpu = time.perf_counter(), time.process_time()
        io.save_checkpoint(checkpoint, path)
        written = time.perf_counter()
        computing.append(time.process_time() - cpu)
        assert is_whole(path)
        writing.append(written - began)
        checking.append(time.perf_counter() - written)
    medians = [statistics.median(times) for times in (writing, computing, checking)]
    return medians[0], medians[1], medians[2], path.stat().st_size / 1e6


def main() -> None:
    """Prints a row per size."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--millions", type=float, nargs="+", default=[0.33, 22.7, 109.0], help="parameters that learn")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; the temporary folder without it")
    options = parser.parse_args()
    minutes = RunConfig().checkpoint_every_minutes or 10.0
    print(f"| Parameters that learn | MB | Writing, s | of it CPU s | CPU share of {minutes:g} min | Check, s |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for millions in options.millions:
            writing, cpu, checking, size = measure(int(millions * 1e6), options.repeats, Path(folder))
            share = 100 * cpu / (60 * minutes)
            print(
                f"| {millions:g} M | {size:.0f} | {writing:.2f} | {cpu:.2f} | {share:.2f} % | {checking:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
