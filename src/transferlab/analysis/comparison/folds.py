"""Results of cross-validation: folds share training examples, so their spread says too little of other data."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from transferlab.analysis.comparison import averages
from transferlab.analysis.comparison.distributions import t_quantile, t_tail

METHOD = "corrected resampled t"


class Tested(NamedTuple):
    """A corrected resampled t test.

    Attributes:
        difference: Mean difference.
        p: Two-sided p-value.
        half: Half of the 95 % interval of the mean difference.
    """

    difference: float
    p: float
    half: float


def half_of_interval(values: Sequence[float], ratio: float) -> float:
    """Half of the 95 % interval of the mean over folds, ``t(n - 1) std sqrt(1 / n + test / train)``.

    Args:
        values: Two or more, one for each fold (of each seed).
        ratio: Test examples divided by training examples of a fold.
    """
    spread = averages.deviation(values) * math.sqrt(1 / len(values) + ratio)
    return t_quantile(len(values) - 1) * spread


def corrected_t(differences: Sequence[float], ratio: float) -> Tested:
    """The corrected resampled t test of Nadeau and Bengio (2003, Inference for the generalization error, section 5).

    With d the differences of two settings on the same n folds, which may be those of several seeds (Bouckaert and Frank
    2004, Evaluating the replicability of significance tests for comparing learning algorithms)::

        t = mean(d) / sqrt(var(d) (1 / n + test / train)),    n - 1 degrees of freedom

    with ``var`` over n - 1. The usual paired t test has 1 / n alone: it takes folds for independent, though any two of
    k share most of their training examples, and finds differences that are not there.

    Args:
        differences: Two or more.
        ratio: Test examples divided by training examples of a fold.
    """
    mean, half = averages.mean(differences), half_of_interval(differences, ratio)
    freedom = len(differences) - 1
    spread = half / t_quantile(freedom)
    if spread == 0:
        return Tested(mean, 1.0 if mean == 0 else 0.0, 0.0)
    return Tested(mean, t_tail(mean / spread, freedom), half)
