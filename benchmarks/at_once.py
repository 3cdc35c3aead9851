"""How many tokens a processor reads at once at best, where nobody learns from them.

    python -m benchmarks.at_once --budgets 0 8192 4096 2048 1024

Random texts, short (4 to 29 tokens) and long (60 to 255), longest first, go through an encoder in batches of 128 texts
or of at most so many tokens (0: 128 texts, whatever their length): CPU seconds on one thread, the least of some rounds,
in which the budgets follow each other.
"""

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.table import markdown

TEXTS = {"short": (4, 30, 2000), "long": (60, 256, 150)}
ROWS = 128


def seconds(model: Any, lengths: "np.ndarray[Any, Any]", budget: int, bf16: bool) -> float:
    """CPU seconds of one reading of all texts."""
    import torch

    from transferlab.tasks.batching import BucketBatchSampler

    sampler = BucketBatchSampler(lengths, ROWS, shuffle=False, at_once=budget or None)
    started = time.process_time()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, bf16):
        for batch in sampler:
            here = torch.tensor(lengths[batch])
            longest = int(here.max())
            mask = (torch.arange(longest)[None] < here[:, None]).long()
            model(input_ids=torch.randint(1000, 2000, mask.shape), attention_mask=mask)
    return time.process_time() - started


def main() -> None:
    """Runs ``python -m benchmarks.at_once``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--budgets", nargs="+", type=int, default=[0, 8192, 4096, 2048, 1024])
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    import torch

    from transferlab.encoders import EncoderConfig, build_encoder

    torch.set_num_threads(1)
    model = build_encoder(EncoderConfig(asked.encoder)).eval()
    rows = []
    for name, (low, high, count) in TEXTS.items():
        lengths = np.random.default_rng(0).integers(low, high, count)
        taken = [
            [seconds(model, lengths, budget, asked.precision == "bf16") for budget in asked.budgets]
            for _ in range(asked.rounds)
        ]
        rows.append([name, *(f"{min(column):.1f} s" for column in zip(*taken, strict=True))])
    print(markdown(["texts", *(f"{budget:,} tokens" if budget else f"{ROWS} texts" for budget in asked.budgets)], rows))


if __name__ == "__main__":
    main()
