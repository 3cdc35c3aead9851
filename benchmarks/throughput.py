"""Tokens per second of one training run on rows of given lengths: ours, and the HF Trainer at its best."""

import gc
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks.flops import matrix_parameters, training_flops, wait
from benchmarks.generated import Array, GeneratedData, make_split
from benchmarks.measure import Measurement, peak_memory_mb
from transferlab.encoders import EncoderConfig
from transferlab.learning.optim import Schedule
from transferlab.strategies import FullFineTuning

# untyped in transformers
ENCODERS: Any = AutoModel
CLASSIFIERS: Any = AutoModelForSequenceClassification
RATE = 2e-5
"""Learning rate; nothing can be learned, it only has to be harmless."""


class Setting(NamedTuple):
    """What one measurement runs on.

    Attributes:
        device: Where.
        model: Folder with the configuration of the encoder.
        lengths: Tokens of every row ``[rows]``.
        batch: Rows per step, on average as many tokens as `budget`.
        budget: Real tokens per step.
        warmup: Steps before the clock starts.
        steps: Steps on the clock.
        seed: Seed of ids and order.
    """

    device: torch.device
    model: Path
    lengths: Array
    batch: int
    budget: int
    warmup: int
    steps: int
    seed: int


class StepClock:
    """Wall time and rows of the steps behind the warm-up, without making any step wait.

    Args:
        setting: Device and steps.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.seen: list[Any] = []
        self.started = 0.0
        self.seconds = 0.0

    def before(self, step: int) -> None:
        """Called before a step, counted from 0."""
        if step == self.setting.warmup:
            wait(self.setting.device)
            self.started = time.perf_counter()

    def after(self, step: int, rows: Any) -> None:
        """Called after a step with a tensor that says which rows it saw, or how long they were."""
        if step >= self.setting.warmup:
            self.seen.append(rows)
        if step == self.setting.warmup + self.setting.steps - 1:
            wait(self.setting.device)
            self.seconds = time.perf_counter() - self.started

    def rows(self) -> Array:
        """What was given to `after`, in one array."""
        return np.concatenate([part.cpu().numpy() for part in self.seen])


class ClockCallback(Callback):
    """Drives a `StepClock` from the Lightning Trainer."""

    def __init__(self, clock: StepClock) -> None:
        self.clock = clock

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Starts the clock behind the warm-up."""
        self.clock.before(batch_idx)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Notes the rows."""
        self.clock.after(batch_idx, batch.index)


def adamw(parameters: Any) -> torch.optim.Optimizer:
    """Fused AdamW."""
    return torch.optim.AdamW(parameters, lr=RATE, weight_decay=0.01, fused=True)


def packing(budget: int) -> dict[str, Any]:
    """Arguments of the data module that pack rows into a fixed number of tokens."""
    # no row is shorter than four tokens
    return {"packed": True, "max_tokens": budget, "batch_size": budget // 4}


def ours(setting: Setting, packed: bool = False, compiled: bool = False) -> tuple[StepClock, Array]:
    """Trains by our strategy; returns the clock and the lengths of the rows that it saw."""
    vocabulary = json.loads((setting.model / "config.json").read_text(encoding="utf-8"))["vocab_size"]
    # the kernel for packed rows knows no dropout on attention weights; all other dropout stays
    encoder = EncoderConfig(str(setting.model), architecture="random", attention_dropout=0.0 if packed else None)
    split = make_split(setting.lengths, vocabulary, setting.seed)
    options = packing(setting.budget) if packed else {"batch_size": setting.batch}
    data = GeneratedData(encoder, split, seed=setting.seed, **options)
    model = FullFineTuning(data.spec, encoder, optimizer=adamw, schedule=Schedule())
    if compiled:
        model.encoder.backbone.compile(mode="reduce-overhead" if packed else None, dynamic=not packed)
    clock = StepClock(setting)
    with tempfile.TemporaryDirectory() as folder:
        trainer = L.Trainer(
            accelerator="gpu" if setting.device.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed",
            max_steps=setting.warmup + setting.steps,
            gradient_clip_val=1.0,
            log_every_n_steps=20,
            limit_val_batches=0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[ClockCallback(clock)],
            default_root_dir=folder,
        )
        trainer.fit(model, data)
    return clock, setting.lengths[clock.rows()]


class CountingTrainer(Trainer):
    """Notes the lengths of the rows of each step."""

    clock: StepClock
    lengths: Any = None

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """A step; there is no accumulation, so the step's number is that of the optimizer."""
        self.clock.before(self.state.global_step)
        self.lengths = inputs["attention_mask"].sum(1)
        return super().training_step(model, inputs, num_items_in_batch)


