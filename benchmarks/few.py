"""Few labels: contrastive tuning against heads on frozen vectors, full fine-tuning, LoRA, TF-IDF and the real setfit.

    python -m benchmarks.few --task sst2 --per-class 8 16 --draws 5 --setfit /path/to/python-with-setfit

All methods of a draw read the same training and test texts in float32 on one thread, no method sees another label, and
none chooses anything on a validation set (TF-IDF its penalty, on 0.3 % of the training examples). Prints the mean score
over the draws, the mean difference to contrastive tuning with its 95 % interval, draws paired, and the CPU seconds of
training; for heads on frozen vectors those behind the vectors. setfit wants a Python of its own with that package; it
runs with its defaults (one epoch over all pairs, oversampled, batches of 16, rate 2e-5): ``benchmarks/setfit_peer.py``.
"""

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.cli import OptimizerCallable
from scipy.stats import t as student

from benchmarks.frozen import Answers, answers_of
from benchmarks.table import markdown
from transferlab.adapters import LoRA
from transferlab.baselines.methods import TfIdf
from transferlab.baselines.rows import read_parts
from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import locate
from transferlab.ground.quiet import quiet
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.optim import Schedule
from transferlab.strategies import Contrastive, FeatureExtraction, FullFineTuning, ParameterEfficient, Strategy
from transferlab.tasks import TaskDataModule

Method = Callable[[TaskDataModule, EncoderConfig, int], Answers]
OURS = "contrastive"
STEPS = 30
"""Steps of 16 sentences that full fine-tuning and LoRA take, rounded up to whole epochs."""
UNIT = HeadConfig(unit=True, dropout=0.0)


def adamw(rate: float) -> OptimizerCallable:
    """AdamW of the shipped strategies at a rate."""
    return partial(torch.optim.AdamW, lr=rate, weight_decay=0.01)


def trained(model: Strategy, data: TaskDataModule, epochs: int, seed: int) -> Answers:
    """Trains a model without selecting anything, and lets it answer the test rows."""
    torch.manual_seed(seed)
    started = time.process_time()
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        # a single batch, before which a head is solved
        limit_val_batches=1,
        check_val_every_n_epoch=epochs,
        max_epochs=epochs,
        gradient_clip_val=1.0,
    )
    trainer.fit(model, data)
    seconds = time.process_time() - started
    return answers_of(model, data, lambda: seconds)


