"""Word embeddings of which only the rows learn that occur in the training examples; the others only decay."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from transferlab.tasks import TaskDataModule
from transferlab.tasks.copied import UNLABELLED

KEY = "occurring"
"""Where a checkpoint holds what a run needs to resume."""
MOST = 0.75
"""Part of the vocabulary up to which it pays to train the rows that occur alone."""


def ids_of(data: TaskDataModule) -> Tensor:
    """All token ids that a training step may read, in rising order ``[ids]``."""
    split, rows = data.training_rows()
    encoded = data.encoded(split)
    parts = [encoded.ids.values] if len(rows) == len(encoded) else [encoded.ids.row(row) for row in rows]
    if data.unlabelled is not None:
        parts.append(data.encoded(UNLABELLED).ids.values)
    # 0 fills what nobody reads
    return torch.from_numpy(np.flatnonzero(np.bincount(np.concatenate([*parts, [0, encoded.pad_id]]))))


class OccurringRows(nn.Module):
    """Stands in for embeddings while a run trains.

    Its weight holds the rows that occur, so that gradients, moments and clipping have no others. One that never occurs
    has gradient 0: AdamW (Loshchilov and Hutter 2019, https://arxiv.org/abs/1711.05101, algorithm 2) multiplies it with
    1 - learning rate * decay in every step and does nothing else to it. That product is one number for all such rows.
    In a state dict it is the plain embeddings, all rows as they are by now.

    Args:
        whole: The embeddings.
        ids: Ids that occur, in rising order ``[rows]``.
        others: What the rows that do not occur began as, ``[vocabulary, width]``; None: as they are.
        decayed: The product so far.
    """

    place: Tensor
    others: Tensor
    whole: tuple[nn.Embedding]

    def __init__(self, whole: nn.Embedding, ids: Tensor, others: Tensor | None = None, decayed: float = 1.0) -> None:
        super().__init__()
        weight = whole.weight.detach()
        ids = ids.to(weight.device)
        # in a tuple it is no part of this module: its rows are neither counted nor saved twice
        self.whole = (whole,)
        self.ids = ids
        self.decayed = decayed
        self.weight = nn.Parameter(weight[ids])
        place = torch.full((len(weight),), -1, device=weight.device).scatter_(
            0, ids, torch.arange(len(ids), device=weight.device)
        )
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("others", weight if others is None else others.to(weight.device), persistent=False)
        # its row gets no gradient, as in the embeddings
        self.padding = None if whole.padding_idx is None else int(place[whole.padding_idx])

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of token ids, ``[..., width]``.

        Raises:
            IndexError: A training step reads an id that does not occur.
        """
        place = self.place[ids]
        if self.training:
            return F.embedding(place, self.weight, self.padding)
        rows = F.embedding(place.clamp(min=0), self.weight)
        return torch.where((place >= 0).unsqueeze(-1), rows, F.embedding(ids, self.others) * self.decayed)

    def rows(self) -> Tensor:
        """All rows as they are by now, ``[vocabulary, width]``."""
        rows = self.others * self.decayed
        rows[self.ids] = self.weight.detach()
        return rows

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = self.rows()


class Resumed(NamedTuple):
    """What a checkpoint tells of a run that it continues.

    Attributes:
        others: See `OccurringRows`; None: they did not decay.
        decayed: See `OccurringRows`.
    """

    others: Tensor | None
    decayed: float


class Training:
    """The rows that occur, in the place of the embeddings and in the optimizer, from a run's first step to its last.

    Args:
        backbone: The encoder, changed in place.
        optimizer: An AdamW that trains the embeddings.
        ids: Ids that occur.
        resumed: Of the run that is continued; None for a new one.
    """

    def __init__(self, backbone: Any, optimizer: Optimizer, ids: Tensor, resumed: Resumed | None) -> None:
        self.backbone, self.optimizer = backbone, optimizer
        whole: nn.Embedding = backbone.get_input_embeddings()
        self.rows = OccurringRows(whole, ids, *(resumed or ()))
        self._exchange(whole.weight, self.rows.weight, lambda moment: moment[self.rows.ids])
        whole.weight.grad = None
        backbone.set_input_embeddings(self.rows)
        self._hook = optimizer.register_step_post_hook(self._decay)

    def _exchange(self, old: Tensor, new: Tensor, change: Callable[[Tensor], Tensor]) -> None:
        """Lets the optimizer train another parameter, with what it knows of the old one."""
        for group in self.optimizer.param_groups:
            group["params"] = [new if parameter is old else parameter for parameter in group["params"]]
        if known := self.optimizer.state.pop(old, None):
            self.optimizer.state[new] = {
                name: change(value) if value.shape == old.shape else value for name, value in known.items()
            }

    def _decay(self, optimizer: Optimizer, *_: Any) -> None:
        group = self._group()
        self.rows.decayed *= 1 - float(group["lr"]) * group["weight_decay"]

    def _group(self) -> dict[str, Any]:
        return next(g for g in self.optimizer.param_groups if any(p is self.rows.weight for p in g["params"]))

    def end(self) -> None:
        """Puts the embeddings back, all rows as they are by now."""
        self._hook.remove()
        whole = self.rows.whole[0]
        with torch.no_grad():
            whole.weight.copy_(self.rows.rows())
        self._exchange(self.rows.weight, whole.weight, self._unfolded)
        self.backbone.set_input_embeddings(whole)

    def _unfolded(self, moment: Tensor) -> Tensor:
        return unfold(moment, self.rows.ids, len(self.rows.place))

    def save(self, checkpoint: dict[str, Any]) -> None:
        """Adds to a checkpoint what `load` needs beside the weights and the moments of the rows that occur.

        The optimizer's state there does without the embeddings, so that a version which does not know of rows that
        occur refuses it.
        """
        number = 0
        for at, group in enumerate(self.optimizer.param_groups):
            place = next((n for n, parameter in enumerate(group["params"]) if parameter is self.rows.weight), None)
            if place is None:
                number += len(group["params"])
                continue
            state = checkpoint["optimizer_states"][0]
            state["param_groups"][at]["params"].remove(number + place)
            checkpoint[KEY] = {
                "ids": self.rows.ids,
                "vocabulary": len(self.rows.place),
                "group": at,
                "number": number + place,
                "moments": state["state"].pop(number + place, {}),
                "decayed": self.rows.decayed,
                "others": None if self.rows.decayed == 1 else self.rows.others,
            }
            return


def unfold(moment: Tensor, ids: Tensor, vocabulary: int) -> Tensor:
    """A moment of some rows as that of all, ``[vocabulary, width]``: 0 where a row had no gradient."""
    return moment.new_zeros(vocabulary, *moment.shape[1:]).index_copy_(0, ids.to(moment.device), moment)


def load(checkpoint: dict[str, Any]) -> Resumed | None:
    """Makes the moments in a checkpoint those of all rows, so that any optimizer can go on from them.

    Returns:
        What a run that is resumed needs; None from a checkpoint of a run that trained all rows.
    """
    kept = checkpoint.get(KEY)
    if kept is None:
        return None
    state, number = checkpoint["optimizer_states"][0], kept["number"]
    moments = {
        name: unfold(value, kept["ids"], kept["vocabulary"]) if value.ndim > 1 else value
        for name, value in kept["moments"].items()
    }
    places = state["param_groups"][kept["group"]]["params"]
    if number not in places:
        places[:] = sorted([*places, number])
        if moments:
            state["state"][number] = moments
    return Resumed(kept["others"], kept["decayed"])


def unfit(backbone: Any) -> str:
    """Why the embeddings of an encoder have to be trained whole, if at all; empty where some rows suffice."""
    if not hasattr(backbone, "get_input_embeddings"):
        return "the encoder names no embeddings"
    words = backbone.get_input_embeddings()
    if type(words) is not nn.Embedding or words.max_norm is not None or words.scale_grad_by_freq or words.sparse:
        return "the embeddings are of a form of their own"
    if not words.weight.requires_grad:
        return "the embeddings do not learn"
    if sum(each is words.weight for _, each in backbone.named_parameters(remove_duplicate=False)) != 1:
        return "the embeddings are used twice"
    return ""


def obstacle(backbone: Any, optimizers: list[Optimizer], ids: Tensor) -> str:
    """Why all rows have to be trained; empty where those that occur do."""
    if len(optimizers) != 1 or type(optimizers[0]) is not AdamW:
        return "only with AdamW a row without gradient does nothing but decay"
    if why := unfit(backbone):
        return why
    vocabulary = len(backbone.get_input_embeddings().weight)
    return "most rows occur" if int(ids[-1]) >= vocabulary or len(ids) > MOST * vocabulary else ""
