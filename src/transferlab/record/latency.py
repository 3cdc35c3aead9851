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
ENOUGH_S = 0.05
"""Seconds of counted predictions, behind which none is repeated: where each takes long, the clock matters little."""


def latency_ms(trainer: L.Trainer, model: Strategy, data: TaskDataModule) -> float | None:
    """Median time of predicting one example alone, from token ids to logits, or to a written text, in milliseconds.

    Eight examples from the whole range of lengths of the first test split, each after one time that does not count,
    and all of them again up to three times while that is quick, on the device and in the precision of the run. Nothing
    computed beforehand is used. None where the encoder is compiled: that would compile it once more, for this shape;
    and where its weights are split over processes, of which only one measures.
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
    batches: list[Batch] = []
    for row in by_length[places.astype(int)]:
        batch = next(iter(fresh.loader(split, np.array([row]), packed=False)))
        batches.append(trainer.strategy.batch_to_device(batch))
        _seconds(trainer, model, batches[-1])
        times.append(_seconds(trainer, model, batches[-1]))
    while sum(times) < ENOUGH_S and len(times) < REPETITIONS * len(batches):
        times += [_seconds(trainer, model, batch) for batch in batches]
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
