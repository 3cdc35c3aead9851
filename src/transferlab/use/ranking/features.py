"""Frozen features of a task from each layer of an encoder."""

import time
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.encoders.encoder import Encoder
from transferlab.ground.errors import TransferlabError
from transferlab.ground.progress import counted
from transferlab.strategies.forward import encoder_inputs
from transferlab.tasks import TaskDataModule, TaskSpec
from transferlab.use.forgetting.measure import open_task

Array = np.ndarray[Any, Any]


class Layer(NamedTuple):
    """Features of one layer.

    Attributes:
        task: Facts about the task.
        number: The layer, from 0 for the embeddings.
        known: Of the training examples ``[rows, width]``.
        labels: Their class numbers or targets ``[rows]``.
        held: Of the validation examples ``[others, width]``.
        gold: Their class numbers or targets ``[others]``.
        seconds: Time to compute the features of all layers, divided by their number.
    """

    task: TaskSpec
    number: int
    known: Array
    labels: Array
    held: Array
    gold: Array
    seconds: float


def read(name: str, encoder: EncoderConfig, rows: int, validation_rows: int, seed: int, every: bool) -> list[Layer]:
    """Computes what a linear head would read, from the last layer or from each.

    Two texts are encoded one by one and become ``[|u - v|, u * v]``, as in `transferlab forgetting`. The examples are
    among those that a run of this seed trains and selects on: what is chosen by them is tested on others.

    Args:
        name: The task.
        encoder: The encoder, with its pooling.
        rows: Training examples, at most.
        validation_rows: Validation examples, at most.
        seed: Seed of the hold-out and of the draw.
        every: Whether each layer is wanted.

    Raises:
        TransferlabError: A task whose labels are no classes or numbers of texts.
    """
    data = _opened(name, encoder, seed)
    if data.source.kind not in ("classification", "regression"):
        raise TransferlabError(f"--task: {name} is of kind {data.source.kind}; classes and numbers can be ranked for.")
    views = [data]
    if len(data.source.text) == 2:
        views = []
        for column in data.source.text:
            view = _opened(name, encoder, seed)
            view.source = replace(view.source, text=(column,))
            views.append(view)
    drawn = np.random.default_rng(seed)
    # of pairs both texts say what stays on one side of the hold-out
    parts = [(data.part_rows("train"), rows), (data.part_rows("validation"), validation_rows)]
    chosen = [(split, np.sort(drawn.permutation(there)[:most])) for (split, there), most in parts]
    model = build_encoder(replace(encoder, layers="last")).eval()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    begun = time.perf_counter()
    (known, labels), (held, gold) = (_compared(model, views, *part, every) for part in chosen)
    seconds = (time.perf_counter() - begun) / len(known)
    numbers = range(len(known)) if every else [int(model.backbone.config.num_hidden_layers)]  # type: ignore[union-attr, arg-type]
    return [Layer(data.spec, n, a, labels, b, gold, seconds) for n, a, b in zip(numbers, known, held, strict=True)]


def _opened(name: str, encoder: EncoderConfig, seed: int) -> TaskDataModule:
    data = open_task(name, encoder, "--task", tested=False)
    data.protocol = data.protocol._replace(seed=seed)
    return data


def _compared(model: Encoder, views: list[TaskDataModule], split: str, rows: Array, every: bool) -> tuple[Any, Array]:
    """Features ``[layers][rows, width]`` and labels ``[rows]``."""
    columns = [_column(model, view, split, rows, every) for view in views]
    (layers, labels), *others = columns
    for other, _ in others:
        layers = [np.concatenate([abs(u - v), u * v], axis=1) for u, v in zip(layers, other, strict=True)]
    return layers, labels


@torch.inference_mode()
def _column(model: Encoder, view: TaskDataModule, split: str, rows: Array, every: bool) -> tuple[list[Array], Array]:
    device = next(model.parameters()).device
    index, labels, found = [], [], []
    for batch in counted(view.loader(split, rows, packed=False), f"features of {split}, {model.config.label}"):
        batch = batch.to(device)
        given = encoder_inputs(batch)
        states = model.states(**given) if every else (model(**given),)
        pooled = [model.pool(state, batch.attention_mask, None).float().cpu().numpy() for state in states]
        found.append(np.stack(pooled))
        index.append(batch.index.cpu().numpy())
        assert batch.labels is not None
        labels.append(batch.labels.cpu().numpy())
    order = np.argsort(np.concatenate(index))
    return list(np.concatenate(found, axis=1)[:, order]), np.concatenate(labels)[order]
