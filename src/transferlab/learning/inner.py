"""Losses between what stands inside a student and inside its teacher; small functions of tensors."""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from transferlab.config.taught import INNER
from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least

Form = Literal["mse", "cosine", "cka"]
Relation = Literal["attention", "query", "key", "value"]


@dataclass(frozen=True)
class Inner:
    """Terms of a distillation that compare the inside of student and teacher; null, the default, leaves one out.

    The teacher reads each batch in every step for them. All but `patient` compare token by token, so both must read the
    same tokens; for tagging hidden states are compared word by word, whatever the tokens are.

    Attributes:
        hidden: Weight of the distance of hidden states of the mapped layers, by `form` (TinyBERT, Jiao et al. 2020,
            https://arxiv.org/abs/1909.10351, equation 8).
        form: ``mse``: ``mean (H_s W - H_t)^2`` over tokens and width; ``cosine``: ``1 - cos(H_s W, H_t)``, mean over
            tokens; ``cka``: one minus linear CKA over the tokens of a batch (Kornblith et al. 2019,
            https://arxiv.org/abs/1905.00414), for any two widths without a W. W is a trained map where the widths
            differ, one for all layers. null: ``mse``.
        embeddings: Weight of the same between the outputs of the embeddings (TinyBERT, equation 9).
        attention: Weight of ``mean (A_s - A_t)^2`` over heads and pairs of tokens, A the scores ``Q K' / sqrt(d)``
            before the softmax (TinyBERT, equation 7); wants equally many heads.
        relations: Weight of ``mean KL(R_t || R_s)`` over heads and tokens, ``R = softmax(X Y' / sqrt(d))`` (MiniLM,
            Wang et al. 2020, https://arxiv.org/abs/2002.10957), in the top layers alone unless `layers` says otherwise.
        relations_of: ``attention``: X the queries and Y the keys; ``query``, ``key`` and ``value``: both of them; null:
            attention and value, as MiniLM has it; query, key and value are those of MiniLMv2.
        relation_heads: Heads that the width of both is divided into (MiniLMv2, https://arxiv.org/abs/2012.15828); null:
            their own, which must be equally many.
        patient: Weight of ``mean || s / ||s|| - t / ||t|| ||^2`` between the pooled vectors of the mapped layers below
            the last one (Patient KD, Sun et al. 2019, https://arxiv.org/abs/1908.09355, equation 7).
        layers: The teacher's layer, from 1, for each of the student's from the first; 0 maps none. ``even``: layer m of
            M to m N / M of N, rounded; ``last``: to the top M. null: ``even``, for relations the last one alone.
    """

    hidden: float | None = None
    form: Form | None = None
    embeddings: float | None = None
    attention: float | None = None
    relations: float | None = None
    relations_of: tuple[Relation, ...] | None = None
    relation_heads: int | None = None
    patient: float | None = None
    layers: Literal["even", "last"] | tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        above(
            0,
            model__inner__hidden=self.hidden,
            model__inner__embeddings=self.embeddings,
            model__inner__attention=self.attention,
            model__inner__relations=self.relations,
            model__inner__patient=self.patient,
        )
        at_least(1, model__inner__relation_heads=self.relation_heads)
        if self.relations_of == ():
            raise TransferlabError("model.inner.relations_of: name one of attention, query, key and value.")

    @property
    def chosen(self) -> list[str]:
        """Names of the terms that are on."""
        return [name for name in INNER if getattr(self, name) is not None]

    @property
    def reads_attention(self) -> bool:
        """Whether queries, keys and values are compared."""
        return self.attention is not None or self.relations is not None

    @property
    def of(self) -> tuple[Relation, ...]:
        """The relations that are compared."""
        return self.relations_of or ("attention", "value")

    @property
    def idle(self) -> dict[str, str]:
        """Keys that were set and change nothing, with the reason."""
        found = {}
        if self.form and self.hidden is None and self.embeddings is None:
            found["model.inner.form"] = "no hidden states are compared"
        for name in ("relations_of", "relation_heads"):
            if getattr(self, name) is not None and self.relations is None:
                found[f"model.inner.{name}"] = "model.inner.relations is not set"
        if self.layers is not None and not self.chosen:
            found["model.inner.layers"] = "no layers are compared"
        return found


