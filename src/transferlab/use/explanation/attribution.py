"""Attributions of words, and how well they tell what the model reads."""

from typing import Any, NamedTuple

import numpy as np
import torch

from transferlab.ground.errors import TransferlabError
from transferlab.use.explanation.scored import Scored, Target

Array = np.ndarray[Any, Any]
FIRST, LAST = 50, 800
"""Steps of the integral: at first, and at most."""
PLACES = 20
"""Parts in which words are taken away, at most."""


class Attribution(NamedTuple):
    """Integrated gradients of an example.

    Attributes:
        words: One for each word ``[words]``; together with `rest` their sum is ``score - empty``.
        rest: Of tokens that lie in no word.
        score: Of the example.
        empty: Of the example without words.
        residue: ``|sum - (score - empty)|`` as a part of ``|score - empty|``.
        steps: Of the integral.
    """

    words: Array
    rest: float
    score: float
    empty: float
    residue: float
    steps: int


def integrated(scored: Scored, target: Target, tolerance: float = 0.01) -> Attribution:
    """Integrated gradients on word embeddings, summed to words.

    ``IG_i = sum over the vector of token i of (x_i - b_i) * integral from 0 to 1 of df/dx_i(b + a (x - b)) da``
    (Sundararajan et al. 2017, https://arxiv.org/abs/1703.01365), by Gauss-Legendre quadrature. The steps are doubled
    from `FIRST` until the residue is within the tolerance, to `LAST` at most.

    Args:
        scored: The example.
        target: What is explained.
        tolerance: Of the residue.

    Raises:
        TransferlabError: captum is missing.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError as error:
        raise TransferlabError("captum is missing: pip install 'transferlab[explain]'.") from error
    method = IntegratedGradients(lambda given: target.score(scored.logits(given), scored.kind))
    ends = torch.stack([scored.actual, scored.empty])
    with torch.no_grad():
        score, empty = target.score(scored.logits(ends), scored.kind).double().tolist()
    steps = FIRST
    while True:
        values = method.attribute(
            ends[:1], ends[1:], n_steps=steps, internal_batch_size=max(scored.at_once // 2, 1), method="gausslegendre"
        )
        words, rest = scored.summed(values[0].double().sum(-1).detach())
        missing = abs(float(words.sum()) + rest - (score - empty))
        # an example that scores as one without words has nothing to be a part of
        residue = missing / max(abs(score - empty), 1e-6)
        if residue <= tolerance or steps >= LAST:
            return Attribution(words, rest, score, empty, residue, steps)
        steps *= 2


def left_out(scored: Scored, target: Target) -> Array:
    """By how much the score falls where one word is left out, the others staying ``[words]``."""
    keep = np.concatenate([np.ones((1, scored.words), dtype=bool), ~np.eye(scored.words, dtype=bool)])
    scores = target.score(scored.kept(keep), scored.kind).double().cpu().numpy()
    found: Array = scores[0] - scores[1:]
    return found


class Faithfulness(NamedTuple):
    """What happens to the probability of a label where words go in the order of their attribution.

    Attributes:
        deletion: Mean probability while words are taken away, the strongest first; a good order is low.
        insertion: Mean probability while they are put back, the strongest first; a good order is high.
        random_deletion: Mean of `deletion` over random orders.
        random_insertion: Mean of `insertion` over random orders.
        score: ``(insertion - deletion) - (random_insertion - random_deletion)``: above 0 better than chance.
        beaten: Share of the random orders with a smaller ``insertion - deletion``.
    """

    deletion: float
    insertion: float
    random_deletion: float
    random_insertion: float
    score: float
    beaten: float


def faithfulness(scored: Scored, target: Target, values: Array, orders: int, seed: int) -> Faithfulness | None:
    """Deletion and insertion (Petsiuk et al. 2018, https://arxiv.org/abs/1806.07421) with words for pixels.

    Args:
        scored: The example.
        target: What is explained.
        values: Attribution of each word ``[words]``.
        orders: Number of random orders to compare with.
        seed: Of the random orders.

    Returns:
        None where there are fewer than two words that are read, or no random order.
    """
    places = np.array(sorted(scored.read))
    if len(places) < 2 or orders < 1:
        return None
    generator = np.random.default_rng(seed)
    strongest = places[np.argsort(-values[places], kind="stable")]
    areas = _areas(scored, target, [strongest, *(generator.permutation(places) for _ in range(orders))])
    own, random = areas[0], areas[1:]
    gap, gaps = own[1] - own[0], random[:, 1] - random[:, 0]
    return Faithfulness(
        deletion=float(own[0]),
        insertion=float(own[1]),
        random_deletion=float(random[:, 0].mean()),
        random_insertion=float(random[:, 1].mean()),
        score=float(gap - gaps.mean()),
        beaten=float((gaps < gap).mean()),
    )


def _areas(scored: Scored, target: Target, orders: list[Array]) -> Array:
    """Deletion and insertion of each order ``[orders, 2]``: means over the share of words, by trapezoids."""
    count = len(orders[0])
    cuts = np.unique(np.linspace(0, count, min(count, PLACES) + 1).round().astype(int))
    keep = np.ones((len(orders), 2, len(cuts), scored.words), dtype=bool)
    for number, order in enumerate(orders):
        for at, cut in enumerate(cuts):
            keep[number, 0, at, order[:cut]] = False
            keep[number, 1, at, order[cut:]] = False
    logits = scored.kept(keep.reshape(-1, scored.words))
    found = target.chance(logits, scored.kind).double().cpu().numpy().reshape(len(orders), 2, len(cuts))
    areas: Array = np.trapezoid(found, cuts / count, axis=-1)
    return areas
