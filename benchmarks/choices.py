"""Why shipped settings are what they are: the same experiment under several of them.

    python -m benchmarks.choices unfreezing --task sst2 mrpc --seeds 3

Every arm is the real ``transferlab fit`` with an experiment and a few keys; seeds are the outer loop. Prints, for each
arm, the primary metric of the best checkpoint on the validation and on the test rows, mean and standard deviation over
the seeds, how many runs failed, and the mean difference to the first arm with its 95 % interval, seeds paired. A run
failed if its test accuracy is not above the share of the most frequent class there, as Mosbach et al. 2021 count
(https://arxiv.org/abs/2006.04884). Runs are kept in ``--output``, and one that is finished is not run again.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import resource
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from statistics import mean, stdev
from typing import Any, NamedTuple

from scipy.stats import t as student

from benchmarks.table import markdown
from transferlab.ground.quiet import quiet
from transferlab.record import folder as run_folder
from transferlab.record import predictions

Keys = dict[str, Any]


class Choice(NamedTuple):
    """Settings to be compared.

    Attributes:
        strategy: A file of ``configs/strategy``.
        common: Keys of all arms.
        arms: Keys of each arm; the first is what the others are compared with.
    """

    strategy: str
    common: Keys
    arms: dict[str, Keys]


def rates(*values: float, key: str = "model.optimizer.lr") -> dict[str, Keys]:
    """An arm for each learning rate."""
    return {f"{value:g}": {key: value} for value in values}


CHOICES: dict[str, Choice] = {
    "unfreezing": Choice(
        "gradual_unfreezing",
        {"early_stopping.patience": 100},
        {
            "one schedule": {"model.unfreeze_schedule": None},
            "a schedule a stage": {"model.unfreeze_schedule": "stage"},
            "a schedule a layer": {"model.unfreeze_schedule": "layer"},
            "all layers at once": {"model.unfreeze_every": None},
        },
    ),
    "windows": Choice(
        "feature_extraction",
        # a batch counts documents, and a long one has ten windows
        {
            "data.truncation": "windows",
            "data.max_length": 128,
            "data.batch_size": 8,
            "data.eval_batch_size": 8,
            "model.solver": None,
            "model.head.kind": "mlp",
            "model.head.unit": None,
            "trainer.max_epochs": 20,
        },
        {"full, counted alike": {"data.windows": "full"}, "even, by tokens": {"data.windows": "even"}},
    ),
    "prompt": Choice("prompt_tuning", {}, rates(5e-3, 2e-2, 5e-2, 1e-1, 3e-1)),
    "ia3": Choice("ia3", {}, rates(5e-3, 1e-2, 2e-2, 5e-2)),
    "bitfit": Choice("bitfit", {}, rates(1e-3, 3e-3, 1e-2)),
    "norms": Choice("norm_tuning", {}, rates(1e-3, 3e-3, 1e-2)),
    "stopping": Choice(
        "full_finetuning",
        {"trainer.max_epochs": 10},
        {
            "patience 3": {"early_stopping.patience": 3},
            "off": {"early_stopping.patience": 100},
        },
    ),
    "copies": Choice(
        "full_finetuning",
        {"early_stopping.patience": 100, "trainer.max_steps": 200, "trainer.max_epochs": -1},
        {
            "none": {},
            "swap and delete": {"data.augment.copies": 2},
            "masked words": {"data.augment.copies": 2, "data.augment.methods": ["dropout"]},
            "AEDA": {"data.augment.copies": 2, "data.augment.methods": ["marks"]},
            "EDA": {"data.augment.copies": 2, "data.augment.methods": ["synonyms", "insert", "swap", "delete"]},
            "mixup": {"model.steady.mixup": 0.4},
        },
    ),
    "inner": Choice(
        "distillation",
        {"early_stopping.patience": 100},
        {
            "labels": {"model.alpha": 1.0},
            "logits": {},
            "logits, beta": {"model.beta": 1.0},
            "hidden states": {"model.inner.hidden": 1.0},
            "cosine": {"model.inner.hidden": 1.0, "model.inner.form": "cosine"},
            "CKA": {"model.inner.hidden": 1.0, "model.inner.form": "cka"},
            "attention": {"model.inner.attention": 1.0},
            "relations": {"model.inner.relations": 1.0},
            "patient": {"model.inner.patient": 1.0},
            "layers of the teacher": {"model.from_teacher": True},
        },
    ),
    "steady": Choice(
        "full_finetuning",
        {"early_stopping.patience": 100, "trainer.max_epochs": 10},
        {
            "none": {},
            "label smoothing": {"model.steady.label_smoothing": 0.1},
            "R-Drop": {"model.steady.r_drop": 1.0},
            "FGM": {"model.steady.fgm": 0.5},
            "FreeLB": {"model.steady.freelb": 0.3},
            "mixout": {"model.steady.mixout": 0.5},
            "L2-SP": {"model.steady.l2_sp": 0.01},
            "NoisyTune": {"model.steady.noise": 0.15},
            "fresh top layer": {"model.steady.reinit_layers": 1},
            "layer decay": {"model.layer_decay": 0.9},
            "EMA": {"model.steady.ema": 0.99},
            "SWA": {"model.steady.swa": 0.5},
            "mixup": {"model.steady.mixup": 0.4},
            "twice as long": {"trainer.max_epochs": 20},
        },
    ),
}


def run(task: str, choice: Choice, arm: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Trains an arm and returns its summary with whether it `failed`, or reads that of a finished run."""
    folder, command = cell(task, choice, arm, seed, options)
    summary = run_folder.read_summary(folder)
    note = folder.parent / f"{seed}.json"
    if summary.get("status") != "finished":
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(command), encoding="utf-8")
        # forked, so that what is imported once serves all, and no run leaves anything behind in memory
        child = multiprocessing.get_context("fork").Process(target=fit, args=(command, folder))
        child.start()
        child.join()
        if child.exitcode:
            raise SystemExit(child.exitcode)
        summary = run_folder.read_summary(folder)
    elif note.is_file() and json.loads(note.read_text(encoding="utf-8")) != command:
        raise SystemExit(f"error: {folder} was run with other keys, see {note}. Give another --output, or remove it.")
    return summary | {"failed": failed(folder, summary)}


