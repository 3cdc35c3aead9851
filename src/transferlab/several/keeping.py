"""What holds on to tasks that were learned before, while the next one is: EWC and learning without forgetting."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above
from transferlab.learning.kinds import KINDS
from transferlab.several.mixing import TaskBatch
from transferlab.strategies import content

FISHER = "ewc.pt"
"""In a run directory: how much each parameter mattered to the tasks so far, and where it is held."""


@dataclass(frozen=True)
class Keeping:
    """How earlier tasks are held on to.

    Attributes:
        method: ``ewc`` (Kirkpatrick et al. 2017, https://arxiv.org/abs/1612.00796) or ``lwf``: learning without
            forgetting (Li and Hoiem 2016, https://arxiv.org/abs/1606.09282).
        weight: What it counts beside the loss of the task.
        tasks: The tasks that were learned before.
        examples: For ewc, training examples that the Fisher information is measured on.
        temperature: For lwf, of the old model's answers.
    """

    method: Literal["ewc", "lwf"]
    weight: float = 1.0
    tasks: tuple[str, ...] = ()
    examples: int = 256
    temperature: float = 2.0

    def __post_init__(self) -> None:
        above(0, model__keeping__weight=self.weight, model__keeping__temperature=self.temperature)


class Remains:
    """What is left of the tasks before, and the penalty for leaving it.

    EWC: ``w/2 sum_i F_i (theta_i - theta*_i)^2`` over the parameters of the encoder, ``F_i`` the mean over examples of
    the squared gradient of each one's loss. Several earlier tasks each have such a term; their sum is one of the same
    form, see `added`, up to a constant.

    LwF: ``w sum_t d(old_t(x), new_t(x))`` over earlier tasks t, both heads on the texts of the new task, d the
    divergence of distillation with its temperature.

    Args:
        keeping: How; None: not at all.
    """

    def __init__(self, keeping: Keeping | None) -> None:
        self.keeping = keeping
        self.fisher: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}
        self.teacher: Any = None

    def begin(self, model: Any, run: Path) -> None:
        """Takes over what the run before has left.

        Args:
            model: Any model of the same tasks.
            run: The run directory.

        Raises:
            TransferlabError: It left no such thing.
        """
        if self.keeping is None or not self.keeping.tasks:
            return
        if self.keeping.method == "ewc":
            path = run / FISHER
            if not path.is_file():
                raise TransferlabError(f"model.keeping: {run} holds no {FISHER}; train it with model.keeping: ewc.")
            known = torch.load(path, map_location="cpu", weights_only=True)
            self.fisher, self.anchor = known["fisher"], known["anchor"]
            return
        for name in self.keeping.tasks:
            if model.strategies[name].task.per_word or model.strategies[name].task.ranges:
                raise TransferlabError(
                    f"model.keeping: lwf asks old heads about new texts, which {name} does not allow."
                )
        # no part of the model: nothing of it is trained or saved
        self.teacher = copy.deepcopy(model)
        self.teacher.load_state_dict(content.read(run / "checkpoints" / "best.ckpt")["state_dict"], strict=False)
        self.teacher.eval().requires_grad_(False)

    def penalty(self, model: Any, batch: TaskBatch) -> Tensor | None:
        """What is added to the loss of a batch, a scalar; None where nothing is."""
        if self.keeping is None:
            return None
        if self.fisher:
            self._to(model.device)
            return self.keeping.weight / 2 * quadratic(dict(model.shared()), self.fisher, self.anchor)
        if self.teacher is None or batch.task in self.keeping.tasks:
            return None
        self.teacher.to(model.device)
        return self.keeping.weight * self._apart(model, batch)

    def _apart(self, model: Any, batch: TaskBatch) -> Tensor:
        assert self.keeping is not None
        assert batch.batch.labels is not None
        terms = []
        for name in self.keeping.tasks:
            asked = TaskBatch(name, batch.batch)
            with torch.no_grad():
                old = self.teacher(asked)
            kind, labels = KINDS[model.strategies[name].task.kind], batch.batch.labels
            terms.append(kind.imitation(model(asked).float(), old.float(), labels, self.keeping.temperature, None))
        return torch.stack(terms).sum()

    def _to(self, device: torch.device) -> None:
        for values in (self.fisher, self.anchor):
            for name, value in values.items():
                values[name] = value.to(device)

    def leave(self, model: Any, batches: Iterable[TaskBatch], run: Path) -> None:
        """Writes what the next task needs of this one, where that is more than the weights.

        Args:
            model: With the weights that are kept.
            batches: Examples of the task, one at a time.
            run: The run directory.
        """
        if self.keeping is None or self.keeping.method != "ewc":
            return
        now = fisher(model, batches)
        weights = {name: value.detach().cpu().clone() for name, value in model.shared()}
        self._to(torch.device("cpu"))
        found = added(self.fisher, self.anchor, now, weights)
        torch.save({"fisher": found[0], "anchor": found[1]}, run / FISHER)


def quadratic(parameters: dict[str, nn.Parameter], fisher: dict[str, Tensor], anchor: dict[str, Tensor]) -> Tensor:
    """``sum_i F_i (theta_i - theta*_i)^2``, a scalar."""
    return torch.stack([(fisher[name] * (parameters[name] - anchor[name]) ** 2).sum() for name in fisher]).sum()


def fisher(model: Any, batches: Iterable[TaskBatch]) -> dict[str, Tensor]:
    """The diagonal of the empirical Fisher information: the mean over examples of the squared gradient.

    At the labels of the examples; the gradient of each one by itself, since the square of a batch's mean is smaller.

    Args:
        model: A `MultiTask`.
        batches: One example each.

    Returns:
        Name of each parameter that all tasks train to its values, on the processor.
    """
    model.eval()
    names, parameters = zip(*model.shared(), strict=True)
    sums = [torch.zeros_like(one) for one in parameters]
    count = 0
    for batch in batches:
        found = torch.autograd.grad(model.task_loss(batch.to(model.device)), parameters, allow_unused=True)
        for total, gradient in zip(sums, found, strict=True):
            if gradient is not None:
                total += gradient.detach() ** 2
        count += 1
    return {name: (total / max(count, 1)).cpu() for name, total in zip(names, sums, strict=True)}


def added(
    fisher: dict[str, Tensor], anchor: dict[str, Tensor], more: dict[str, Tensor], weights: dict[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """One quadratic term for all tasks so far and the one that was learned now.

    ``F (x - a)^2 + G (x - b)^2 = (F + G) (x - c)^2 + const`` with ``c = (F a + G b) / (F + G)``.

    Args:
        fisher: F; empty before the first task.
        anchor: a.
        more: G.
        weights: b; also where the sum of both is 0.

    Returns:
        The sum, and c.
    """
    if not fisher:
        return more, weights
    total = {name: fisher[name] + more[name] for name in more}
    place = {
        name: torch.where(
            total[name] > 0,
            (fisher[name] * anchor[name] + more[name] * weights[name]) / total[name].clamp(min=1e-30),
            weights[name],
        )
        for name in more
    }
    return total, place
