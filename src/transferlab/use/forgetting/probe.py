"""Linear probes on frozen features: what an encoder still knows of a task that it was not tuned for."""

import warnings
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from transferlab.baselines.kinds import KINDS
from transferlab.baselines.rows import evaluate, padded
from transferlab.ground.errors import TransferlabError
from transferlab.ground.lean import import_sklearn
from transferlab.ground.progress import counted
from transferlab.strategies import Strategy
from transferlab.tasks import Batch, TaskDataModule, TaskSpec
from transferlab.tasks.batch import IGNORE

Array = np.ndarray[Any, Any]
STRENGTHS = (0.001, 0.01, 0.1, 1.0)
"""Inverse strengths of the L2 penalty that cross-validation chooses from, for features of unit variance."""
FOLDS = 3


class Draw(NamedTuple):
    """Rows of one probe.

    Attributes:
        train: Rows of the training split to fit on.
        test: Rows of the test split, shared with no other probe.
    """

    train: Array
    test: Array


def draws(train: int, test: int, probes: int, rows: int, test_rows: int, seed: int) -> list[Draw]:
    """Draws the rows of each probe: each has its own training examples and its own part of the test examples.

    So the probes are independent of one another as far as the data allows, and an interval over them covers the choice
    of the training examples as well as that of the test examples.

    Args:
        train: Rows in the training split.
        test: Rows in the test split.
        probes: How many.
        rows: Training examples of each.
        test_rows: Test examples of all probes together, at most.
        seed: Seed of the draw.

    Raises:
        TransferlabError: Fewer than four test examples for a probe.
    """
    generator = np.random.default_rng(seed)
    parts = np.array_split(generator.permutation(test)[:test_rows], probes)
    if len(parts[-1]) < 4:
        raise TransferlabError(
            f"--probes: {probes} probes share {test} test examples, fewer than 4 for each; use fewer."
        )
    order = generator.permutation(train)
    if probes * rows <= train:
        chosen = [order[number * rows : (number + 1) * rows] for number in range(probes)]
    else:
        chosen = [generator.permutation(train)[:rows] for _ in range(probes)]
    return [Draw(np.sort(rows), np.sort(part)) for rows, part in zip(chosen, parts, strict=True)]


class Features:
    """Frozen features of some rows of a split.

    Args:
        rows: Row numbers ``[rows]``.
        vectors: For each row one vector ``[hidden]``, for tagging one for each of its words ``[words, hidden]``.
        labels: Class number or target of each row, for tagging of each of its words ``[words]``.
        reachable: For tagging, whether the encoder saw the word ``[words]``.
    """

    def __init__(self, rows: Array, vectors: list[Array], labels: list[Any], reachable: list[Array]) -> None:
        self.places = {int(row): place for place, row in enumerate(rows)}
        self.vectors, self.labels, self.reachable = vectors, labels, reachable

    def pick(self, rows: Array) -> tuple[list[Array], list[Any], list[Array]]:
        """Vectors, labels and reachable words of some of the rows."""
        places = [self.places[int(row)] for row in rows]
        reachable = [self.reachable[place] for place in places] if self.reachable else []
        return [self.vectors[place] for place in places], [self.labels[place] for place in places], reachable


@torch.inference_mode()
def features(model: Strategy, views: Sequence[TaskDataModule], split: str, rows: Array, what: str) -> Features:
    """Computes what a linear head would read.

    Two texts are encoded one by one and become ``[|u - v|, u * v]``, as SentEval has it for pairs (Conneau & Kiela
    2018, https://arxiv.org/abs/1803.05449): an encoder of single sentences never saw two in one sequence.

    Args:
        model: Gives the features; its head is not read.
        views: The rows of the task, one view for each text column.
        split: Name of the split.
        rows: Row numbers.
        what: Words for the progress.
    """
    columns = [_column(model, view.loader(split, rows), what) for view in views]
    found = columns[0]
    order = sorted(found)
    vectors = [found[row][0] for row in order]
    if len(columns) == 2:
        others = [columns[1][row][0] for row in order]
        vectors = [np.concatenate([abs(u - v), u * v]) for u, v in zip(vectors, others, strict=True)]
    tagging = found[order[0]][2] is not None
    return Features(
        np.array(order), vectors, [found[row][1] for row in order], [found[row][2] for row in order] if tagging else []
    )


