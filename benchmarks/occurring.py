"""Word embeddings of which only the rows learn that occur, against all of them.

    python -m benchmarks.occurring --examples 1000

Full fine-tuning steps of an encoder in batches of 32 with clipping and fused AdamW, twice on the same batches without
dropout, the two sides by turns, on one thread: CPU time of clipping and optimizer and of a whole step (medians), bytes
of gradients and moments, and whether the trained weights are equal bit for bit.
"""

import argparse
import copy
import statistics
import time
from typing import Any

import torch
from torch import nn

from benchmarks.table import markdown
from transferlab.encoders import EncoderConfig, build_encoder
from transferlab.strategies import occurring
from transferlab.tasks import TaskDataModule

BATCH = 32


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> tuple[float, float]:
    """CPU seconds of clipping and optimizer, and of all of a step."""
    started = time.process_time()
    model(input_ids=batch.input_ids, attention_mask=batch.attention_mask).square().mean().backward()
    learned = time.process_time()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad()
    ended = time.process_time()
    return ended - learned, ended - started


def held(optimizer: torch.optim.Optimizer) -> float:
    """Bytes of gradients and moments, in MB."""
    parameters = [p for group in optimizer.param_groups for p in group["params"] if optimizer.state.get(p)]
    return float(sum(3 * p.numel() * p.element_size() for p in parameters) / 1e6)


def main() -> None:
    """Runs ``python -m benchmarks.occurring``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=31)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    config = EncoderConfig(asked.encoder)
    data = TaskDataModule(asked.task, encoder=config, train_examples=asked.examples)
    data.prepare_data()
    data.setup("fit")
    batches = list(data.loader(*data.training_rows()))[: asked.steps]
    every = build_encoder(config).eval()
    few = copy.deepcopy(every)
    ids = occurring.ids_of(data)
    # evaluation mode leaves dropout out, and the embeddings alone are to know that they are trained
    optimizers = [torch.optim.AdamW(one.parameters(), lr=1e-4, weight_decay=0.01, fused=True) for one in (every, few)]
    training = occurring.Training(few.backbone, optimizers[1], ids, None)
    training.rows.train()
    took: list[list[tuple[float, float]]] = [[], []]
    for number, batch in enumerate(batches):
        for side in (0, 1) if number % 2 else (1, 0):
            took[side].append(step((every, few)[side], optimizers[side], batch))
    rows = []
    for name, times, optimizer in zip(("all rows", "those that occur"), took, optimizers, strict=True):
        ends, wholes = ([1000 * statistics.median(column)] for column in zip(*times[1:], strict=True))
        rows.append([name, f"{ends[0]:.0f} ms", f"{wholes[0]:.0f} ms", f"{held(optimizer):,.0f} MB"])
    training.end()
    print(markdown(["trained", "clipping and optimizer", "step", "gradients and moments"], rows))
    known, found = every.state_dict(), few.state_dict()
    words = next(name for name, one in found.items() if len(one) == len(training.rows.place))
    same = all(torch.equal(known[name], found[name]) for name in known if name != words)
    same &= torch.equal(known[words][ids], found[words][ids])
    apart = float(((known[words] - found[words]).abs() / known[words].abs().clamp(min=1e-9)).max())
    print(f"{len(ids):,} of {len(known[words]):,} rows occur; trained weights equal: {'yes' if same else 'NO'}")
    print(f"largest difference of a weight that only decays, relative: {apart:.1e}")


if __name__ == "__main__":
    main()
