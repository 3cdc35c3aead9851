"""What frozen features are worth, beside a plain script on the same rows.

    python -m benchmarks.frozen --task sst2 mrpc stsb rte --examples 1000 --seeds 1

The plain script is what one would type instead: the vectors of sentence-transformers, for pairs ``u, v, |u - v|, u *
v``, and scikit-learn's LogisticRegressionCV or RidgeCV with their own search over the penalty. It and every arm get
the same training rows; the arms choose on the validation rows, the script by cross-validation. Vectors are computed
once and cached; that they are those of sentence-transformers is checked on some texts first. Prints the primary
metric on the test rows for every arm, the difference of `feature_extraction` to the script with its 95 % interval
(bootstrap over test rows), and the CPU seconds of everything behind the vectors.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from benchmarks.table import markdown
from transferlab.encoders import EncoderConfig
from transferlab.ground.quiet import quiet
from transferlab.learning.heads import HeadConfig
from transferlab.strategies import FeatureExtraction, Strategy
from transferlab.tasks import TaskDataModule

Array = np.ndarray[Any, Any]
DRAWS = 1000
"""Resamplings of the test rows for an interval."""


class Arm(NamedTuple):
    """One way of feature extraction.

    Attributes:
        pairs: How two texts are encoded.
        layers: What the head reads.
        options: Arguments of the strategy.
        epochs: Of the Trainer.
    """

    pairs: str
    layers: str
    options: dict[str, Any]
    epochs: int


ARMS = {
    "stepped": Arm("joint", "last", {"head": HeadConfig("mlp")}, 20),
    "solved": Arm("apart", "last", {"head": HeadConfig(unit=True), "solver": "lbfgs"}, 1),
    "solved, best layer": Arm("apart", "mix", {"head": HeadConfig(unit=True), "solver": "lbfgs"}, 1),
}
OURS = "solved"


class Answers(NamedTuple):
    """Answers to the test rows.

    Attributes:
        found: Class numbers or numbers ``[rows]``.
        gold: The right ones.
        seconds: CPU time from vectors to answers.
    """

    found: Array
    gold: Array
    seconds: float

    def score(self, metric: str, rows: Any = slice(None)) -> float:
        """The metric on some of the rows, times 100."""
        found, gold = self.found[rows], self.gold[rows]
        if metric == "pearson":
            return 100 * float(np.corrcoef(found, gold)[0, 1])
        if metric == "f1":
            hits = ((found == 1) & (gold == 1)).sum()
            return 200 * float(hits) / max(float((found == 1).sum() + (gold == 1).sum()), 1.0)
        return 100 * float((found == gold).mean())


class Rows(NamedTuple):
    """Which rows of a task.

    Attributes:
        task: Its name.
        examples: That train.
        seed: That draws them.
        tested: That are tested on; None: all.
    """

    task: str
    examples: int
    seed: int
    tested: int | None


def module_of(rows: Rows, arm: Arm, encoder: EncoderConfig) -> TaskDataModule:
    """The rows of a task, as an arm reads them."""
    pairs: Any = arm.pairs
    return TaskDataModule(
        rows.task, encoder, train_examples=rows.examples, seed=rows.seed, pairs=pairs, test_examples=rows.tested
    )


def answers_of(model: Strategy, data: TaskDataModule, seconds: Callable[[], float]) -> Answers:
    """What a fitted model answers to the test rows, in the order of the rows."""
    model.eval()
    found, rows, gold = [], [], []
    with torch.inference_mode():
        for batch in data.test_dataloader()[0]:
            logits = model(batch)
            assert batch.labels is not None
            found.append(logits if logits.ndim == 1 else logits.argmax(-1))
            rows.append(batch.index)
            gold.append(batch.labels)
    order = torch.cat(rows).argsort()
    return Answers(torch.cat(found)[order].numpy(), torch.cat(gold)[order].numpy(), seconds())


def run(rows: Rows, arm: Arm, encoder: EncoderConfig) -> tuple[Answers, str]:
    """Fits an arm, and answers with the checkpoint that is best on the validation set."""
    layers: Any = arm.layers
    encoder = replace(encoder, layers=layers)
    data = module_of(rows, arm, encoder)
    torch.manual_seed(rows.seed)
    model = FeatureExtraction(data.spec, encoder, **arm.options)
    model.wrap_data(data)
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        best = ModelCheckpoint(folder, monitor="val/primary", mode="max")
        trainer = L.Trainer(
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            max_epochs=arm.epochs,
            callbacks=[best],
            gradient_clip_val=1.0,
        )
        trainer.fit(model, data)
        state = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    model.load_state_dict(state, strict=False)
    said = "; ".join(model.findings().values())
    return answers_of(model, data, lambda: time.process_time() - started), said


def vectors_of(data: TaskDataModule, split: str, rows: Array) -> list[Array]:
    """The unit vectors of each text of some rows, from the cache, as sentence-transformers normalises them."""
    values: Any = data.attached["features"][split]
    found = torch.nn.functional.normalize(values.take(rows), dim=-1).double().numpy()
    return [found] if found.ndim == 2 else [found[:, 0], found[:, 1]]


def check(data: TaskDataModule, texts: int) -> float:
    """The largest difference of a number between our vectors and those of sentence-transformers.

    Args:
        data: With features.
        texts: Test rows that are compared.
    """
    from sentence_transformers import SentenceTransformer

    from transferlab.encoders.loading import locate

    split = data.source.test[0]
    rows = data.test_rows(split)[:texts]
    place = locate(data.encoder.name, data.encoder.revision)
    model = SentenceTransformer(str(place.target), device="cpu")
    worst = 0.0
    for name, ours in zip(data.source.text, vectors_of(data, split, rows), strict=True):
        theirs = model.encode(
            [data.rows(split).rows[name][int(row)] for row in rows], normalize_embeddings=True, show_progress_bar=False
        )
        worst = max(worst, float(np.abs(theirs - ours).max()))
    return worst


def plain(data: TaskDataModule) -> Answers:
    """The plain script."""
    from sklearn.linear_model import LogisticRegressionCV, RidgeCV

    started = time.process_time()

    def inputs(split: str, rows: Array) -> tuple[Array, Array]:
        parts = vectors_of(data, split, rows)
        if len(parts) == 2:
            u, v = parts
            parts = [u, v, np.abs(u - v), u * v]
        labels: Any = data.encoded(split).labels
        return np.concatenate(parts, 1), np.asarray(labels[rows])

    test = data.source.test[0]
    (x, y), (asked, gold) = inputs(*data.part_rows("train")), inputs(test, data.test_rows(test))
    if data.source.kind == "regression":
        model: Any = RidgeCV(np.logspace(-3, 3, 13))
    else:
        # said, since the default changes
        model = LogisticRegressionCV(Cs=10, cv=5, max_iter=1000, scoring="accuracy")
    found = model.fit(x, y).predict(asked)
    return Answers(np.asarray(found), gold, time.process_time() - started)


def interval(one: Answers, other: Answers, metric: str) -> tuple[float, float, float]:
    """The difference of two scores, and its 95 % interval over resampled test rows."""
    generator, count = np.random.default_rng(0), len(one.gold)
    draws = [generator.integers(count, size=count) for _ in range(DRAWS)]
    low, high = np.percentile([one.score(metric, rows) - other.score(metric, rows) for rows in draws], [2.5, 97.5])
    return one.score(metric) - other.score(metric), float(low), float(high)


def main() -> None:
    """Runs ``python -m benchmarks.frozen``."""
    quiet()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", nargs="+", default=["sst2", "mrpc", "stsb", "rte"])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--encoder", default=EncoderConfig().name)
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--test", type=int, help="test rows, the same for every seed [all]")
    parser.add_argument("--check", type=int, default=64, help="texts whose vectors are compared; 0: none")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    encoder = EncoderConfig(asked.encoder)
    rows = []
    for task in asked.task:
        for seed in range(asked.seeds):
            these = Rows(task, asked.examples, seed, asked.test)
            base = module_of(these, ARMS[OURS], encoder)
            FeatureExtraction(base.spec, encoder, HeadConfig(), solver="lbfgs").wrap_data(base)
            if asked.check and not seed:
                print(f"{task}: largest difference to sentence-transformers {check(base, asked.check):.1e}", flush=True)
            metric, script = base.spec.primary, plain(base)
            found = {}
            for name in asked.arms:
                found[name], said = run(these, ARMS[name], encoder)
                print(f"{task}, seed {seed}, {name}: {found[name].score(metric):.1f} ({said})", flush=True)
            cells = [f"{found[name].score(metric):.1f} ({found[name].seconds:.1f} s)" for name in asked.arms]
            difference = "–"
            if OURS in found:
                value, low, high = interval(found[OURS], script, metric)
                difference = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
            told = f"{script.score(metric):.1f} ({script.seconds:.1f} s)"
            rows.append([f"{task}, {metric}", str(seed), told, *cells, difference])
            print(f"{task}, seed {seed}, plain script: {script.score(metric):.1f}", flush=True)
    print(markdown(["task", "seed", "plain script", *asked.arms, f"{OURS} - script"], rows))


if __name__ == "__main__":
    main()
