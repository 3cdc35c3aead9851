"""What exported ONNX folders cost beside each other: ``python -m benchmarks.forms FOLDER [FOLDER ...] --texts FILE``.

CPU seconds of one thread from token ids to logits. All folders are asked the same texts in turn, round after round, so
what else runs on the machine meets all of them alike; the ratio to the first folder is taken within a round, and its
median and range over the rounds are printed.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from transferlab.use.exported import Exported, Texts

BATCH = 32
"""Texts of a batch, of like length."""


def chosen(lengths: "np.ndarray[tuple[int], np.dtype[np.int64]]", count: int) -> list[int]:
    """Rows from the whole range of lengths, the shortest first."""
    order = np.argsort(lengths, kind="stable")
    return [int(row) for row in order[np.unique(np.linspace(0, len(order) - 1, count).astype(int))]]


def cpu_ms(
    ask: Callable[[Exported, Texts, list[int]], object], model: Exported, texts: Texts, rows: list[int]
) -> float:
    """CPU milliseconds of a text."""
    started = time.process_time()
    ask(model, texts, rows)
    return 1000 * (time.process_time() - started) / len(rows)


def alone(model: Exported, texts: Texts, rows: list[int]) -> None:
    """Asks each text by itself."""
    for row in rows:
        model.logits(texts, [row])


def together(model: Exported, texts: Texts, rows: list[int]) -> None:
    """Asks batches of texts of like length."""
    for start in range(0, len(rows), BATCH):
        model.logits(texts, rows[start : start + BATCH])


def told(times: Sequence[float], first: Sequence[float]) -> str:
    """The median, and that of the ratio to the first folder with its range."""
    ratios = [one / other for one, other in zip(first, times, strict=True)]
    median = statistics.median(ratios)
    return f"{statistics.median(times):7.2f} ms, {median:4.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"


def main() -> None:
    """Measures the folders of the command line."""
    options = argparse.ArgumentParser("python -m benchmarks.forms")
    options.add_argument("folders", nargs="+", type=Path)
    options.add_argument("--texts", type=Path, required=True, help="a text on each line")
    options.add_argument("--count", type=int, default=128, help="texts from the whole range of lengths [128]")
    options.add_argument("--rounds", type=int, default=7, help="[7]")
    asked = options.parse_args()
    models = {folder.name: Exported(folder, threads=1) for folder in asked.folders}
    lines = asked.texts.read_text(encoding="utf-8").splitlines()
    texts = {name: model.encode({model.text[0]: lines}) for name, model in models.items()}
    for ask, count in ((alone, min(asked.count, 32)), (together, asked.count)):
        times: dict[str, list[float]] = {name: [] for name in models}
        for number in range(asked.rounds + 1):
            for name, model in models.items():
                encoded, lengths = texts[name]
                taken = cpu_ms(ask, model, encoded, chosen(lengths, count))
                # the first round warms up
                if number:
                    times[name].append(taken)
        print(f"{ask.__name__}, CPU of a text:")
        for name, found in times.items():
            print(f"  {name:32}{told(found, times[asked.folders[0].name])}")


if __name__ == "__main__":
    main()
