"""The rows of the targets table: what is compared with what, at which settings, and how much faster it is to be."""

from dataclasses import dataclass, field
from typing import Any

OURS, PEERS = "benchmarks.ours", "benchmarks.peers"


@dataclass(frozen=True)
class Work:
    """One comparison.

    Attributes:
        title: What is done.
        against: What a user would pick instead.
        ours: Our variant.
        peer: The other one.
        least: Ratio of CPU time (peer / ours) that the project holds itself to.
        aim: Ratio that it aims at.
        task: Name in `transferlab.tasks.table`.
        share: Part of the training rows, for works of many epochs.
        peer_module: Which script runs the other one.
        peer_precision: Precision of the other one; ours takes bf16 where the processor has it.
        needs_teacher: Whether a fine-tuned model is needed first.
        settings: Fields of `benchmarks.measure.Job`, equal on both sides.
    """

    title: str
    against: str
    ours: str
    peer: str
    least: float
    aim: float
    task: str = "sst2"
    share: float = 1.0
    peer_module: str = PEERS
    peer_precision: str = "fp32"
    needs_teacher: bool = False
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Something that is to answer at once.

    Attributes:
        title: What is started.
        against: What counts.
        least: Seconds of wall time that the project holds itself to.
        aim: Seconds that it aims at.
        command: The command line, with ``{python}`` for the interpreter and ``{runs}`` for a folder of runs; empty for
            the second start on the same data.
    """

    title: str
    against: str
    least: float
    aim: float
    command: tuple[str, ...] = ()


FULL: dict[str, Any] = {"epochs": 1, "lr": 1e-4, "head_lr": 1e-3}
FROZEN: dict[str, Any] = {"lr": 5e-3, "head_lr": 5e-3}
STUDENT: dict[str, Any] = {"lr": 3e-4, "head_lr": 1e-3, "keep_layers": (2, 5)}
MAKE = ("make", "--silent", "--assume-old=.venv/.installed", "PY={python}")

WORKS: dict[str, Work | Start] = {
    "full_default": Work(
        "full fine-tuning SST-2",
        "HF Trainer as run_glue.py uses it (pads to 128, fp32)",
        *("full", "full_padded", 10, 16),
        settings=FULL,
    ),
    "full_best": Work(
        "full fine-tuning SST-2",
        "HF Trainer at its best (group_by_length, bf16)",
        *("full", "full_grouped", 1.0, 1.2),
        peer_precision="bf16",
        settings=FULL,
    ),
    "ner": Work(
        "NER CoNLL-2003, batch 8",
        "HF Trainer, dynamic padding",
        *("full", "full", 1.5, 2),
        task="conll2003",
        settings={"epochs": 2, "lr": 2e-4, "batch_size": 8, "max_length": 256},
    ),
    "frozen_3": Work(
        "frozen features, 3 epochs",
        "HF Trainer, frozen base, dynamic padding",
        *("frozen", "frozen", 12, 20),
        settings={"epochs": 3, **FROZEN},
    ),
    "frozen_10": Work(
        "frozen features, 10 epochs",
        "HF Trainer, frozen base, dynamic padding",
        *("frozen", "frozen", 35, 56),
        share=0.5,
        settings={"epochs": 10, **FROZEN},
    ),
    "top_layer": Work(
        "top-1-layer tuning, 3 epochs",
        "the same, bucketed, without the cache",
        *("top_layer", "top_layer_uncached", 2.5, 3.5),
        peer_module=OURS,
        peer_precision="bf16",
        settings={"epochs": 3, "lr": 3e-4},
    ),
    "lora": Work(
        "LoRA, 2 epochs",
        "HF Trainer + peft, dynamic padding",
        *("lora", "lora", 2.5, 4),
        settings={"epochs": 2, "lr": 1e-3},
    ),
    "distillation_3": Work(
        "distillation, 3 epochs",
        "teacher in every step, dynamic padding",
        *("distillation", "distillation", 3, 5),
        needs_teacher=True,
        settings={"epochs": 3, **STUDENT},
    ),
    "distillation_10": Work(
        "distillation, 10 epochs",
        "teacher in every step, dynamic padding",
        *("distillation", "distillation", 4, 6),
        share=0.5,
        needs_teacher=True,
        settings={"epochs": 10, **STUDENT},
    ),
    "predict": Work(
        "batch prediction",
        "transformers.pipeline(batch_size=32)",
        *("predict", "predict", 2.5, 4),
        needs_teacher=True,
    ),
    "second_start": Start("second start on the same data", "to tokenised rows", 0.1, 0.01),
    "help": Start("transferlab --help", "no torch import", 0.3, 0.3, ("{python}", "-m", "transferlab", "--help")),
    "make_help": Start("make help", "no torch import", 0.3, 0.3, (*MAKE, "help")),
    "make_list": Start("make list", "no torch import", 0.3, 0.3, (*MAKE, "list")),
    "make_compare": Start("make compare, 50 runs", "no torch import", 0.3, 0.3, (*MAKE, "compare", "ARGS={runs}")),
}
