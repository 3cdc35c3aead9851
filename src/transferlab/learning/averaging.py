"""An average of the weights over the steps of a run, beside the live ones."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """The average of some parameters, in float32, and an exchange of the two.

    Args:
        parameters: By name; those that learn.
        decay: That of an exponential average, see `transferlab.learning.steady.Steady.ema`; None: the plain mean.

    Attributes:
        count: Steps that are in the average.
        values: The average by name; empty before the first step.
        live: The live weights, while the parameters hold the average; else None.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float | None) -> None:
        self.parameters = parameters
        self.decay = decay
        self.count = 0
        self.values: dict[str, Tensor] = {}
        self.live: dict[str, Tensor] | None = None

    @torch.no_grad()
    def update(self) -> None:
        """Takes the parameters as they are into the average."""
        share = 1 / (self.count + 1)
        if self.decay is not None and self.count:
            share = 1 - min(self.decay, (1 + self.count) / (10 + self.count))
        for name, parameter in self.parameters.items():
            now = parameter.detach().float()
            if self.count:
                self.values[name] = self.values[name].to(now.device).lerp_(now, share)
            else:
                self.values[name] = now.clone()
        self.count += 1

    def show(self) -> None:
        """Puts the average into the parameters; does nothing before the first step, or where it is there."""
        if not self.count or self.live is not None:
            return
        # validation runs in inference mode, whose tensors could not be trained on afterwards
        with torch.inference_mode(False), torch.no_grad():
            self.live = {name: parameter.detach().clone() for name, parameter in self.parameters.items()}
            for name, parameter in self.parameters.items():
                parameter.copy_(self.values[name])

    def hide(self) -> None:
        """Puts back the live weights."""
        if self.live is None:
            return
        with torch.inference_mode(False), torch.no_grad():
            for name, parameter in self.parameters.items():
                parameter.copy_(self.live[name])
        self.live = None

    def save(self, state: dict[str, Any]) -> dict[str, Tensor]:
        """Puts the average into the state that is written, whichever of the two the parameters hold.

        Returns:
            The live weights, which a run needs to resume.
        """
        live = self.live or {name: state[name] for name in self.parameters}
        state.update(self.values)
        return live

    def load(self, state: dict[str, Any], live: Mapping[str, Tensor], count: int) -> None:
        """Takes the average out of a state that `save` changed, and puts the live weights back into it."""
        self.live, self.count = None, count
        self.values = {name: state[name].float().clone() for name in self.parameters}
        state.update(live)
