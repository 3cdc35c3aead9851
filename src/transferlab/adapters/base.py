"""What every parameter-efficient method offers to a strategy."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel


class Method(ABC):
    """A way to tune a pretrained encoder through few parameters.

    A method knows nothing of tasks or heads. In the order of use: `apply` once before the optimizer is built, `plan`
    when training starts, `penalty` with each loss, `after_step` after each optimizer step, `learned` when a checkpoint
    is written.

    Methods are dataclasses that jsonargparse builds from YAML. It doesn't find a dataclass's arguments in a file that
    has both `from __future__ import annotations` and an `if TYPE_CHECKING` block, so their files go without the former.
    """

    needs_total_steps: ClassVar[bool] = False

    @abstractmethod
    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Puts the method into a pretrained encoder.

        Args:
            backbone: The encoder without a task head. It is changed in place.
            total_steps: Optimizer steps of the whole run, where they are known already; else `plan` tells them. Only
                methods with `needs_total_steps` look at it.

        Returns:
            A module that is called like the backbone and gives `last_hidden_state` of shape `[batch, length, hidden]`
            for `input_ids` of shape `[batch, length]`. Exactly the parameters of the method require grad.

        Raises:
            TransferlabError: The method doesn't fit this encoder, or an argument doesn't.
        """

    def plan(self, module: "nn.Module", total_steps: int) -> None:  # noqa: B027 - most methods do nothing here
        """Learns, when training starts, how many optimizer steps the whole run has.

        Args:
            module: What `apply` returned.
            total_steps: Optimizer steps of the whole run, those before a resume included.
        """

    def penalty(self, module: "nn.Module") -> "torch.Tensor | None":
        """Returns a term of shape `[]` to be added to the loss, or None where the method has none."""
        return None

    def after_step(self, module: "nn.Module", step: int) -> None:  # noqa: B027 - most methods do nothing here
        """Follows an optimizer step, while the gradients of that step are still in place.

        Args:
            module: What `apply` returned.
            step: Optimizer steps done in the whole run, this one included: 1 after the first.
        """

    def findings(self, module: "nn.Module") -> dict[str, str]:
        """What the weights tell, by name, in words; empty where that is nothing."""
        return {}

    def merge(self, module: "nn.Module") -> None:  # noqa: B027 - nothing can be merged in most methods
        """Puts updates into the linear maps that they update, so that they cost nothing in prediction."""

    def unmerge(self, module: "nn.Module") -> None:  # noqa: B027
        """Takes them out again."""

    def learned(self, module: "nn.Module") -> set[str]:
        """Names the entries of `module.state_dict()` that, put on a fresh `apply`, restore the tuned module."""
        return {name for name, parameter in module.named_parameters() if parameter.requires_grad}


def in_pooler(name: str) -> bool:
    """Whether a parameter or module belongs to a pooler.

    `last_hidden_state` doesn't depend on poolers, so their parameters would train without a gradient, and DDP refuses
    that.
    """
    return name.startswith("pooler")


def require(ok: bool, message: str) -> None:
    """Raises a TransferlabError with `message` unless `ok`."""
    if not ok:
        raise TransferlabError(message)
