"""What the Trainer, the record and the callbacks add to a step: ``python -m benchmarks.steps``.

Each repetition runs `transferlab fit` and then a bare PyTorch loop over the same batches, from the same weights, with
the same optimizer, schedule, clipping and precision, in one process on one thread; only the steps are timed, the first
few left out. A third loop reads the same rows packed without padding. Prints CPU time per step, its ratio to the
bare loop (median and range over the repetitions), and for the packed loop CPU time per token, since its batches differ.
"""

import argparse
import contextlib
import copy
import io
import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.callbacks import Callback

from benchmarks.measure import Job, has_bf16, run
from benchmarks.ours import experiment
from benchmarks.table import markdown
from transferlab.cli.train import TransferCLI
from transferlab.encoders.packing import enable_packing
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.tasks import Batch

WARM_UP = 4
"""Steps before the clock starts."""
VARIANTS: dict[str, dict[str, Any]] = {
    "full": {"lr": 1e-4},
    "lora": {"lr": 1e-3},
    "frozen": {"lr": 5e-3, "head_lr": 5e-3},
}


class StepClock(Callback):
    """CPU time from the start of the first step after `WARM_UP` to the end of the last one of an epoch."""

    started = ended = 0.0

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Batch, batch_idx: int) -> None:
        """Starts the clock."""
        if batch_idx == WARM_UP:
            self.started = time.process_time()

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Notes the time."""
        self.ended = time.process_time()


class ClockedCLI(TransferCLI):
    """`transferlab fit` that keeps the untrained model and the clock of its steps, and tests nothing."""

    def before_fit(self) -> None:
        """Adds the clock behind all callbacks, and keeps the weights that training starts from."""
        super().before_fit()
        self.clock = StepClock()
        # the next step begins when the last callback is done
        self.trainer.callbacks.append(self.clock)  # type: ignore[attr-defined]
        self.untrained = copy.deepcopy(self.model.state_dict())

    def after_fit(self) -> None:
        """Closes the log."""
        self.metrics.close()


def bare(cli: ClockedCLI, batches: Iterable[Batch], precision: str) -> tuple[float, int, int]:
    """The same steps without Lightning.

    Returns:
        CPU seconds, steps and real tokens behind the warm-up.
    """
    model = cli.model
    model.load_state_dict(cli.untrained)
    model.train()
    # the schedule asks the Trainer for the number of steps
    built: Any = model.configure_optimizers()
    optimizer, schedule = built["optimizer"], built["lr_scheduler"]["scheduler"]
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    started, steps, tokens = 0.0, 0, 0
    for number, batch in enumerate(batches):
        assert (batch.packing is not None) == cli.datamodule.packed
        if number == WARM_UP:
            started = time.process_time()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = model.loss(model(batch), batch)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        schedule.step()
        if number >= WARM_UP:
            steps, tokens = steps + 1, tokens + int(batch.attention_mask.sum())
    return time.process_time() - started, steps, tokens


def repeat(job: Job) -> dict[str, float]:
    """Milliseconds per step of `fit` and the bare loop; microseconds per token of the bare loop, padded and packed."""
    path = Path(job.folder) / f"{job.variant}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(experiment(job), sort_keys=False), encoding="utf-8")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        cli = ClockedCLI(["fit", "--config", str(path)])
    # the next run chooses a folder of its own
    os.environ.pop(run_folder.VARIABLE, None)
    data = cli.datamodule
    seconds, steps, tokens = bare(cli, data.train_dataloader(), job.precision)
    result = {
        "fit": 1e3 * (cli.clock.ended - cli.clock.started) / steps,
        "bare": 1e3 * seconds / steps,
        "padded": 1e6 * seconds / tokens,
    }
    if job.variant == "full":
        enable_packing(cli.model.encoder.backbone)
        data.packed = True
        seconds, _, tokens = bare(cli, data.train_dataloader(), job.precision)
        result["packed"] = 1e6 * seconds / tokens
    return result


def ratio(repetitions: list[dict[str, float]], one: str, other: str) -> str:
    """Median and range of a ratio over the repetitions."""
    ratios = [measured[one] / measured[other] for measured in repetitions]
    return f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="sst2")
    parser.add_argument("--examples", type=int, default=1000, help="training rows")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    options = parser.parse_args()
    quiet()
    torch.set_num_threads(1)
    precision = "bf16" if has_bf16() else "fp32"
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in options.variants}
    with tempfile.TemporaryDirectory(prefix="transferlab-steps-") as scratch:
        rows = f"{scratch}/rows"
        run("benchmarks.rows", [options.task, rows, str(options.examples), "40"], Path(scratch) / "caches")
        for number in range(options.repetitions):
            for name in options.variants:
                job = Job(name, rows, f"{scratch}/{number}", seed=number, precision=precision, **VARIANTS[name])
                measured[name].append(repeat(job))
    lines = []
    for name, repetitions in measured.items():
        median = {key: statistics.median(one[key] for one in repetitions) for key in repetitions[0]}
        packed = ratio(repetitions, "packed", "padded") if "packed" in median else "–"
        lines.append([name, f"{median['fit']:.1f}", f"{median['bare']:.1f}", ratio(repetitions, "fit", "bare"), packed])
    headings = ("Steps of", "fit, ms", "bare loop, ms", "fit / bare", "packed / bucketed, per token")
    print(markdown(headings, lines))


if __name__ == "__main__":
    main()
