"""What dynamic int8 would give in prediction: ``python -m benchmarks.int8 RUN``, a run of a BERT-like encoder.

Prints CPU seconds on one thread (the best of three passes over the test rows) and the accuracy of float32, bf16 and
torch's dynamic int8 of all linear maps.
"""

import copy
import sys
import time
import warnings
from typing import Any

import torch
from torch import nn

from transferlab.config.places import find_run
from transferlab.ground.hardware import native_bf16
from transferlab.strategies import Strategy
from transferlab.strategies.teacher import restore
from transferlab.tasks import Batch, TaskDataModule


def passed(model: Strategy, batches: list[Batch], bf16: bool = False) -> tuple[float, float]:
    """Predicts all batches; returns CPU seconds and accuracy in %."""
    best, right, total = float("inf"), 0, 0
    for _ in range(3):
        started, right, total = time.process_time(), 0, 0
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            for batch in batches:
                assert batch.labels is not None
                right += int((model(batch).argmax(-1) == batch.labels).sum())
                total += len(batch.index)
        best = min(best, time.process_time() - started)
    return best, 100 * right / total


def main() -> None:
    """Measures the run in the first argument."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    run = find_run(sys.argv[1])
    if run is None:
        sys.exit(f"no run {sys.argv[1]}")
    model = restore(run)
    data = TaskDataModule(model.task.name, model.encoder_config)
    data.setup("test")
    batches = list(data.test_dataloader()[0])
    results = {"float32": passed(model, batches)}
    if native_bf16("cpu"):
        results["bf16"] = passed(model, batches, bf16=True)
    quantize: Any = torch.ao.quantization.quantize_dynamic
    model.encoder.backbone = quantize(copy.deepcopy(model.encoder.backbone), {nn.Linear}, dtype=torch.qint8)
    results["int8"] = passed(model, batches)
    for name, (seconds, accuracy) in results.items():
        speed = results["float32"][0] / seconds
        print(f"{name:8} {seconds:6.2f} s CPU  {speed:4.2f} times float32  accuracy {accuracy:.2f}")


if __name__ == "__main__":
    main()
