"""The best sequence of tags that IOB2 allows."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.iob import is_valid_transition

_HUGE = 1e9  # stands for infinite scores: an improbable tag stays better than a forbidden one


@lru_cache(maxsize=64)
def _penalties(labels: tuple[str, ...], parted: bool) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Returns 0 where IOB2 allows and -inf where not: starts `[labels]`, transitions `[from, to]`."""
    starts = np.array([0.0 if is_valid_transition(None, tag) else -np.inf for tag in labels])
    if not (starts == 0).any():
        raise TransferlabError(f"no sentence can start with any label of {list(labels)}: add 'O' or 'B-<type>'")
    steps = np.array(
        [[0.0 if is_valid_transition(before, tag, parted) else -np.inf for tag in labels] for before in labels]
    )
    return starts, steps


def constrained_decode(scores: npt.NDArray[np.floating[Any]], labels: Sequence[str], parted: bool = True) -> list[int]:
    """Returns the best sequence of classes that is valid IOB2, by the Viterbi algorithm.

    ``argmax over valid y of sum_t log_softmax(scores[t])[y_t]``. The normaliser of log-softmax shifts all the scores
    of a word alike, hence every path alike, so logits and log-probabilities give the same answer.

    Args:
        scores: Logits or log-probabilities, `[words, labels]`. Scores that are not finite stay worse, or better, than
            any other, but never make an invalid sequence win.
        labels: IOB2 tags in class order.
        parted: As in `is_valid_transition`.

    Returns:
        Class numbers, `[words]`.
    """
    if len(scores) == 0:
        return []
    starts, steps = _penalties(tuple(labels), parted)
    clean = np.nan_to_num(np.asarray(scores, dtype=np.float64), nan=-_HUGE, posinf=_HUGE, neginf=-_HUGE)
    best = starts + clean[0]
    back: list[npt.NDArray[np.intp]] = []
    for word in clean[1:]:
        paths = best[:, None] + steps
        back.append(paths.argmax(axis=0))
        best = paths.max(axis=0) + word
    path = [int(best.argmax())]
    for pointers in reversed(back):
        path.append(int(pointers[path[-1]]))
    return path[::-1]
