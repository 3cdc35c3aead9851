"""What the hardware can do."""

from typing import Any

import torch


def native_bf16(accelerator: str = "auto") -> bool:
    """Whether an accelerator multiplies bfloat16 in hardware; where it is emulated it is slower than float32.

    Args:
        accelerator: As the Trainer takes it; ``auto`` and ``gpu`` mean a CUDA device where there is one.
    """
    if accelerator in {"auto", "gpu", "cuda"} and torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if accelerator not in {"auto", "cpu"} or (accelerator == "auto" and torch.backends.mps.is_available()):
        return False
    # torch offers no public question for these two
    asks: list[Any] = [
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    ]
    return any(ask() for ask in asks if ask)


def best_precision(accelerator: str = "auto") -> str:
    """The Trainer's precision for that accelerator: ``bf16-mixed`` where the hardware has it, else ``32-true``."""
    return "bf16-mixed" if native_bf16(accelerator) else "32-true"