def _column(model: Strategy, loader: Any, what: str) -> dict[int, tuple[Any, Any, Any]]:
    found: dict[int, tuple[Any, Any, Any]] = {}
    for batch in counted(loader, what):
        found |= _rows(batch, model.represent(batch.to(model.device))[0].float().cpu())
    return found


def _rows(batch: Batch, vectors: Tensor) -> Iterable[tuple[int, tuple[Any, Any, Any]]]:
    assert batch.labels is not None
    if batch.words is None:
        columns = zip(batch.index.tolist(), vectors.numpy(), batch.labels.tolist(), strict=True)
        return [(row, (vector, label, None)) for row, vector, label in columns]
    assert batch.word_mask is not None
    whole = zip(batch.index.tolist(), vectors, batch.labels, batch.words >= 0, batch.word_mask, strict=True)
    return [(row, (v[real].numpy(), label[real].numpy(), seen[real].numpy())) for row, v, label, seen, real in whole]


class Score(NamedTuple):
    """What a probe came to.

    Attributes:
        value: The primary metric on the test examples.
        single: Whether it gives one answer to all of them, so that it says nothing of the encoder.
    """

    value: float
    single: bool


def score(task: TaskSpec, known: Features, tested: Features, draw: Draw) -> Score:
    """Fits a linear model on the training examples of a draw and returns its primary metric on the test examples.

    Logistic regression, for targets ridge regression, on features of zero mean and unit variance; the strength of the
    L2 penalty by cross-validation within the training examples.

    Raises:
        TransferlabError: All training examples have one label.
    """
    vectors, labels, seen = known.pick(draw.train)
    others, gold, there = tested.pick(draw.test)
    if task.kind == "tagging":
        fitted = _fit(task, np.concatenate([v[s] for v, s in zip(vectors, seen, strict=True)]), _flat(labels, seen))
        found = [_tags(fitted, v, s, task.outside) for v, s in zip(others, there, strict=True)]
        single = len(np.unique(np.concatenate(found))) == 1
        return Score(evaluate(task, padded(found, 0), padded(gold, IGNORE))[task.primary], single)
    fitted, wanted = _fit(task, np.stack(vectors), np.array(labels)), np.array(gold)
    kind = KINDS[task.kind]
    outputs = kind.scores(fitted, np.stack(others), task)
    answers = outputs.argmax(-1) if task.kind == "classification" else kind.decide(outputs.astype(np.float32), None)
    return Score(evaluate(task, outputs, wanted)[task.primary], len(np.unique(answers)) == 1)


def _flat(labels: list[Array], seen: list[Array]) -> Array:
    return np.concatenate([label[mask] for label, mask in zip(labels, seen, strict=True)])


def _tags(fitted: Any, vectors: Array, seen: Array, outside: int) -> Array:
    # a word that was cut off is predicted "O", as in every run
    tags: Array = np.where(seen, fitted.predict(vectors), outside)
    return tags


def _fit(task: TaskSpec, vectors: Array, labels: Array) -> Any:
    import_sklearn()
    from sklearn.linear_model import LogisticRegression, RidgeCV
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(np.unique(labels)) < 2:
        raise TransferlabError(f"--rows: all {len(labels)} examples of a probe have the same label; use more.")
    if task.kind == "regression":
        strengths = [1 / strength for strength in STRENGTHS]
        return make_pipeline(StandardScaler(), RidgeCV(strengths)).fit(vectors, labels)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        # a class with fewer rows than folds
        warnings.simplefilter("ignore", UserWarning)
        # accuracy would take a model that only says the frequent class
        grid = {"logisticregression__C": STRENGTHS}
        search = GridSearchCV(model, grid, cv=FOLDS, scoring="f1_macro").fit(vectors, labels)
    return search.best_estimator_