def layer_map(how: Literal["even", "last"] | tuple[int, ...] | None, student: int, teacher: int) -> dict[int, int]:
    """The teacher's layer for layers of the student, both from 1.

    Args:
        how: See `Inner.layers`.
        student: Layers of the student.
        teacher: Layers of the teacher.

    Raises:
        TransferlabError: More layers than there are, or none.
    """
    if how is None or how == "even":
        return {layer: max(1, (2 * layer * teacher + student) // (2 * student)) for layer in range(1, student + 1)}
    if how == "last":
        if teacher < student:
            raise TransferlabError(f"model.inner.layers: the teacher has {teacher} layers, fewer than {student}.")
        return {layer: teacher - student + layer for layer in range(1, student + 1)}
    found = {layer: of for layer, of in enumerate(how, 1) if of}
    if len(how) > student or not found or not all(0 <= of <= teacher for of in how):
        raise TransferlabError(
            f"model.inner.layers: {list(how)} does not fit {student} layers of the student and {teacher} of the "
            "teacher; name a layer from 1, or 0, for each of the student's."
        )
    return found


def hidden_loss(student: Tensor, teacher: Tensor, mask: Tensor, form: Form | None = None) -> Tensor:
    """Returns the distance of hidden states over real positions, see `Inner.form`; no gradient into the teacher.

    Args:
        student: `[batch, length, width]`.
        teacher: The same, for ``cka`` of any width.
        mask: True at real positions `[batch, length]`.
        form: ``mse``, ``cosine`` or ``cka``; None: ``mse``.

    Returns:
        A scalar in float32; 0 where no position is real.
    """
    one, other = student.float()[mask], teacher.detach().float()[mask]
    if not len(one):
        return student.sum() * 0
    if form == "cka":
        return 1 - cka(one, other)
    if form == "cosine":
        return (1 - F.cosine_similarity(one, other, dim=-1)).mean()
    return F.mse_loss(one, other)


def cka(one: Tensor, other: Tensor) -> Tensor:
    """Linear CKA, ``||Y'X||^2 / (||X'X|| ||Y'Y||)`` of centred columns in Frobenius norms, in 0 .. 1.

    Args:
        one: X, `[n, width]`.
        other: Y, `[n, another width]`.
    """
    one, other = one - one.mean(0), other - other.mean(0)
    shared = (other.T @ one).square().sum()
    sizes = (one.T @ one).norm() * (other.T @ other).norm()
    return torch.as_tensor(shared / sizes.clamp(min=1e-12))


def scores(queries: Tensor, keys: Tensor, heads: int) -> Tensor:
    """``X Y' / sqrt(d)`` of each head, `[batch, heads, length, length]`.

    Args:
        queries: X, `[batch, length, width]`.
        keys: Y, shaped alike.
        heads: Parts of the width.

    Raises:
        TransferlabError: The width is no multiple of the heads.
    """
    batch, length, width = queries.shape
    if width % heads:
        raise TransferlabError(f"model.inner.relation_heads: a width of {width} is no multiple of {heads} heads.")
    x, y = (part.float().view(batch, length, heads, width // heads).transpose(1, 2) for part in (queries, keys))
    return torch.as_tensor(x @ y.transpose(-1, -2) / (width // heads) ** 0.5)


def attention_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Returns ``mean (A_s - A_t)^2`` over heads and pairs of real positions, see `Inner.attention`.

    Args:
        student: Scores, `[batch, heads, length, length]`.
        teacher: Shaped as `student`.
        mask: True at real positions `[batch, length]`.
    """
    pairs = (mask[:, None, :, None] & mask[:, None, None, :]).expand_as(student)
    return F.mse_loss(student[pairs], teacher.detach()[pairs])


def relation_loss(student: Tensor, teacher: Tensor, mask: Tensor) -> Tensor:
    """Returns ``mean KL(softmax(A_t) || softmax(A_s))`` over heads and real positions, see `Inner.relations`.

    Args:
        student: Scores, `[batch, heads, length, length]`.
        teacher: Shaped as `student`.
        mask: True at real positions `[batch, length]`.
    """
    padding = ~mask[:, None, None, :]
    q, p = (part.masked_fill(padding, -torch.inf).log_softmax(-1) for part in (student, teacher.detach()))
    apart = torch.where(padding, 0.0, p.exp() * (p - q).masked_fill(padding, 0.0)).sum(-1)
    real = mask[:, None, :].expand_as(apart)
    return apart[real].mean()
