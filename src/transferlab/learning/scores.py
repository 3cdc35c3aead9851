"""Single metrics on torchmetrics, where those of the library are not right or not there."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric, PearsonCorrCoef, SpearmanCorrCoef
from torchmetrics.classification import MulticlassMatthewsCorrCoef
from torchmetrics.utilities.data import dim_zero_cat

from transferlab.ground.lean import import_scipy
from transferlab.tasks.encoded import IGNORE
from transferlab.tasks.iob import split_tag
from transferlab.tasks.kinds.tagging import entity_counts
from transferlab.tasks.schemes import IOB2, Scheme


class SpanF1(Metric):
    """Precision, recall and F1 of entities, equal to conlleval: a span counts if type and both ends agree.

    Args:
        labels: IOB2 tags in class order.
        scheme: How predictions are written; what is counted is what is read there.
        kwargs: Passed to `torchmetrics.Metric`.

    Attributes:
        types: Entity types in the order of the labels.
        tp: Entities found rightly, `[types]`.
        fp: Entities found that are none, `[types]`.
        fn: Entities missed, `[types]`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    tp: Tensor
    fp: Tensor
    fn: Tensor

    def __init__(self, labels: Sequence[str], scheme: Scheme = IOB2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.labels = tuple(labels)
        self.scheme = scheme
        self.types = tuple(dict.fromkeys(split_tag(tag)[1] for tag in self.labels if tag != "O"))
        for name in ("tp", "fp", "fn"):
            self.add_state(name, default=torch.zeros(len(self.types), dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Counts a batch.

        Args:
            predictions: Class numbers, `[batch, words]`; anything where `labels` is padding.
            labels: Class numbers, -100 for padding, `[batch, words]`.

        Raises:
            ValueError: Predictions and labels differ in shape.
        """
        if predictions.shape != labels.shape:
            raise ValueError(f"predictions {list(predictions.shape)} and labels {list(labels.shape)} differ in shape")
        counts = entity_counts(self.labels, self.scheme, predictions.tolist(), labels.tolist())
        added = torch.tensor(list(counts.values()), dtype=torch.long, device=self.tp.device).reshape(-1, 3)
        self.tp = self.tp + added[:, 0]
        self.fp = self.fp + added[:, 1]
        self.fn = self.fn + added[:, 2]

    def compute(self) -> dict[str, Tensor]:
        """Returns the micro averages over all entity types, 0 where undefined: f1, precision, recall."""
        return _rates(self.tp.sum(), self.fp.sum(), self.fn.sum())

    def per_type(self) -> dict[str, dict[str, float]]:
        """Returns precision, recall, f1 and support (entities in the labels) per type; needs all ranks under DDP."""
        with self.sync_context(dist_sync_fn=self.dist_sync_fn):
            rates = _rates(self.tp, self.fp, self.fn) | {"support": self.tp + self.fn}
        columns = {name: rates[name].tolist() for name in ("precision", "recall", "f1", "support")}
        return {
            kind: {name: float(values[index]) for name, values in columns.items()}
            for index, kind in enumerate(self.types)
        }


class TagScores(Metric):
    """Accuracy over words and macro F1 over tags, for tags that mark no entities.

    ``f1_macro`` is the mean over the tags that occur in labels or predictions, as scikit-learn has it.

    Args:
        classes: Number of tags.
        kwargs: Passed to `torchmetrics.Metric`.

    Attributes:
        hits: Words predicted rightly, `[classes]`.
        found: Words predicted so, `[classes]`.
        gold: Words labelled so, `[classes]`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    found: Tensor
    gold: Tensor

    def __init__(self, classes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.classes = classes
        for name in ("hits", "found", "gold"):
            self.add_state(name, default=torch.zeros(classes, dtype=torch.long), dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Counts a batch.

        Args:
            predictions: Class numbers, `[batch, words]`; below 0 for a word without an answer, which is a wrong one.
            labels: Class numbers, -100 for padding, `[batch, words]`.
        """
        real = labels != IGNORE
        guess, truth = predictions[real], labels[real]
        self.hits = self.hits + self._count(truth[guess == truth])
        self.found = self.found + self._count(guess[guess >= 0])
        self.gold = self.gold + self._count(truth)

    def _count(self, numbers: Tensor) -> Tensor:
        return torch.bincount(numbers, minlength=self.classes)

    def compute(self) -> dict[str, Tensor]:
        """Returns accuracy and f1_macro, 0 where undefined."""
        either = self.found + self.gold
        f1 = 2 * self.hits / either.clamp(min=1)
        return {
            "accuracy": self.hits.sum() / self.gold.sum().clamp(min=1),
            "f1_macro": f1.sum() / (either > 0).sum().clamp(min=1),
        }


def _rates(tp: Tensor, fp: Tensor, fn: Tensor) -> dict[str, Tensor]:
    """Returns f1, precision and recall for counts of any one shape, 0 where undefined."""
    return {
        "f1": 2 * tp / (2 * tp + fp + fn).clamp(min=1),
        "precision": tp / (tp + fp).clamp(min=1),
        "recall": tp / (tp + fn).clamp(min=1),
    }


class Collected(Metric):
    """All logits and labels of a validation, of all processes."""

    full_state_update = False
    logits: list[Tensor]
    labels: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for name in ("logits", "labels"):
            self.add_state(name, default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Keeps a batch, both ``[batch, labels]``."""
        self.logits.append(logits.detach())
        self.labels.append(labels)

    def compute(self) -> tuple[Tensor, Tensor]:
        """Returns logits and labels, ``[examples, labels]``."""
        return dim_zero_cat(self.logits), dim_zero_cat(self.labels)


class Matthews(MulticlassMatthewsCorrCoef):
    """Matthews correlation as scikit-learn computes it: 0 if predictions or labels are constant.

    torchmetrics departs from that for two classes (0.84 for ten equal predictions of which nine are right), which
    would rank a collapsed model high on CoLA.
    """

    def compute(self) -> Tensor:
        """Returns the coefficient, from -1 to 1."""
        table: list[list[int]] = self.confmat.tolist()
        truth, guess = [sum(row) for row in table], [sum(column) for column in zip(*table, strict=True)]
        total, right = sum(truth), sum(row[index] for index, row in enumerate(table))
        covariance = right * total - sum(t * g for t, g in zip(truth, guess, strict=True))
        spread = (total**2 - sum(t * t for t in truth)) * (total**2 - sum(g * g for g in guess))
        return torch.tensor(covariance / math.sqrt(spread) if spread else 0.0, device=self.device)


class Pearson(PearsonCorrCoef):
    """Pearson correlation: 0 if predictions or labels are constant, silent, NaN only if an input is.

    torchmetrics accumulates; its last step is replaced. That one gives rounding noise or NaN with a warning for
    constants, and NaN as well for one outlier among thousands.
    """

    def compute(self) -> Tensor:
        """Returns the coefficient, from -1 to 1."""
        names = ("n_total", "mean_x", "mean_y", "var_x", "var_y", "corr_xy")
        columns = [getattr(self, name).reshape(-1).tolist() for name in names]
        ranks = [row for row in zip(*columns, strict=True) if row[0] > 0]  # after a sync one row per rank
        return torch.tensor(_correlation(ranks), dtype=torch.float32, device=self.device)


def _correlation(parts: list[tuple[float, ...]]) -> float:
    """Merges moments of parts of the data and returns Pearson's r.

    Args:
        parts: Count, means of x and y, sums of squared deviations of x and y, sum of products of deviations.
    """
    total = sum(part[0] for part in parts)
    if not total:
        return 0.0
    mean_x = sum(part[0] * part[1] for part in parts) / total
    mean_y = sum(part[0] * part[2] for part in parts) / total
    xx = sum(part[3] + part[0] * (part[1] - mean_x) ** 2 for part in parts)
    yy = sum(part[4] + part[0] * (part[2] - mean_y) ** 2 for part in parts)
    xy = sum(part[5] + part[0] * (part[1] - mean_x) * (part[2] - mean_y) for part in parts)
    noise = 16 * torch.finfo(torch.float32).eps  # of the mean: below it a spread is rounding of a constant
    if any(math.sqrt(square / total) <= noise * abs(mean) for square, mean in ((xx, mean_x), (yy, mean_y))):
        return 0.0
    value = xy / math.sqrt(xx) / math.sqrt(yy)
    return value if math.isnan(value) else max(-1.0, min(1.0, value))


class Spearman(SpearmanCorrCoef):
    """Spearman rank correlation in float64: 0 if predictions or labels are constant, NaN only if an input is."""

    def __init__(self, **kwargs: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that it keeps all predictions: two floats an example
            super().__init__(**kwargs)

    def compute(self) -> Tensor:
        """Returns the coefficient, from -1 to 1."""
        value = 0.0
        if len(self.preds):
            pair = [dim_zero_cat(state).cpu().double().numpy() for state in (self.preds, self.target)]
            if not any(len(values) < 2 or (values == values[0]).all() for values in pair):
                import_scipy()
                from scipy.stats import spearmanr

                value = float(spearmanr(*pair).statistic)
        return torch.tensor(value, device=self.device)
