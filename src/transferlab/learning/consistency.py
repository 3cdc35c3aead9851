"""Consistency training: a text and a changed copy of it are to get the same answer."""

import torch
from torch import Tensor

from transferlab.learning.kinds import KINDS
from transferlab.tasks.spec import Kind

WITHOUT: dict[Kind, str] = {
    "tagging": "a copy moves the words that have the answers",
    "relation": "its texts are not copied",
    "slots": "its texts are not copied",
    "text": "its texts are not copied",
    "qa": "its texts are not copied",
}
"""Kinds that cannot have it, with the reason."""


def consistency_loss(
    kind: Kind, moved: Tensor, target: Tensor, temperature: float | None = None, least: float | None = None
) -> Tensor:
    """Returns ``1 / n sum_i [max p_i >= least] KL(p_i || q_i)``, ``p = softmax(target / T)``, ``q = softmax(moved)``.

    UDA (Xie et al. 2020, https://arxiv.org/abs/1904.12848, section 2). The largest probability is that before the
    temperature. Several labels: the mean over labels too; regression: the squared error. No gradient flows into the
    target.

    Args:
        kind: Kind of the task.
        moved: Logits of the copies, `[batch, classes]`, `[batch]` for regression.
        target: Logits of the texts, shaped as `moved`.
        temperature: T; None: 1.
        least: Of classification, the least probability of a target that counts; None: all count.

    Returns:
        A scalar in float32.
    """
    moved, target = moved.float(), target.detach().float()
    sure = torch.ones(len(moved), dtype=torch.bool, device=moved.device)
    if least is not None:
        sure = target.softmax(-1).amax(-1) >= least
    if not sure.any():
        # with a graph, as gradients are asked for
        return moved.sum() * 0
    soft = target if temperature is None else target / temperature
    apart = KINDS[kind].imitation(moved[sure], soft[sure], torch.zeros_like(sure[sure]), 1.0, None)
    return apart * (sure.sum() / len(sure))