def cell(task: str, choice: Choice, arm: str, seed: int, options: argparse.Namespace) -> tuple[Path, list[str]]:
    """The run directory of an arm and a seed, and the command that fills it."""
    name = f"{options.strategy or choice.strategy}_{task}"
    folder = options.output / f"{options.choice}_{name}_{options.examples}" / arm.replace(" ", "_") / str(seed)
    common = {
        "trainer.logger": False,
        "run.keep_last": False,
        "data.train_examples": options.examples,
        "data.test_examples": options.test,
    }
    keys = {**common, "data.holdout": options.holdout, **choice.common}
    # what sets an arm apart comes last, so that no key of all arms undoes it
    last = [*options.key, *written(choice.arms[arm])]
    return folder, ["fit", "--experiment", name, f"--seed_everything={seed}", *written(keys), *last]


def written(keys: Keys) -> list[str]:
    """Keys as arguments of the command line."""
    return [
        f"--{key}={json.dumps(value) if value is None or isinstance(value, bool | list) else value}"
        for key, value in keys.items()
    ]


def fit(command: list[str], folder: Path) -> None:
    """Trains, in silence unless it fails."""
    from transferlab.cli.train import TransferCLI

    os.environ[run_folder.VARIABLE] = str(folder.absolute())
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            TransferCLI(command)
        except BaseException:
            sys.stderr.write(output.getvalue())
            raise


def failed(folder: Path, summary: dict[str, Any]) -> float:
    """Whether a run is no better than always giving the most frequent class of the test set; NaN without accuracy."""
    accuracy = summary["metrics"].get("test/accuracy")
    if accuracy is None:
        return float("nan")
    # metrics are in float32
    lines = predictions.read(predictions.place(folder, "test"))
    counts = Counter(str(line["label"]) for line in lines)
    return float(accuracy <= max(counts.values()) / len(lines) + 1e-6)


def row(arm: str, values: list[dict[str, float]], first: list[dict[str, float]]) -> list[str]:
    """A line of the table."""
    cells = [arm]
    for part in ("val", "test"):
        mine = [100 * one[part] for one in values]
        cells.append(f"{mean(mine):.1f} ± {stdev(mine):.1f}" if len(mine) > 1 else f"{mine[0]:.1f}")
    lost = sum(one["failed"] for one in values)
    cells.append("–" if lost != lost else f"{lost:.0f} of {len(values)}")
    gains = [100 * (one["test"] - other["test"]) for one, other in zip(values, first, strict=True)]
    if values is first or len(gains) < 2:
        return [*cells, "–"]
    half = float(student.ppf(0.975, len(gains) - 1)) * stdev(gains) / len(gains) ** 0.5
    return [*cells, f"{mean(gains):+.1f} ({mean(gains) - half:+.1f} to {mean(gains) + half:+.1f})"]


def main() -> None:
    """Runs the arms of a choice and prints a table for each task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("choice", choices=list(CHOICES))
    parser.add_argument("--task", nargs="+", default=["sst2", "mrpc"])
    parser.add_argument("--strategy", help="another file of configs/strategy than the one of the choice")
    parser.add_argument("--arm", nargs="+", help="some of the arms")
    parser.add_argument("--examples", type=int, default=1000, help="training rows")
    parser.add_argument("--holdout", type=float, default=0.1, help="part of the training rows that selects checkpoints")
    parser.add_argument("--test", type=int, help="test rows; all where left out")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--key", nargs="*", default=[], help="further keys of all arms, as --key=value")
    parser.add_argument("--output", type=Path, default=Path("runs/choices"))
    options, rest = parser.parse_known_args()
    options.key += rest
    quiet()
    import_module("transferlab.cli.train")
    choice = CHOICES[options.choice]
    arms = options.arm or list(choice.arms)
    for task in options.task:
        found: dict[str, list[dict[str, float]]] = {arm: [] for arm in arms}
        for seed in range(options.seeds):
            for arm in arms:
                began = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
                summary = run(task, choice, arm, seed, options)
                metrics, primary = summary["metrics"], summary["primary"]
                values = {part: metrics[f"{part}/{primary}"] for part in ("val", "test")}
                found[arm].append(values | {"failed": summary["failed"]})
                seconds, score = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - began, found[arm][-1]["test"]
                print(f"{task}, seed {seed}, {arm}: {score:.4f}, {seconds:.0f} CPU s", file=sys.stderr, flush=True)
        lines = [row(arm, found[arm], found[arms[0]]) for arm in arms]
        print(f"\n{task}, {primary}, {options.examples} training rows, {options.seeds} seeds\n")
        print(markdown(["Arm", "Validation", "Test", "Failed", "Against the first (95 %)"], lines))


if __name__ == "__main__":
    main()
