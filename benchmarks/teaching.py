r"""What a teacher gives its student, and when: arms with the same number of texts a step.

    transferlab sweep sst2_labels_small
    python -m benchmarks.teaching --seeds 3 \
        --teacher runs/full_finetuning_sst2/sst2_labels_small-minilm_l6-n1000-s{seed}

Teachers are finished runs, one a seed. Each arm trains a BiLSTM from scratch on the labelled examples of the teacher,
for so many steps of so many texts; in arms with unlabelled texts half of them are unlabelled. Unlabelled texts and the
examples that are judged are others of the training split, and no two of the three parts share a sentence. Nothing is
selected: the score is that after the last step. The test set is not looked at. Prints mean and standard deviation over
seeds, and the mean difference to the control with its 95 % interval, seeds paired. What was run before is read from
``--output``.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from scipy.stats import t as student

from benchmarks.few import adamw
from benchmarks.table import markdown
from transferlab.encoders import EncoderConfig
from transferlab.ground.quiet import quiet
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.inner import Inner
from transferlab.learning.optim import Schedule
from transferlab.strategies import Distillation
from transferlab.tasks import TaskDataModule
from transferlab.tasks.augmentation import Augment, Unlabelled


class Arm(NamedTuple):
    """A way to teach.

    Attributes:
        control: The arm that it is compared with.
        alpha: Weight of the labels.
        temperature: T.
        copies: Copies of each labelled example.
        unlabelled: Unlabelled texts; 0: none.
        hidden: Weight of the distance to the teacher's last hidden states.
    """

    control: str = "labels"
    alpha: float = 0.5
    temperature: float = 2.0
    copies: int = 0
    unlabelled: int = 0
    hidden: float | None = None


ARMS = {
    "labels": Arm("", alpha=1.0),
    "teacher": Arm(),
    "T = 1": Arm(temperature=1.0),
    "T = 5": Arm(temperature=5.0),
    "no labels": Arm(alpha=0.0),
    "hidden states": Arm(hidden=1.0),
    "labels, 4 copies": Arm(alpha=1.0, copies=4),
    "teacher, 4 copies": Arm(copies=4),
    "2,000 unlabelled": Arm(unlabelled=2000),
    "10,000 unlabelled": Arm(unlabelled=10000),
    "10,000 unlabelled, no labels": Arm(alpha=0.0, unlabelled=10000),
}
STUDENT = EncoderConfig(architecture="bilstm", lstm_size=64, pooling="max")


class Parts(NamedTuple):
    """Row numbers of the training split.

    Attributes:
        judged: Examples that arms are judged on.
        texts: A file of the texts that may stand without labels, in random order.
    """

    judged: Any
    texts: Path


def parts_of(task: str, seed: int, asked: argparse.Namespace) -> Parts:
    """What is left of the training split where whole sentences stand on one side."""
    data = TaskDataModule(task, STUDENT, holdout=asked.holdout, train_examples=asked.examples, seed=seed)
    groups = data._divided()[1]
    used = np.union1d(data.part_rows("train")[1], data.part_rows("validation")[1])
    number = np.arange(data._count("train")) if groups is None else groups.number
    order = np.random.default_rng(seed).permutation(np.flatnonzero(~np.isin(number, number[used])))
    judged = order[: asked.judged]
    print(f"seed {seed}: {len(used):,} examples of the teacher, {len(order):,} others", flush=True)
    texts = order[~np.isin(number[order], number[judged])][: asked.pool]
    path: Path = asked.output / f"texts_{task}_{seed}.jsonl"
    column = data.source.text[0]
    cells = data.rows("train").rows.select(texts)[column][:]
    path.write_text("".join(json.dumps({column: text}) + "\n" for text in cells), encoding="utf-8")
    return Parts(np.sort(judged), path)


def run(task: str, arm: Arm, seed: int, parts: Parts, asked: argparse.Namespace) -> dict[str, float]:
    """Teaches once; returns accuracy in per cent and CPU seconds of training."""
    batch = asked.batch // 2 if arm.unlabelled else asked.batch
    texts = Unlabelled(str(parts.texts), examples=arm.unlabelled, batch_size=batch) if arm.unlabelled else None
    data = TaskDataModule(
        task,
        STUDENT,
        batch_size=batch,
        holdout=asked.holdout,
        train_examples=asked.examples,
        seed=seed,
        augment=Augment(copies=arm.copies) if arm.copies else None,
        unlabelled=texts,
    )
    data.setup("fit")
    torch.manual_seed(seed)
    model = Distillation(
        data.spec,
        STUDENT,
        "" if arm.alpha == 1 and arm.hidden is None else asked.teacher.replace("{seed}", str(seed)),
        arm.alpha,
        arm.temperature,
        head=HeadConfig(lr=asked.rate),
        optimizer=adamw(asked.rate),
        schedule=Schedule("linear", 0.1),
        inner=Inner(hidden=arm.hidden),
    )
    model.take_unlabelled(data)
    model.wrap_data(data, Work(CacheConfig(precision="32"), epochs=2))
    started = time.process_time()
    options: dict[str, Any] = {"max_epochs": -1, "max_steps": asked.steps, "limit_val_batches": 0}
    trainer = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        **options,
    )
    trainer.fit(model, data)
    seconds = time.process_time() - started
    return {"score": accuracy(model, data, parts.judged), "seconds": seconds}


def accuracy(model: Distillation, data: TaskDataModule, rows: Any) -> float:
    """Per cent of some examples of the training split that are right."""
    model.eval()
    right = 0
    with torch.inference_mode():
        for batch in data.loader("train", rows):
            assert batch.labels is not None
            right += int((model(batch).argmax(-1) == batch.labels).sum())
    return 100 * right / len(rows)


def lines(found: dict[str, list[dict[str, float]]]) -> list[list[str]]:
    """The rows of the table."""
    rows = []
    for name, results in found.items():
        scores = [one["score"] for one in results]
        spread = f" ± {stdev(scores):.1f}" if len(scores) > 1 else ""
        cells = [name, f"{mean(scores):.1f}{spread}", f"{mean(one['seconds'] for one in results):.0f}"]
        control = ARMS[name].control
        gains = [one["score"] - other["score"] for one, other in zip(results, found.get(control, []), strict=False)]
        if len(gains) > 1:
            half = float(student.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5
            low, high = mean(gains) - half, mean(gains) + half
            rows.append([*cells, f"{mean(gains):+.1f} ({low:+.1f} to {high:+.1f}) against {control}"])
        else:
            rows.append([*cells, "–"])
    return rows


def main() -> None:
    """Runs ``python -m benchmarks.teaching``."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--teacher", required=True, help="run directory, {seed} stands for the seed")
    parser.add_argument("--task", default="sst2", help="one of a single text")
    parser.add_argument("--examples", type=int, default=1000, help="labelled examples of the teacher")
    parser.add_argument("--holdout", type=float, default=0.03, help="data.holdout of the teacher")
    parser.add_argument("--judged", type=int, default=2000, help="examples that arms are judged on")
    parser.add_argument(
        "--pool", type=int, default=11000, help="texts without labels; some are left out as copies of examples"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32, help="texts of a step, unlabelled ones included")
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--output", type=Path, default=Path("runs/teaching"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.output.mkdir(parents=True, exist_ok=True)
    known = asked.output / "results.json"
    results: dict[str, dict[str, float]] = json.loads(known.read_text()) if known.is_file() else {}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in asked.arms}
    for seed in range(asked.seeds):
        parts = parts_of(asked.task, seed, asked)
        for name in asked.arms:
            key = f"{asked.task} {asked.examples} {asked.steps} {asked.batch} {asked.rate:g} {name} {seed}"
            if key not in results:
                results[key] = run(asked.task, ARMS[name], seed, parts, asked)
                known.write_text(json.dumps(results, indent=1), encoding="utf-8")
            found[name].append(results[key])
            print(f"seed {seed}, {name}: {results[key]['score']:.1f} ({results[key]['seconds']:.0f} s)", flush=True)
    what = f"{asked.task}, {asked.examples} labelled examples, {asked.steps} steps of {asked.batch} texts"
    print(f"\n{what}, {asked.seeds} seeds\n")
    print(markdown(["Arm", "Accuracy", "CPU s", "Difference (95 %)"], lines(found)))


if __name__ == "__main__":
    main()