def epochs_of(data: TaskDataModule) -> int:
    """Epochs of at least `STEPS` steps."""
    return -(-STEPS // -(-len(data.part_rows("train")[1]) // data.batch_size))


def contrastive(data: TaskDataModule, encoder: EncoderConfig, seed: int) -> Answers:
    """The shipped strategy."""
    model = Contrastive(data.spec, encoder, UNIT, adamw(1e-4), Schedule("constant"))
    return trained(model, data, 5, seed)


def full(data: TaskDataModule, encoder: EncoderConfig, seed: int) -> Answers:
    """Full fine-tuning at the rates of the shipped strategy."""
    torch.manual_seed(seed)
    model = FullFineTuning(data.spec, encoder, HeadConfig(lr=1e-3), adamw(1e-4), Schedule(warmup=0.1))
    return trained(model, data, epochs_of(data), seed)


def lora(data: TaskDataModule, encoder: EncoderConfig, seed: int) -> Answers:
    """LoRA at the rates of the shipped strategy."""
    torch.manual_seed(seed)
    method = LoRA(r=8, alpha=16, targets=("all",))
    model = ParameterEfficient(data.spec, encoder, method, HeadConfig(lr=1e-3), adamw(1e-3), Schedule(warmup=0.06))
    return trained(model, data, epochs_of(data), seed)


def frozen(data: TaskDataModule, encoder: EncoderConfig, seed: int, **options: Any) -> Answers:
    """A head on the frozen vectors, with nothing left to choose."""
    model = FeatureExtraction(data.spec, encoder, UNIT, **options)
    model.wrap_data(data, Work(CacheConfig(precision="32")))
    return trained(model, data, 1, seed)


def tfidf(data: TaskDataModule, encoder: EncoderConfig, seed: int) -> Answers:
    """TF-IDF with logistic regression."""
    parts = read_parts(data)
    method = TfIdf(data.spec, seed)
    started = time.process_time()
    method.fit(parts.train, parts.validation)
    seconds = time.process_time() - started
    return Answers(method.predict(parts.tests[0]).argmax(-1), parts.tests[0].labels, seconds)


def setfit(data: TaskDataModule, encoder: EncoderConfig, seed: int, python: Path) -> Answers:
    """The real package, in a process of its own."""
    parts = read_parts(data)
    train, test = parts.train, parts.tests[0]
    asked = {
        "encoder": str(locate(encoder.name, encoder.revision).target),
        "seed": seed,
        "max_length": data.settings.max_length,
        "train": train.columns[0],
        "labels": train.labels.tolist(),
        "test": test.columns[0],
    }
    script = Path(__file__).with_name("setfit_peer.py")
    done = subprocess.run(
        [str(python), str(script)], input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    found = json.loads(done.stdout.splitlines()[-1])
    return Answers(np.asarray(found["answers"]), test.labels, found["seconds"])


METHODS: dict[str, Method] = {
    OURS: contrastive,
    "logistic head, C=1": partial(frozen, solver="lbfgs", strength=1.0),
    "nearest mean": partial(frozen, solver="nearest_mean", strength=1.0),
    "kNN, k=5": partial(frozen, solver="knn", neighbours=5),
    "full fine-tuning": full,
    "LoRA": lora,
    "TF-IDF": tfidf,
}


def row(name: str, found: list[tuple[float, float]], ours: list[tuple[float, float]]) -> list[str]:
    """A line of the table."""
    scores = [score for score, _ in found]
    spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
    cells = [name, f"{mean(scores):.1f}{spread}", f"{mean(seconds for _, seconds in found):.1f}"]
    gains = [one[0] - other[0] for one, other in zip(found, ours, strict=False)]
    if name == OURS or len(gains) < 2:
        return [*cells, "–"]
    half = float(student.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5
    return [*cells, f"{mean(gains):+.1f} ({mean(gains) - half:+.1f} to {mean(gains) + half:+.1f})"]


def main() -> None:
    """Runs ``python -m benchmarks.few``."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["sst2"])
    parser.add_argument("--per-class", nargs="+", type=int, default=[8, 16, 32, 64])
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--test", type=int, default=400)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--encoder", default=EncoderConfig().name)
    parser.add_argument("--setfit", type=Path, help="a Python that has the package setfit; left out: without it")
    parser.add_argument("--setfit-draws", type=int, help="draws of setfit, which is slow [all]")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    encoder = EncoderConfig(asked.encoder)
    methods = {name: METHODS[name] for name in asked.methods}
    if asked.setfit:
        methods["setfit"] = partial(setfit, python=asked.setfit)
    for task in asked.task:
        for size in asked.per_class:
            found: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
            for seed in range(asked.draws):
                for name, method in methods.items():
                    if name == "setfit" and seed >= (asked.setfit_draws or asked.draws):
                        continue
                    options: Any = {"sampling": "balanced"} if name == OURS else {}
                    if name in ("full fine-tuning", "LoRA"):
                        options["batch_size"] = 16
                    data = TaskDataModule(
                        task, encoder, per_class=size, test_examples=asked.test, holdout=0.003, seed=seed, **options
                    )
                    answers = method(data, encoder, seed)
                    found[name].append((answers.score(data.spec.primary), answers.seconds))
                    print(f"{task}, {size}, draw {seed}, {name}: {found[name][-1]}", flush=True)
            lines = [row(name, values, found[asked.methods[0]]) for name, values in found.items() if values]
            print(
                f"\n{task}, {data.spec.primary}, {size} labels a class, {asked.draws} draws, {asked.test} test rows\n"
            )
            print(markdown(["Method", "Score", "CPU s", f"Minus {asked.methods[0]} (95 %)"], lines), flush=True)


if __name__ == "__main__":
    main()
