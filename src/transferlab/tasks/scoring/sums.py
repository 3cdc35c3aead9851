"""Each score as a function of sums ``[..., statistics]``, which returns ``[...]``; all are shares, not percent.

sacrebleu and rouge_score give the same values times 100 and from the texts; these take many sums at a time, which tests
of significance need.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ORDER = 4
"""Words of the longest n-gram of BLEU."""
BETA = 2
"""How much more recall weighs than precision in chrF."""


def ratio(above: Array, below: Array) -> Array:
    """A quotient, 0 where the denominator is."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below != 0)


def mean_of(sums: Array) -> Array:
    """The mean over examples; statistics: their number, and what is averaged, such as hits for accuracy."""
    return ratio(sums[..., 1], sums[..., 0])


def bleu(sums: Array) -> Array:
    """``min(1, exp(1 - r / c)) exp(mean_n log p_n)``, n from 1 to 4 (Papineni et al. 2002, https://aclanthology.org/P02-1040).

    The k-th order without a match has ``p_n = 1 / (2^k total_n)``, the smoothing ``exp`` of sacrebleu; an order without
    n-grams, or no match at all, gives 0.

    Args:
        sums: Words of the outputs c and of the closest references r, matches of each order, n-grams of each order.
    """
    written, wanted = sums[..., 0], sums[..., 1]
    hits, totals = sums[..., 2 : 2 + ORDER], sums[..., 2 + ORDER : 2 + 2 * ORDER]
    halved = 2.0 ** np.cumsum(hits == 0, axis=-1)
    shares = ratio(np.where(hits == 0, 1 / halved, hits), totals)
    some = np.asarray((hits > 0).any(-1) & (totals > 0).all(-1))
    logs = np.log(np.where(some[..., None], shares, 1.0)).mean(-1)
    brevity = np.minimum(0.0, 1 - ratio(wanted, np.where(some, written, 1.0)))
    return np.where(some, np.exp(logs + brevity), 0.0)


def chrf(sums: Array) -> Array:
    """``5 P R / (4 P + R)`` with P and R averaged over the orders of n-grams that both sides have.

    Popović 2015 (https://aclanthology.org/W15-3049); with words and pairs of words beside characters it is chrF++
    (2017, https://aclanthology.org/W17-4770).

    Args:
        sums: For each order n-grams of the outputs, of the references, and matches.
    """
    found, wanted, hits = (sums[..., at::3] for at in range(3))
    both = (found > 0) & (wanted > 0)
    orders = both.sum(-1)
    precision = ratio((ratio(hits, found) * both).sum(-1), orders)
    recall = ratio((ratio(hits, wanted) * both).sum(-1), orders)
    return ratio((1 + BETA**2) * precision * recall, BETA**2 * precision + recall)


def ter(sums: Array) -> Array:
    """Edits a word of the references (Snover et al. 2006, https://aclanthology.org/2006.amta-papers.25); may exceed 1.

    Args:
        sums: Edits to the nearest reference, and words of a reference on average.
    """
    edits, words = sums[..., 0], sums[..., 1]
    return np.where(words > 0, ratio(edits, words), (edits > 0).astype(float))


def length_ratio(sums: Array) -> Array:
    """Words of the outputs by words of the closest references, as BLEU counts them."""
    return ratio(sums[..., 0], sums[..., 1])


ROUGES = {
    "rouge1": "rouge1",
    "rouge2": "rouge2",
    "rougeL": "rougeL",
    "rougeLsum_newline": "rougeLsum",
    "rougeLsum_sentence": "rougeLsum",
}
"""Our names of ROUGE to those of rouge_score; of the summary level once with a sentence a line, once split by us."""
SUMS: dict[str, Callable[[Array], Array]] = {
    **dict.fromkeys(ROUGES, mean_of),
    "bleu": bleu,
    "chrf": chrf,
    "chrf++": chrf,
    "ter": ter,
    "exact_match": mean_of,
    "token_f1": mean_of,
    "length_ratio": length_ratio,
}
"""Name of each score to the score of sums."""
NAMES = tuple(SUMS)