class CountingCallback(TrainerCallback):
    """Drives a `StepClock` from the HF Trainer."""

    trainer: CountingTrainer

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Notes the rows; the optimizer has done this step."""
        self.trainer.clock.after(state.global_step - 1, self.trainer.lengths)


def peer(setting: Setting) -> tuple[StepClock, Array]:
    """Trains by the HF Trainer at its best: rows grouped by length, bf16, fused AdamW, loader processes on a GPU."""
    config = AutoConfig.from_pretrained(setting.model)
    split = make_split(setting.lengths, config.vocab_size, setting.seed)
    labels: Any = split.labels
    rows: Any = [{"input_ids": split.ids.row(number), "labels": int(labels[number])} for number in range(len(split))]
    callback = CountingCallback()
    with tempfile.TemporaryDirectory() as folder:
        trainer = CountingTrainer(
            model=CLASSIFIERS.from_config(config),
            args=TrainingArguments(
                output_dir=folder,
                max_steps=setting.warmup + setting.steps,
                per_device_train_batch_size=setting.batch,
                learning_rate=RATE,
                warmup_steps=0.1,
                max_grad_norm=1.0,
                bf16=True,
                use_cpu=setting.device.type == "cpu",
                train_sampling_strategy="group_by_length",
                dataloader_num_workers=4 if setting.device.type == "cuda" else 0,
                seed=setting.seed,
                save_strategy="no",
                logging_steps=20,
                report_to="none",
                disable_tqdm=True,
            ),
            train_dataset=rows,
            data_collator=collate,
            callbacks=[callback],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.clock = StepClock(setting)
        callback.trainer = trainer
        trainer.train()
    return trainer.clock, trainer.clock.rows()


def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Pads to the longest row of the batch."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids, mask = (torch.zeros(len(rows), longest, dtype=torch.long) for _ in range(2))
    for number, row in enumerate(rows):
        length = len(row["input_ids"])
        ids[number, :length] = torch.from_numpy(row["input_ids"])
        mask[number, :length] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


VARIANTS: dict[str, Callable[[Setting], tuple[StepClock, Array]]] = {
    "HF Trainer, group_by_length": peer,
    "ours, bucketed": ours,
    "ours, packed, no attention dropout": lambda setting: ours(setting, packed=True),
    "ours, packed, no attention dropout, compiled": lambda setting: ours(setting, packed=True, compiled=True),
}
PEER = next(iter(VARIANTS))


def measure(variant: str, setting: Setting, peak: float) -> Measurement:
    """Runs a variant.

    Args:
        variant: A name in `VARIANTS`.
        setting: What it runs on.
        peak: FLOPs per second that the device can do.

    Returns:
        ``tokens_s``, ``step_ms``, ``mfu`` (0 to 1), ``peak_mem_mb``.
    """
    gc.collect()
    if setting.device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    torch.manual_seed(setting.seed)
    clock, lengths = VARIANTS[variant](setting)
    config = AutoConfig.from_pretrained(setting.model)
    with torch.device("meta"):
        parameters = matrix_parameters(ENCODERS.from_config(config))
    flops = training_flops(lengths, parameters, config.num_hidden_layers, config.hidden_size)
    memory = torch.cuda.max_memory_allocated() / 2**20 if setting.device.type == "cuda" else peak_memory_mb()
    return {
        "tokens_s": round(int(lengths.sum()) / clock.seconds, 1),
        "step_ms": round(1000 * clock.seconds / setting.steps, 3),
        "mfu": round(flops / clock.seconds / peak, 4),
        "peak_mem_mb": round(memory, 1),
    }
