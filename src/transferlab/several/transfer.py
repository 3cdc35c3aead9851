"""What a sequence of tasks did to each of them, from the matrix of scores. Imports no torch."""

from collections.abc import Sequence
from statistics import mean

Matrix = Sequence[Sequence[float]]
"""``R[i][j]``: the test score on task j after task i was learned, both in the order of learning."""


def average(matrix: Matrix) -> float:
    """``mean_j R_Tj``: the score over all tasks at the end."""
    return mean(matrix[-1])


def backward(matrix: Matrix) -> float:
    """``mean_{j<T} R_Tj - R_jj``: what later tasks did to earlier ones; below 0 they were forgotten.

    Lopez-Paz and Ranzato 2017, equation 3, https://arxiv.org/abs/1706.08840.
    """
    return mean(matrix[-1][task] - matrix[task][task] for task in range(len(matrix) - 1))


def forgetting(matrix: Matrix) -> float:
    """``mean_{j<T} max_{l<T} R_lj - R_Tj``: how far each earlier task is under the best that it ever had.

    Chaudhry et al. 2018, section 3.2, https://arxiv.org/abs/1801.10112; of the states since the task was learned.
    """
    last = len(matrix) - 1
    return mean(max(matrix[at][task] for at in range(task, last)) - matrix[last][task] for task in range(last))


def forward(matrix: Matrix, alone: Sequence[float]) -> float:
    """``mean_{j>1} R_jj - S_j``: what earlier tasks gave to later ones, against each learned alone.

    Equation 4 of Lopez-Paz and Ranzato 2017 takes the score on task j before it is learned, which says nothing where
    each task has a head of its own that is random until then.

    Args:
        matrix: The scores.
        alone: ``S_j``, of a model that learned that task only, from the same weights.
    """
    return mean(matrix[task][task] - alone[task] for task in range(1, len(matrix)))
