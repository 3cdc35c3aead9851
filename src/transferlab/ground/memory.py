"""How much memory a process has taken; imports no torch."""

import resource
import sys


def peak_memory_mb() -> float:
    """Largest memory of this process so far, on the GPU where there is one, else resident, in MB of 2**20 bytes."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated()) / 2**20
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
