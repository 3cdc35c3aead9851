"""AdapterFusion: adapters that other runs have trained, put together by attention."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from transferlab.adapters.base import Method, require
from transferlab.adapters.bottleneck import Activation, Placement, Update, Wrapped, sites

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True)
class Fusion(Method):
    """AdapterFusion (Pfeiffer et al. 2021, https://arxiv.org/abs/2005.00247, section 3.2).

    Behind each adapted block stand the adapters of N finished runs, frozen. With `h` what the block's last dense map
    gives and `z_n = h + W_up,n·act(W_down,n·h)` what adapter n makes of it, each token gets

        o = sum_n s_n V·z_n,   s = softmax_n((Q·h)·(K·z_n)).

    `Q`, `K` and `V`, `[hidden, hidden]` for each block, are what learns, for the task at hand. `Q` and `K` start normal
    with sigma 0.02; `V` is 1 on its diagonal, with noise of sigma 1e-6 beside it, and is held there by
    `regularization·||V - I||^2`, as in the code of the authors.

    Args:
        runs: Finished runs with `Bottleneck` adapters on the same pretrained encoder, that of the task at hand among
            them maybe; ``{task}`` stands for its name.
        size: Width of their bottlenecks.
        placement: Which blocks have an adapter in these runs.
        activation: Their function between the two maps.
        top_layers: Their layers, counted from the output side; None: all.
        regularization: Weight of the term that holds `V`.
    """

    runs: tuple[str, ...] = ()
    size: int = 64
    placement: Placement = "pfeiffer"
    activation: Activation = "gelu"
    top_layers: int | None = None
    regularization: float = 0.01

    def __post_init__(self) -> None:
        require(
            len(self.runs) > 1,
            "model.method.runs: name at least two finished runs with adapters, such as '[adapter_mnli, adapter_rte]'",
        )
        require(self.size >= 1, f"model.method.size: {self.size} is not a width; use 1 or more")
        require(self.regularization >= 0, f"model.method.regularization: {self.regularization} is below 0")

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Wraps the last dense map of each adapted block; the adapters are zero until they are read from the runs."""
        names = sites(backbone, self.placement, self.top_layers)
        backbone.requires_grad_(False)
        for name in names:
            fused = Fused(backbone.get_submodule(name), len(self.runs), self.size, self.activation)
            backbone.set_submodule(name, fused)
        return backbone

    def penalty(self, module: "nn.Module") -> torch.Tensor | None:
        """`regularization·sum ||V - I||^2` over the blocks."""
        if not self.regularization:
            return None
        values = [one.value.weight for one in fused_in(module).values()]
        eyes = (torch.eye(len(value), device=value.device, dtype=value.dtype) for value in values)
        return (
            self.regularization * torch.stack([((v - e) ** 2).sum() for v, e in zip(values, eyes, strict=True)]).sum()
        )

    def learned(self, module: "nn.Module") -> set[str]:
        """Adds the frozen adapters, so that a checkpoint needs no other run."""
        inside = tuple(f"{name}.adapters." for name in fused_in(module))
        return super().learned(module) | {name for name in module.state_dict() if name.startswith(inside)}


class Fused(Wrapped):
    """A dense map with several frozen adapters behind it, and the attention over them.

    Args:
        base_layer: The pretrained map.
        count: Number of adapters.
        size: Width of their bottlenecks.
        activation: gelu or relu.
    """

    def __init__(self, base_layer: "nn.Module", count: int, size: int, activation: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        updates = [Update(base_layer, size, activation) for _ in range(count)]
        self.adapters = nn.ModuleList(updates).requires_grad_(False)
        hidden, like = updates[0].up.out_features, updates[0].up.weight
        self.query, self.key, self.value = (
            nn.Linear(hidden, hidden, bias=False, device=like.device, dtype=like.dtype) for _ in range(3)
        )
        for square, sigma in ((self.query, 0.02), (self.key, 0.02), (self.value, 1e-6)):
            nn.init.normal_(square.weight, std=sigma)
        with torch.no_grad():
            self.value.weight.fill_diagonal_(1)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Maps `[batch, length, in]` to `[batch, length, hidden]`."""
        out: torch.Tensor = self.base_layer(hidden)
        # [batch, length, adapters, hidden]
        adapted = torch.stack([out + one.update(out) for one in self.adapters], dim=-2)  # type: ignore[operator]
        scores = (self.key(adapted) @ self.query(out).unsqueeze(-1)).squeeze(-1)
        # V of the sum is the sum of V, which costs one product in place of N
        mixed: torch.Tensor = self.value((scores.softmax(-1).unsqueeze(-1) * adapted).sum(-2))
        return mixed


def fused_in(module: "nn.Module") -> dict[str, Fused]:
    """The blocks with several adapters, by name."""
    return {name: one for name, one in module.named_modules() if isinstance(one, Fused)}
