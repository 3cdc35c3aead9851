"""Losses of every kind of task, and knowledge distillation. All of them are computed in float32."""

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.ground.errors import TransferlabError
from transferlab.learning.imbalance import LossForm
from transferlab.learning.kinds import KINDS
from transferlab.learning.kinds.base import Learned
from transferlab.tasks.spec import Kind


def task_loss(
    kind: Kind | Learned,
    logits: Tensor,
    labels: Tensor,
    mask: Tensor | None = None,
    form: LossForm | None = None,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
    last: bool = False,
) -> Tensor:
    """Returns the supervised loss of a batch.

    * classification: ``mean_i -log softmax(logits_i)[labels_i]``
    * regression: ``mean_i (logits_i - labels_i)^2``
    * tagging: ``-log softmax(logits_iw)[labels_iw]``, averaged over the real words of the whole batch; 0 (with a
      graph) where there are none. A word is real if its label is not -100 and `mask` holds.

    Args:
        kind: Kind of the task, by name or as `Learned.of` gives it.
        logits: `[batch, classes]`, `[batch]` for regression, `[batch, words, classes]` for tagging.
        labels: `[batch]`, or `[batch, words]` for tagging.
        mask: For tagging, True at the words that the encoder saw, `[batch, words]`; None means all.
        form: ``weighted`` or ``focal``, see `transferlab.learning.imbalance`; None: all decisions count alike.
        weights: For ``weighted``, what `KINDS[kind].weights` gives.
        smoothing: e of label smoothing: ``(1 - e) loss + e mean KL(uniform || softmax(logits))``. The second term
            counts all decisions alike, in a weighted loss too.
        last: Whether nobody reads the logits afterwards, so that they may be overwritten.

    Returns:
        A scalar in float32.
    """
    if last and form is None and not smoothing:
        return _learned(kind).last_loss(logits, labels, mask)
    logits = logits.float()
    if form is not None:
        loss = _learned(kind).reweighted(logits, labels, mask, form, weights)
    else:
        loss = _learned(kind).loss(logits, labels, mask)
    if not smoothing:
        return loss
    # logits that are all alike are the uniform distribution
    uniform = _learned(kind).imitation(logits, torch.zeros_like(logits), labels, 1.0, mask)
    return (1 - smoothing) * loss + smoothing * uniform


def example_losses(kind: Kind | Learned, logits: Tensor, labels: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns the loss of each example ``[batch]``, by the formulas of `task_loss`; the mean over its own real words.

    Args:
        kind: Kind of the task, by name or as `Learned.of` gives it.
        logits: `[batch, classes]`, `[batch]` for regression, `[batch, words, classes]` for tagging.
        labels: `[batch]`, or `[batch, words]` for tagging.
        mask: For tagging, True at the words that the encoder saw, `[batch, words]`; None means all.
    """
    return _learned(kind).losses(logits.float(), labels, mask)


def distillation_loss(
    kind: Kind | Learned,
    student: Tensor,
    teacher: Tensor | None,
    labels: Tensor,
    alpha: float,
    temperature: float,
    mask: Tensor | None = None,
    form: LossForm | None = None,
    weights: Tensor | None = None,
    smoothing: float = 0.0,
) -> Tensor:
    """Returns the loss of a student that imitates a teacher (Hinton et al., 2015, https://arxiv.org/abs/1503.02531).

    With ``p = softmax(teacher / T)`` and ``q = softmax(student / T)``:
    ``alpha * CE(student, labels) + (1 - alpha) * T^2 * mean KL(p || q)``, where the mean runs over examples, for
    tagging over real words (see `task_loss`). The factor T^2 keeps the gradients of both terms on one scale.
    Regression: ``alpha * MSE(student, labels) + (1 - alpha) * MSE(student, teacher)``; T plays no part.

    A term of weight 0 is not computed: with ``alpha=1`` this is exactly `task_loss` and the teacher may be None. No
    gradient flows into the teacher.

    Args:
        kind: Kind of the task, by name or as `Learned.of` gives it.
        student: `[batch, classes]`, `[batch]` for regression, `[batch, words, classes]` for tagging.
        teacher: Shaped as `student`.
        labels: `[batch]`, or `[batch, words]` for tagging.
        alpha: Weight of the labels, 0 to 1.
        temperature: T, above 0.
        mask: For tagging, True at the words that the encoder saw, `[batch, words]`; None means all.
        form: Of the term with the labels, see `task_loss`.
        weights: See `task_loss`.
        smoothing: See `task_loss`.

    Returns:
        A scalar in float32.

    Raises:
        TransferlabError: The teacher counts and is not there, or a weight or temperature has no meaning.
    """
    if alpha == 1:
        return task_loss(kind, student, labels, mask, form, weights, smoothing)
    _check(alpha, temperature)
    if teacher is None:
        raise TransferlabError(f"distillation with alpha={alpha} needs a teacher; only alpha=1 does without")
    imitation = _learned(kind).imitation(student.float(), teacher.detach().float(), labels, temperature, mask)
    if alpha == 0:
        return imitation
    return alpha * task_loss(kind, student, labels, mask, form, weights, smoothing) + (1 - alpha) * imitation


def representation_loss(student: Tensor, teacher: Tensor, mask: Tensor | None = None) -> Tensor:
    """Returns ``mean || s / ||s|| - t / ||t|| ||^2`` over examples, for tagging over real words.

    The representation loss of Patient Knowledge Distillation (Sun et al. 2019, https://arxiv.org/abs/1908.09355,
    equation 7), on the vectors that the heads read. No gradient flows into the teacher.

    Args:
        student: `[batch, hidden]`, or `[batch, words, hidden]` for tagging.
        teacher: Shaped as `student`.
        mask: For tagging, True at the words that count, `[batch, words]`.

    Returns:
        A scalar in float32.

    Raises:
        ValueError: Student and teacher differ in shape.
    """
    if student.shape != teacher.shape:
        raise ValueError(f"student and teacher differ in shape: {list(student.shape)} and {list(teacher.shape)}")
    difference = F.normalize(student.float(), dim=-1) - F.normalize(teacher.detach().float(), dim=-1)
    distance = difference.square().sum(-1)
    if mask is None:
        return distance.mean()
    return distance.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def _check(alpha: float, temperature: float) -> None:
    """Refuses weights and temperatures without meaning."""
    if not 0 <= alpha <= 1:
        raise TransferlabError(f"alpha={alpha} lies outside 0 to 1")
    if not temperature > 0:
        raise TransferlabError(f"temperature={temperature} is not above 0")


def _learned(kind: Kind | Learned) -> Learned:
    return KINDS[kind] if isinstance(kind, str) else kind
