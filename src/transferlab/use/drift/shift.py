"""Label shift: the shares of the right labels among unlabelled examples, from what a model answers to them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transferlab.ground.errors import TransferlabError

Array = np.ndarray[Any, Any]
RESAMPLES = 1000
SINGULAR = 0.01
"""Smallest singular value of a confusion matrix below which it has no inverse that says anything."""


class Shift(NamedTuple):
    """The label shares of new examples.

    Attributes:
        known: Share of each right label in the validation set ``[labels]``.
        answered: Share of each predicted label in the new examples ``[labels]``.
        weights: ``w = C^-1 mu``, as it comes out: below 0 where the answers do not fit to any shares ``[labels]``.
        shares: Estimated share of each right label in the new examples, at least 0, summing to 1 ``[labels]``.
        low: Lower end of their 95 % intervals ``[labels]``.
        high: Upper end ``[labels]``.
    """

    known: Array
    answered: Array
    weights: Array
    shares: Array
    low: Array
    high: Array


def confusion(gold: Array, found: Array, labels: int) -> Array:
    """How many examples of right label j were answered i, ``[i, j]``."""
    counts = np.zeros((labels, labels))
    np.add.at(counts, (found, gold), 1)
    return counts


def weights(counts: Array, answered: Array) -> Array:
    """Black-box shift estimation with hard predictions (Lipton et al. 2018, https://arxiv.org/abs/1802.03916).

    With ``C[i, j] = P(answer i, label j)`` on the validation set and ``mu[i]`` the share of answer i among the new
    examples, the weight of label j, ``w[j] = q(j) / p(j)`` with its share q among the new and p among the validation
    examples, is::

        w = C^-1 mu

    It holds where the texts of a label are as before, ``q(x | y) = p(x | y)``, and only the shares of labels moved.

    Args:
        counts: Confusion matrix of the validation set, see `confusion`; only its proportions matter.
        answered: Share of each answer among the new examples ``[labels]``.

    Raises:
        TransferlabError: A label without a validation example, or answers that do not tell the labels apart.
    """
    totals = counts.sum(0)
    if (totals == 0).any():
        raise TransferlabError("a label has no validation example")
    if np.linalg.svd(counts / totals, compute_uv=False).min() < SINGULAR:
        raise TransferlabError("the answers do not tell the labels apart on the validation set")
    found: Array = np.linalg.solve(counts / counts.sum(), answered)
    return found


def cells(gold: Sequence[Array], found: Sequence[Array], labels: int) -> Any:
    """The confusion matrix of each example as a sparse row ``[examples, labels * labels]``, see `confusion`.

    Args:
        gold: Right labels of each example: one, or for tagging one for each word.
        found: Answers to each example.
        labels: How many labels there are.
    """
    from scipy.sparse import csr_array

    ends = np.cumsum([0, *map(len, gold)])
    columns = np.concatenate(found).astype(int) * labels + np.concatenate(gold).astype(int)
    return csr_array((np.ones(ends[-1]), columns, ends), shape=(len(gold), labels * labels))


def estimate(validation: Any, new: Array, resamples: int = RESAMPLES, seed: int = 0) -> Shift:
    """`weights` and the shares ``q = w * p``, with intervals from a bootstrap over examples of both sides.

    An example is a text, or for tagging a sentence, whose words belong together. Shares below 0 become 0. In a resample
    that lacks a label its column of the confusion matrix is that of all examples.

    Args:
        validation: The confusion matrix of each validation example, see `cells`.
        new: Answers of each new example ``[examples, labels]``; or of all of them together ``[labels]``.
        resamples: Resamples of the bootstrap.
        seed: Seed of the bootstrap.

    Raises:
        TransferlabError: See `weights`.
    """
    labels = new.shape[-1]
    counts, answered = validation.sum(0).reshape(labels, labels), np.atleast_2d(new).sum(0) / new.sum()
    known = counts.sum(0) / counts.sum()
    found = weights(counts, answered)
    generator = np.random.default_rng(seed)
    drawn = np.stack([_resampled(generator, validation, new, counts) for _ in range(resamples)])
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    return Shift(known, answered, found, _shares(found * known), low, high)


def _resampled(generator: np.random.Generator, validation: Any, new: Array, whole: Array) -> Array:
    counts = (_times(generator, validation.shape[0]) @ validation).reshape(whole.shape)
    if new.ndim == 1:
        given = generator.multinomial(int(new.sum()), new / new.sum())
    else:
        given = _times(generator, len(new)) @ new
    counts = np.where(counts.sum(0) > 0, counts, whole)
    shares, *_ = np.linalg.lstsq(counts / counts.sum(0), given / given.sum())
    return _shares(shares)


def _times(generator: np.random.Generator, examples: int) -> Array:
    """How often each example is drawn in a resample."""
    times: Array = np.bincount(generator.integers(examples, size=examples), minlength=examples).astype(float)
    return times


def _shares(raw: Array) -> Array:
    above = np.maximum(raw, 0)
    found: Array = above / above.sum()
    return found
