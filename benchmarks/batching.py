"""Does sorting by length inside windows cost anything? The same runs on shuffled and on bucketed batches.

    python benchmarks/batching.py --output benchmarks/batching

Writes ``<output>.json`` with all curves and ``<output>.png`` with their means and ranges over the seeds, and prints a
table. Both arms of a seed share rows, initial weights and schedule; only the batches differ. A window of one batch is a
plain shuffle. Needs `pip install 'transferlab[bench]'`.
"""

import argparse
import json
import logging
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch.optim import AdamW

from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.ground.hardware import best_precision
from transferlab.learning.heads import HeadConfig
from transferlab.learning.optim import Schedule
from transferlab.strategies import FullFineTuning
from transferlab.tasks import TaskDataModule

WINDOWS = {"shuffled": 1, "bucketed": 50}
"""Batches per window of each arm."""


class Curve(Callback):
    """Notes the loss of every step, and how many of its tokens were real."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.real = 0
        self.padded = 0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Notes a step."""
        self.losses.append(float(outputs["loss"]))
        self.real += int(batch.attention_mask.sum())
        self.padded += batch.attention_mask.numel()


def rows_of(task: str | None, encoder: EncoderConfig, examples: int, seed: int) -> TaskDataModule:
    """The rows of a seed; without a named task SST-2, or generated sentences where SST-2 is out of reach."""
    for name in [task] if task else ["sst2", "demo_sentences"]:
        try:
            data = TaskDataModule(name, encoder, train_examples=examples, seed=seed)
            data.setup("fit")
            return data
        except TransferlabError:
            if task or name == "demo_sentences":
                raise
    raise AssertionError


def run(data: TaskDataModule, encoder: EncoderConfig, seed: int, window: int, options: argparse.Namespace) -> Any:
    """Trains and validates once; returns losses, the primary metric, the share of real tokens and CPU-seconds."""
    L.seed_everything(seed, verbose=False)
    model = FullFineTuning(
        data.spec,
        encoder,
        HeadConfig(lr=1e-3),
        lambda parameters: AdamW(parameters, lr=options.lr, weight_decay=0.01, fused=True),
        Schedule("linear", 0.1),
    )
    curve = Curve()
    trainer = L.Trainer(
        accelerator="cpu",
        max_epochs=options.epochs,
        precision=best_precision("cpu"),  # type: ignore[arg-type]  # one of Lightning's words
        callbacks=[curve],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        limit_val_batches=options.validation_batches,
        gradient_clip_val=1.0,
    )
    loader: Any = data.train_dataloader()
    loader.batch_sampler.window = window
    started = time.process_time()
    trainer.fit(model, loader, data.val_dataloader())
    return {
        "losses": curve.losses,
        "primary": float(trainer.callback_metrics["val/primary"]),
        "real": curve.real / curve.padded,
        "cpu_s": time.process_time() - started,
    }


def smooth(losses: np.ndarray[Any, Any], steps: int) -> np.ndarray[Any, Any]:
    """Means over `steps` neighbouring steps, ``[seeds, n]`` to ``[seeds, n - steps + 1]``."""
    return np.stack([np.convolve(row, np.full(steps, 1 / steps), "valid") for row in losses])


def draw(results: dict[str, list[Any]], path: Path, title: str) -> None:
    """Both loss curves: the mean over the seeds, and a band from the lowest to the highest."""
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, runs in results.items():
        losses = np.array([one["losses"] for one in runs])
        steps = max(1, losses.shape[1] // 20)
        curves = smooth(losses, steps)
        places = np.arange(curves.shape[1]) + steps
        axes.plot(places, curves.mean(0), label=f"{name} (window of {WINDOWS[name]})")
        axes.fill_between(places, curves.min(0), curves.max(0), alpha=0.2)
    axes.set(xlabel="step", ylabel=f"training loss, mean over {steps} steps", title=title)
    axes.legend()
    figure.savefig(path, dpi=150)
    plt.close(figure)


def table(results: dict[str, list[Any]], metric: str) -> str:
    """One line for each arm: mean and standard deviation over the seeds."""
    lines = [f"{'batches':10} {metric:>18} {'last loss':>17} {'real tokens':>12} {'CPU-s':>7}"]
    for name, runs in results.items():
        primary = np.array([one["primary"] for one in runs])
        # the loss of the last fifth of the run
        last = np.array([np.mean(one["losses"][-max(1, len(one["losses"]) // 5) :]) for one in runs])
        lines.append(
            f"{name:10} {primary.mean():9.4f} ± {primary.std():.4f} {last.mean():8.4f} ± {last.std():.4f} "
            f"{np.mean([one['real'] for one in runs]):11.1%} {np.mean([one['cpu_s'] for one in runs]):8.1f}"
        )
    return "\n".join(lines)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", help="a task of the table; sst2, or demo_sentences where that is out of reach")
    parser.add_argument("--encoder", default=EncoderConfig().name, help="name on the Hub, or a folder")
    parser.add_argument("--examples", type=int, default=6000, help="training rows")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1e-4)
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--output", type=Path, default=Path("batching"), help="path of both files, without ending")
    parser.add_argument("--quick", action="store_true", help="400 rows, 2 seeds, 512 rows of validation")
    options = parser.parse_args()
    options.validation_batches = 1.0
    if options.quick:
        options.examples, options.seeds, options.validation_batches = 400, 2, 4
    return options


def main() -> None:
    """Runs all arms and seeds, interleaved; writes and prints what came out."""
    options = arguments()
    warnings.filterwarnings("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    encoder = EncoderConfig(options.encoder)
    results: dict[str, list[Any]] = {name: [] for name in WINDOWS}
    for seed in range(options.seeds):
        data = rows_of(options.task, encoder, options.examples, seed)
        for name, window in WINDOWS.items():
            results[name].append(run(data, encoder, seed, window, options))
            print(
                f"{data.task}, seed {seed}, {name}: {data.spec.primary} {results[name][-1]['primary']:.4f}", flush=True
            )
    title = f"{data.task}, {options.examples} examples, {encoder.label}, {options.seeds} seeds"
    record = {"task": data.task, "encoder": encoder.label, "examples": options.examples, "epochs": options.epochs}
    record |= {"lr": options.lr, "batch_size": data.batch_size, "windows": WINDOWS, "runs": results}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    draw(results, options.output.with_suffix(".png"), title)
    print(f"\n{title}\n{table(results, data.spec.primary)}")


if __name__ == "__main__":
    main()
