"""How long one example alone takes."""

import copy
import statistics
import time
from typing import Any

import lightning as L
import numpy as np
import torch
from torch.distributed.tensor import DTensor

from transferlab.strategies.base import Strategy
from transferlab.tasks import Batch, TaskDataModule

EXAMPLES = 8
REPETITIONS = 3


def latency_ms(trainer: L.Trainer, model: Strategy, data: TaskDataModule) -> float | None:
    """Median time of predicting one example alone, from token ids to logits, or to a written text, in milliseconds.

    Eight examples from the whole range of lengths of the first test split, each three times after one that does not
    count, on the device and in the precision of the run. Nothing computed beforehand is used. None where the encoder
    is compiled: that would compile it once more, for this shape; and where its weights are split over processes, of
    which only one measures.
    """
    if model.encoder_config.compile or any(isinstance(weight, DTensor) for weight in model.parameters()):
        return None
    split = data.source.test[0]
    # without the frozen values that may be attached: an example that comes alone has none
    fresh = copy.copy(data)
    fresh.attached = {}
    # nor the other processes, which would each want an example
    fresh.trainer = None
    by_length = np.argsort(fresh.encoded(split).ids.lengths, kind="stable")
    # the middle of each eighth: the longest one stands for nothing
    places = (np.arange(EXAMPLES) + 0.5) / EXAMPLES * len(by_length)
    times: list[float] = []
    model.on_predict_start()
    for row in by_length[places.astype(int)]:
        batch: Batch = trainer.strategy.batch_to_device(next(iter(fresh.loader(split, np.array([row]), packed=False))))
        times += [_seconds(trainer, model, batch) for _ in range(1 + REPETITIONS)][1:]
    model.on_predict_end()
    return round(1000 * statistics.median(times), 3)


def _seconds(trainer: L.Trainer, model: Strategy, batch: Batch) -> float:
    device: Any = trainer.strategy.root_device
    started = time.perf_counter()
    with torch.inference_mode(), trainer.precision_plugin.forward_context():
        if batch.targets is None:
            model(batch)
        else:
            # an output is written token by token
            model.predict_step(batch, 0)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
