"""What runs compute on, and with what precision."""

import os
import shutil
from collections.abc import Iterator

import torch

from transferlab.ground.hardware import best_accelerator, best_precision
from transferlab.launch.doctor.finding import NOTE, OK, WRONG, Finding


def devices() -> Iterator[Finding]:
    """The processor, the GPUs, and the precision that a run would choose."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    yield Finding("processor", OK, f"{cores} cores, torch uses {torch.get_num_threads()}; {memory:,.0f} GiB of memory")
    yield gpu()
    accelerator = best_accelerator()
    yield Finding(
        "precision", OK, f"{best_precision(accelerator)} on {accelerator}, unless trainer.precision says else"
    )


def gpu() -> Finding:
    """The GPUs that torch finds, or why it finds none although there is one."""
    if torch.cuda.is_available():
        count = torch.cuda.device_count()
        facts = [torch.cuda.get_device_properties(index) for index in range(count)]
        text = ", ".join(f"{one.name} with {one.total_memory / 2**30:,.0f} GiB" for one in facts)
        try:
            torch.ones(2, device="cuda").sum().item()
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            return Finding("GPU", WRONG, f"{text}, but torch {torch.__version__} cannot compute on it: {reason}", BUILD)
        return Finding("GPU", OK, text)
    if torch.backends.mps.is_available():
        return Finding("GPU", OK, "Apple's (mps)")
    if shutil.which("nvidia-smi") is None:
        return Finding("GPU", OK, "none; runs use the processor")
    text = f"nvidia-smi is here, but torch {torch.__version__} finds no GPU; runs use the processor"
    if torch.version.cuda is None:
        return Finding("GPU", NOTE, f"{text}: it was built without CUDA", BUILD)
    if os.environ.get("CUDA_VISIBLE_DEVICES") in {"", "-1"}:
        return Finding("GPU", NOTE, f"{text}: CUDA_VISIBLE_DEVICES hides it", "unset CUDA_VISIBLE_DEVICES")
    return Finding("GPU", NOTE, text, f"compare the driver (nvidia-smi) with torch's CUDA {torch.version.cuda}")


BUILD = "install the build of torch for this GPU: https://pytorch.org/get-started/locally/"
