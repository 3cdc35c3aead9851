"""Heads that are read off the training vectors: the nearest class mean, and the nearest training vectors."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.ground.errors import TransferlabError
from transferlab.learning.convex import Linear
from transferlab.tasks.spec import OF_ONE_CLASS, TaskSpec

TIE = 1e-3
"""How much less the last of the neighbours counts than the first: only where votes are equal does it decide."""


def class_means(features: Tensor, labels: Tensor, classes: int, scale: float) -> Linear:
    """Logits by the distance to the mean vector of each class.

    ``z_c = -s |x - m_c|^2 / 2``, where ``m_c`` is the mean of the training vectors of class c and s a scale. As
    ``|x|^2`` is the same for all classes, that is the linear map ``z_c = s m_c x - s |m_c|^2 / 2``. The answer is the
    nearest mean, whatever the scale; the scale only says how sure it is. Classes count alike, however frequent they
    are. (The nearest shrunken centroid of Tibshirani et al. 2002 without shrinkage; the prototypes of Snell et al.
    2017, https://arxiv.org/abs/1703.05175, on a frozen encoder.)

    Args:
        features: ``[rows, width]``.
        labels: Class numbers ``[rows]``.
        classes: Number of classes. One without a row is never answered: its logit is far below the others.
        scale: s.
    """
    wanted = F.one_hot(labels.long(), classes).double()
    counts = wanted.sum(0)
    means = (wanted.T @ features.double()) / counts.clamp(min=1)[:, None]
    bias = -scale * means.square().sum(-1) / 2
    return Linear(scale * means, bias.masked_fill(counts == 0, -1e4))


class Neighbours(nn.Module):
    """Logits by the k nearest training vectors, by the distance ``|x - v|``.

    For classes ``p_c = (n_c + 1/K) / (k + 1)``, where ``n_c`` of the k neighbours have class c of K, and the logits are
    ``log p``. For several labels ``p_l = (n_l + 1/2) / (k + 1)``, and the logits are its log-odds. For targets it is
    their mean. (Cover and Hart 1967; the added pseudo-count keeps the logits finite.) Of classes with equally many
    votes the one with the nearer neighbours wins.

    Args:
        task: Its kind says what the answers are.
        rows: Number of training vectors.
        width: Numbers in a vector.

    Attributes:
        weight: The training vectors ``[rows, width]``.
        targets: Their classes as one-hot vectors, label flags, or targets ``[rows, outputs]``.
        k: Number of neighbours, a scalar.
    """

    targets: Tensor
    k: Tensor

    def __init__(self, task: TaskSpec, rows: int, width: int) -> None:
        super().__init__()
        if task.kind == "tagging":
            raise TransferlabError(
                "model.solver: knn would keep the vector of every training word, so it is not for tagging; take "
                "nearest_mean or lbfgs."
            )
        self.task = task
        self.weight = nn.Parameter(torch.zeros(rows, width))
        self.register_buffer("targets", torch.zeros(rows, task.outputs))
        self.register_buffer("k", torch.ones((), dtype=torch.long))

    @torch.no_grad()
    def remember(self, features: Tensor, labels: Tensor) -> None:
        """Keeps the training vectors and what they stand for.

        Args:
            features: ``[rows, width]``.
            labels: ``[rows]``, for several labels ``[rows, labels]``.
        """
        flat = F.one_hot(labels.long(), self.task.outputs) if self.task.kind in OF_ONE_CLASS else labels
        self.weight.copy_(features)
        self.targets.copy_(flat.reshape(len(features), -1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits ``[..., outputs]`` of vectors ``[..., width]``."""
        if not len(self.weight):
            # a model whose training has not begun
            return vectors.new_zeros(*vectors.shape[:-1], self.task.outputs)
        count = min(int(self.k), len(self.weight))
        # |x|^2 is the same for all of them
        closeness = vectors.to(self.weight.dtype) @ self.weight.T - self.weight.square().sum(-1) / 2
        near = closeness.topk(count, -1).indices
        found = self.targets[near]
        if self.task.kind == "regression":
            return found.mean(-2)
        votes = 1 - TIE / count * torch.arange(count, device=found.device, dtype=found.dtype)
        share = (found * votes[:, None]).sum(-2) * (count / votes.sum())
        if self.task.kind == "multilabel":
            return ((share + 0.5) / (count + 1)).logit()
        return ((share + 1 / self.task.outputs) / (count + 1)).log()
