"""What the hardware can do."""

import ctypes
from typing import Any

import torch

from transferlab.ground.errors import TransferlabError

MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
"""Numbers of glibc's ``M_MMAP_THRESHOLD`` and ``M_TRIM_THRESHOLD``."""


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


def best_accelerator() -> str:
    """``gpu`` where there is a CUDA device, ``mps`` on Apple's chips, else ``cpu``."""
    if torch.cuda.is_available():
        return "gpu"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def settle(trainer: Any, training: bool) -> None:
    """Fills in accelerator and precision of a Trainer's settings by what this machine has.

    The saved configuration names both, so the same run means the same elsewhere. With a strategy for several processes
    the Trainer chooses the accelerator. What was trained on a GPU is tested on a machine without one.

    Args:
        trainer: The settings: `accelerator`, `strategy` and `precision`.
        training: Whether a run is trained with them.

    Raises:
        TransferlabError: A run is to be trained on a GPU that is not there.
    """
    missing = _is_missing(trainer.accelerator)
    if missing and training:
        built = (
            "" if torch.version.cuda or trainer.accelerator == "mps" else f" (torch {torch.__version__} has no CUDA)"
        )
        raise TransferlabError(
            f"trainer.accelerator: {trainer.accelerator}, but torch finds no GPU here{built}; "
            "--trainer auto takes what is there, --trainer cpu the processor."
        )
    if missing or (trainer.accelerator == "auto" and trainer.strategy == "auto"):
        trainer.accelerator = best_accelerator()
    if trainer.precision is None:
        trainer.precision = best_precision(str(trainer.accelerator))


def _is_missing(accelerator: Any) -> bool:
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    there = {"gpu": cuda or mps, "cuda": cuda, "mps": mps}
    return isinstance(accelerator, str) and not there.get(accelerator, True)


def in_words(accelerator: str, devices: int) -> str:
    """What a run computes on, for its header.

    Args:
        accelerator: ``cpu``, ``cuda``, ``gpu`` or ``mps``.
        devices: Number of processes on this machine, one device each.
    """
    if accelerator in {"gpu", "cuda"} and torch.cuda.is_available():
        there = torch.cuda.device_count()
        unused = f" of {there}; --trainer ddp takes all" if there > devices else ""
        return f"{devices} GPU{'s' * (devices > 1)}{unused} ({torch.cuda.get_device_name()})"
    if accelerator != "cpu":
        return accelerator
    unused = "; a GPU is there: --trainer gpu takes it" if best_accelerator() != "cpu" else ""
    return f"processor, {torch.get_num_threads()} threads{f', {devices} processes' if devices > 1 else ''}{unused}"


def best_precision(accelerator: str = "auto") -> str:
    """The Trainer's precision for that accelerator: ``bf16-mixed`` where the hardware has it, else ``32-true``."""
    return "bf16-mixed" if native_bf16(accelerator) else "32-true"


def keep_freed_memory() -> bool:
    """Lets glibc keep freed memory for the next step, instead of giving it back to the system.

    A gradient of the word embeddings alone has tens of MB. By default glibc maps such a block anew in every step, and
    the kernel fills each of its pages with zeros. Other allocators (jemalloc, tcmalloc) are not touched.

    Returns:
        Whether there is a glibc that took it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # older releases refuse more than 32 MiB; without a value the trim threshold alone would fix the default of 128 KiB
    taken = mallopt(MMAP_THRESHOLD, 2**30) or mallopt(MMAP_THRESHOLD, 2**25)
    return bool(taken and mallopt(TRIM_THRESHOLD, 2**31 - 1))
