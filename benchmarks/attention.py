"""What dropout of attention weights costs on a processor, by the length of the texts.

    python -m benchmarks.attention --lengths 32 64 128 256

torch's fused attention on a processor takes no dropout, so with some it computes and keeps the weights of all pairs of
tokens. Full fine-tuning steps of an encoder on random tokens, without and with the dropout that it came with, each in a
process of its own on one thread: CPU seconds of a step (the least of some), and the memory of the process.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time

from benchmarks.table import markdown

BATCH = 32
STEPS = 3


def measure(encoder: str, length: int, dropout: float | None, precision: str) -> dict[str, float]:
    """CPU seconds of a step and the largest memory of this process in MB."""
    import torch

    from transferlab.encoders import EncoderConfig, build_encoder

    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = build_encoder(EncoderConfig(encoder, attention_dropout=dropout)).train()
    ids = torch.randint(1000, 2000, (BATCH, length))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    took = []
    for _ in range(STEPS):
        started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, precision == "bf16"):
            loss = model(input_ids=ids, attention_mask=torch.ones_like(ids)).float().square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        took.append(time.process_time() - started)
    return {"seconds": min(took), "mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def apart(words: list[str]) -> dict[str, float]:
    """The measurement in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.attention", *words]
    done = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Runs ``python -m benchmarks.attention``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--lengths", nargs="+", type=int, default=[32, 64, 128, 256])
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--dropout", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone:
        print(json.dumps(measure(asked.encoder, asked.lengths[0], asked.dropout, asked.precision)))
        return
    rows = []
    for length in asked.lengths:
        words = ["--alone", "--encoder", asked.encoder, "--lengths", str(length), "--precision", asked.precision]
        without, given = apart([*words, "--dropout", "0"]), apart(words)
        ratio = f"{given['seconds'] / without['seconds']:.2f}"
        cells = [f"{one['seconds']:.2f} s, {one['mb']:,.0f} MB" for one in (without, given)]
        rows.append([str(length), *cells, ratio])
        print(f"{length} tokens: {cells[0]} without, {cells[1]} with dropout", flush=True)
    print(markdown(["tokens", "without dropout of attention", "with", "ratio of time"], rows))


if __name__ == "__main__":
    main()
