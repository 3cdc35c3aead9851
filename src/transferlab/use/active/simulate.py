"""Active learning on a labelled pool whose labels are hidden until they are asked for."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import t as student

from transferlab.learning import convex
from transferlab.use.active.choose import STRATEGIES, Array, Strategy, choose

TESTED = 0.3
"""Share of the pool that is tested on and never asked for."""


class Curve(NamedTuple):
    """How a strategy did.

    Attributes:
        scores: Accuracy in percent ``[seeds, sizes]``.
        gains: Mean difference to ``random`` at each size, with its 95 % interval, seeds paired; None for ``random``.
    """

    scores: Array
    gains: list[tuple[float, float, float]] | None


def simulate(
    vectors: Array,
    labels: Array,
    sizes: Sequence[int],
    seeds: int,
    strategies: Sequence[Strategy] = STRATEGIES,
) -> dict[Strategy, Curve]:
    """Lets each strategy ask for the labels of a pool, size by size.

    For each seed a part of the pool is held out for testing and the first labels are drawn, the same ones for all
    strategies. Then a logistic head (C = 1, vectors at length one) is solved on what is labelled, tested, and the
    strategy chooses what is asked for next.

    Args:
        vectors: ``[texts, width]``.
        labels: Class numbers ``[texts]``.
        sizes: Numbers of labels at which the head is tested, rising; the first are drawn at random.
        seeds: Number of seeds.
        strategies: Those that are tried.
    """
    unit = vectors / np.clip(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12, None)
    names: list[Strategy] = ["random", *(name for name in strategies if name != "random")]
    scores = {name: np.zeros((seeds, len(sizes))) for name in names}
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(unit))
        tested, pool = np.split(order, [round(TESTED * len(order))])
        for name in names:
            scores[name][seed] = _run(unit, labels, pool, tested, sizes, seed, name)
    return {name: Curve(found, _gains(found - scores["random"], name)) for name, found in scores.items()}


def _run(
    unit: Array, labels: Array, pool: Array, tested: Array, sizes: Sequence[int], seed: int, strategy: Strategy
) -> list[float]:
    known, found = pool[: sizes[0]], []
    classes = int(labels.max()) + 1
    for number, size in enumerate(sizes):
        if number:
            left = np.setdiff1d(pool, known)
            scores = _probabilities(unit, labels, known, left, classes)
            asked = choose(strategy, scores, unit[left], unit[known], size - len(known), seed * 1000 + number)
            known = np.concatenate([known, left[asked]])
        right = _probabilities(unit, labels, known, tested, classes).argmax(1) == labels[tested]
        found.append(100 * float(right.mean()))
    return found


def _probabilities(unit: Array, labels: Array, known: Array, asked: Array, classes: int) -> Array:
    """Of classes by a head that is solved on what is known."""
    if len(np.unique(labels[known])) < 2:
        same: Array = np.eye(classes)[np.full(len(asked), labels[known][0])]
        return same
    basis = convex.Basis(torch.from_numpy(unit[known]))
    head = convex.multinomial(basis, torch.from_numpy(labels[known]), classes, 1.0, None)
    found: Array = head(torch.from_numpy(unit[asked])).softmax(-1).numpy()
    return found


def _gains(differences: Array, name: str) -> list[tuple[float, float, float]] | None:
    if name == "random":
        return None
    seeds = len(differences)
    mean = differences.mean(0)
    spread = differences.std(0, ddof=1) if seeds > 1 else np.full(len(mean), np.nan)
    half = float(student.ppf(0.975, max(seeds - 1, 1))) * spread / seeds**0.5
    return [(float(m), float(m - h), float(m + h)) for m, h in zip(mean, half, strict=True)]


def as_plain(curves: dict[Strategy, Curve], sizes: Sequence[int]) -> dict[str, Any]:
    """The curves as JSON can hold them."""
    return {
        "sizes": list(sizes),
        "strategies": {
            name: {"scores": curve.scores.tolist(), "minus_random": curve.gains} for name, curve in curves.items()
        },
    }
