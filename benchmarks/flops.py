"""How much arithmetic a run needs, and how fast this device does it."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn


def matrix_parameters(backbone: nn.Module) -> int:
    """Entries of the matrices in the transformer layers: N of the formulas, embeddings, biases and norms left out."""
    from transferlab.encoders.layers import layer_list

    _, layers = layer_list(backbone)
    assert layers is not None
    return sum(parameter.numel() for parameter in layers.parameters() if parameter.ndim >= 2)


def forward_flops(lengths: "Sequence[int] | np.ndarray[Any, Any]", parameters: int, layers: int, width: int) -> float:
    """FLOPs of one forward pass, ``sum over rows of 2 N s + 4 L d s^2``.

    Args:
        lengths: Real tokens s of each row; padding is no work that anyone wants.
        parameters: N, see `matrix_parameters`.
        layers: L.
        width: d.
    """
    tokens = np.asarray(lengths, dtype=np.float64)
    return float((2 * parameters * tokens + 4 * layers * width * tokens**2).sum())


def training_flops(lengths: "Sequence[int] | np.ndarray[Any, Any]", parameters: int, layers: int, width: int) -> float:
    """FLOPs of one step of full fine-tuning, three forward passes: per token ``6 N + 12 L d s``."""
    return 3 * forward_flops(lengths, parameters, layers, width)


def peak_rate(device: torch.device, dtype: torch.dtype, size: int | None = None, seconds: float = 1.0) -> float:
    """FLOPs per second of a large matrix product, the best of repeated ones.

    Args:
        device: Where.
        dtype: Type of both factors.
        size: Rows and columns of the factors; 8192 on a GPU, 1024 on a processor.
        seconds: For how long to repeat it.
    """
    size = size or (8192 if device.type == "cuda" else 1024)
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best, end = float("inf"), time.perf_counter() + seconds
    left @ right
    while True:
        wait(device)
        start = time.perf_counter()
        left @ right
        wait(device)
        best = min(best, time.perf_counter() - start)
        if time.perf_counter() > end:
            return 2 * size**3 / best


def wait(device: torch.device) -> None:
    """Waits until the device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
