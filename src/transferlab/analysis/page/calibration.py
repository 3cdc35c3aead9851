"""How far confidence can be believed, and a temperature that mends it (Guo et al. 2017).

https://arxiv.org/abs/1706.04599
"""

from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.lean import import_scipy

Array = np.ndarray[Any, Any]
BINS = 15
"""As in the paper."""
LIMITS = (0.05, 20.0)
"""Temperatures that are looked at: with every validation example right there is no best one."""
FEWEST = 50
"""Validation examples for a temperature to be trusted."""
FEWEST_WRONG = 5
"""Of them wrong (and right): fewer say next to nothing of how sure a wrong answer is."""


class Bin(NamedTuple):
    """Examples whose confidence lies above `low` and not above `high`."""

    low: float
    high: float
    confidence: float
    accuracy: float
    examples: int


class Temperature(NamedTuple):
    """What scaling by one temperature does.

    Attributes:
        value: T.
        ece: Expected calibration error on the test before and after.
        nll: Mean negative log-likelihood on the test before and after.
        doubt: Why it is not trusted; empty where it is.
    """

    value: float
    ece: tuple[float, float]
    nll: tuple[float, float]
    doubt: str = ""

    @property
    def is_remedy(self) -> bool:
        """Whether it is trusted and does the test no harm."""
        return not self.doubt and self.nll[1] <= self.nll[0]


def bins(scores: Array, labels: Array, count: int = BINS) -> list[Bin]:
    """Reliability in `count` equally wide bins of the confidence ``max_k p_k``; empty ones are left out.

    Args:
        scores: Probabilities ``[examples, classes]``.
        labels: Class numbers ``[examples]``.
        count: Number of bins ``((m - 1) / M, m / M]``.
    """
    sure, right = scores.max(1), scores.argmax(1) == labels
    number = np.clip(np.ceil(sure * count).astype(int) - 1, 0, count - 1)
    found = []
    for m in range(count):
        here = number == m
        if here.any():
            found.append(
                Bin(m / count, (m + 1) / count, float(sure[here].mean()), float(right[here].mean()), int(here.sum()))
            )
    return found


def ece(scores: Array, labels: Array, count: int = BINS) -> float:
    """Expected calibration error ``sum_m |B_m| / n * |accuracy(B_m) - confidence(B_m)|``, arguments as for `bins`."""
    found = bins(scores, labels, count)
    return sum(b.examples * abs(b.accuracy - b.confidence) for b in found) / max(len(labels), 1)


def scaled(scores: Array, temperature: float) -> Array:
    """``softmax(log(p) / T)``, which is ``softmax(z / T)`` for logits z, as those differ from log(p) by a constant.

    Args:
        scores: p, probabilities ``[examples, classes]``.
        temperature: T, above 0.

    Returns:
        Probabilities ``[examples, classes]``.
    """
    logits = np.log(np.maximum(scores, 1e-38)) / temperature
    raised = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True))


def nll(scores: Array, labels: Array) -> float:
    """Mean negative log-likelihood in nats, arguments as for `bins`."""
    return float(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-38)).mean())


def fit(scores: Array, labels: Array) -> float:
    """The temperature of the least negative log-likelihood, within `LIMITS`.

    The likelihood is convex in 1/T, so there is a single minimum along log T. Arguments as for `bins`.
    """
    import_scipy()
    from scipy.optimize import minimize_scalar

    low, high = np.log(LIMITS)
    found = minimize_scalar(
        lambda t: nll(scaled(scores, float(np.exp(t))), labels), bounds=(low, high), method="bounded"
    )
    return float(np.exp(found.x))


def doubt(scores: Array, labels: Array, found: float) -> str:
    """Why a temperature is not to be trusted, from what it was fitted on; empty where nothing speaks against it.

    Args:
        scores: Probabilities of the validation set ``[examples, classes]``.
        labels: Its class numbers ``[examples]``.
        found: The temperature.
    """
    count, right = len(labels), int((scores.argmax(1) == labels).sum())
    if count < FEWEST:
        return f"only {count} validation examples"
    if right == count:
        return f"all {count} validation examples are right"
    if min(right, count - right) < FEWEST_WRONG:
        few, what = (count - right, "wrong") if count - right < right else (right, "right")
        return f"only {few} of {count} validation examples {'is' if few == 1 else 'are'} {what}"
    if not LIMITS[0] * 1.01 < found < LIMITS[1] / 1.01:
        return f"the fit ends at its bound, {LIMITS[0] if found < 1 else LIMITS[1]:g}"
    return ""


def temperature(validation: tuple[Array, Array], test: tuple[Array, Array]) -> Temperature:
    """Fits on validation, judges on the test; each is scores ``[examples, classes]`` and labels ``[examples]``."""
    best = fit(*validation)
    scores, labels = test
    after = scaled(scores, best)
    return Temperature(
        best,
        (ece(scores, labels), ece(after, labels)),
        (nll(scores, labels), nll(after, labels)),
        doubt(*validation, best),
    )
