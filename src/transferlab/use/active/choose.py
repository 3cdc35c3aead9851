"""Which texts to label next, from what a model makes of them. Every tie is broken by the seed."""

from typing import Any, Literal, get_args

import numpy as np

from transferlab.ground.errors import TransferlabError

Array = np.ndarray[Any, Any]
Strategy = Literal["random", "least_confidence", "margin", "entropy", "badge", "core_set"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
OF_CLASSES = ("least_confidence", "margin", "entropy", "badge")
"""Strategies that read the probabilities of classes; the others read vectors or nothing."""


def choose(strategy: Strategy, scores: Array | None, vectors: Array, known: Array, count: int, seed: int) -> Array:
    """Row numbers of the texts to label next, the most wanted first.

    ``random``: all with the same chance. ``least_confidence``: the smallest ``max_c p_c`` (Lewis and Gale 1994).
    ``margin``: the smallest difference of the two largest ``p_c`` (Scheffer et al. 2001). ``entropy``: the largest
    ``-sum_c p_c log p_c``. With two classes these three choose alike. ``badge`` (Ash et al. 2020,
    https://arxiv.org/abs/1906.03671): see `badge`. ``core_set`` (Sener and Savarese 2018,
    https://arxiv.org/abs/1708.00489): see `core_set`.

    Args:
        strategy: One of `STRATEGIES`.
        scores: Probabilities ``[texts, classes]``; None where a task has none.
        vectors: What the head reads ``[texts, width]``.
        known: Vectors of the labelled texts ``[labelled, width]``.
        count: Number of texts.
        seed: Of what is drawn, and of ties.

    Raises:
        TransferlabError: The strategy reads probabilities of classes and there are none, or the pool is too small.
    """
    if count > len(vectors):
        raise TransferlabError(f"--count: {count} texts are wanted, and the pool has {len(vectors)} new ones.")
    generator = np.random.default_rng(seed)
    if strategy == "random":
        return generator.permutation(len(vectors))[:count]
    if strategy == "core_set":
        return core_set(vectors, known, count, generator)
    if scores is None:
        raise TransferlabError(
            f"--strategy: {strategy} reads probabilities of classes, which this task does not have; take random or "
            "core_set."
        )
    if strategy == "badge":
        return badge(scores, vectors, count, generator)
    ordered = np.sort(scores, 1)[:, ::-1]
    match strategy:
        case "least_confidence":
            certainty = ordered[:, 0]
        case "margin":
            certainty = ordered[:, 0] - ordered[:, 1]
        case _:
            certainty = (scores * np.log(np.clip(scores, 1e-12, None))).sum(1)
    return np.lexsort((generator.permutation(len(certainty)), certainty))[:count]


def badge(scores: Array, vectors: Array, count: int, generator: np.random.Generator) -> Array:
    """A batch that is uncertain and diverse.

    The gradient of the loss by the weights of a linear head, were the predicted class the right one, is
    ``g_i = (p_i - onehot(argmax p_i)) (x) h_i``. The first text has the longest one; each next one is drawn with a
    chance in proportion to its squared distance to the nearest that was chosen (k-means++). The products are never laid
    out: ``<g_i, g_j> = <a_i, a_j> <h_i, h_j>``.

    Args:
        scores: p, probabilities ``[texts, classes]``.
        vectors: h, what the head reads ``[texts, hidden]``.
        count: How many texts.
        generator: Draws.

    Returns:
        Places of the chosen texts ``[count]``.
    """
    residues = scores.astype(float).copy()
    residues[np.arange(len(scores)), scores.argmax(1)] -= 1
    lengths = (residues**2).sum(1) * (vectors**2).sum(1)
    chosen = [int(np.lexsort((generator.permutation(len(lengths)), -lengths))[0])]
    nearest = np.full(len(lengths), np.inf)
    while len(chosen) < count:
        last = chosen[-1]
        products = (residues @ residues[last]) * (vectors @ vectors[last])
        # rounding makes the distance of equal texts negative
        nearest = np.minimum(nearest, np.clip(lengths + lengths[last] - 2 * products, 0, None))
        nearest[chosen] = 0
        chosen.append(_drawn(nearest, chosen, generator))
    return np.array(chosen)


def _drawn(weights: Array, chosen: list[int], generator: np.random.Generator) -> int:
    """A row by its weight; where none is left with any, one that was not chosen."""
    if (total := weights.sum()) > 0:
        return int(generator.choice(len(weights), p=weights / total))
    return int(generator.choice(np.setdiff1d(np.arange(len(weights)), chosen)))


def core_set(vectors: Array, known: Array, count: int, generator: np.random.Generator) -> Array:
    """A batch that covers the pool: each next text is the farthest from all labelled and chosen ones (greedy k-center).

    Distances are of vectors at length one. Without a labelled text the first one is drawn.

    Args:
        vectors: Of the pool ``[texts, hidden]``.
        known: Of the labelled texts ``[labelled, hidden]``.
        count: How many texts.
        generator: Draws the order of equals.

    Returns:
        Places of the chosen texts in the pool ``[count]``.
    """
    unit, labelled = (_unit(part) for part in (vectors, known))
    nearest = np.full(len(unit), np.inf)
    for start in range(0, len(labelled), 256):
        nearest = np.minimum(nearest, _apart(unit, labelled[start : start + 256]).min(1))
    order, chosen = generator.permutation(len(unit)), list[int]()
    while len(chosen) < count:
        # of equals the first in a random order
        place = int(order[nearest[order].argmax()])
        chosen.append(place)
        nearest = np.minimum(nearest, _apart(unit, unit[place : place + 1])[:, 0])
        nearest[chosen] = -1
    return np.array(chosen)


def _unit(vectors: Array) -> Array:
    return np.asarray(vectors / np.clip(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12, None))


def _apart(one: Array, other: Array) -> Array:
    return np.asarray(1 - np.clip(one @ other.T, -1, 1))
