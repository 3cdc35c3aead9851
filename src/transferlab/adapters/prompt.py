"""Prompt tuning: learned vectors in front of the input."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from transferlab.adapters.base import Method, require

if TYPE_CHECKING:
    from transformers import PreTrainedModel
    from transformers.modeling_outputs import BaseModelOutput


@dataclass(frozen=True)
class PromptTuning(Method):
    """Soft prompts: the encoder reads `[P; E(x)]` with learned `P` (Lester et al. 2021, https://arxiv.org/abs/2104.08691).

    `P` is `[tokens, embedding]` and starts as the embeddings of random words of the vocabulary. The output is cut to
    the input's own positions, so heads see no difference. The prompt takes positions: the longest input is shorter by
    `tokens`.

    Args:
        tokens: Length of the prompt.
    """

    tokens: int = 20

    def __post_init__(self) -> None:
        require(self.tokens >= 1, f"model.method.tokens: {self.tokens} is not a length; use 1 or more")

    def apply(self, backbone: "PreTrainedModel", total_steps: int | None = None) -> "nn.Module":
        """Wraps the backbone; see `Method.apply`."""
        require(
            hasattr(backbone, "get_input_embeddings"),
            f"model.method: PromptTuning needs a transformers encoder, not {backbone.config.model_type}",
        )
        positions = _positions(backbone)
        require(
            positions is None or self.tokens < positions,
            f"model.method.tokens: {self.tokens} leave no room for input, the encoder has {positions} positions",
        )
        return Prompted(backbone.requires_grad_(False), self.tokens, positions)


class Prompted(nn.Module):
    """An encoder that reads a learned prompt before each input.

    Args:
        backbone: The frozen encoder.
        tokens: Length of the prompt.
        positions: How many tokens the encoder can read; None means any number.
    """

    def __init__(self, backbone: "PreTrainedModel", tokens: int, positions: int | None) -> None:
        super().__init__()
        self.backbone, self.positions, self.config = backbone, positions, backbone.config
        words = cast("nn.Embedding", backbone.get_input_embeddings()).weight.detach()
        self.prompt = nn.Parameter(words[torch.randint(len(words), (tokens,))].clone())

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: "torch.Tensor | None" = None,
        token_type_ids: "torch.Tensor | None" = None,
        position_ids: "torch.Tensor | None" = None,
        output_hidden_states: bool | None = None,
    ) -> "BaseModelOutput":
        """Maps `[batch, length]` ids to a `last_hidden_state` of `[batch, length, hidden]`, as the backbone does."""
        from transformers.modeling_outputs import BaseModelOutput

        self._check_length(input_ids.shape[1])
        words = cast("nn.Embedding", self.backbone.get_input_embeddings())(input_ids)
        inputs = {"inputs_embeds": torch.cat([self.prompt.expand(words.shape[0], -1, -1), words], dim=1)}
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        inputs["attention_mask"] = self._prepend(mask, 1)
        if token_type_ids is not None:
            inputs["token_type_ids"] = self._prepend(token_type_ids, 0)
        if position_ids is not None:
            own = torch.arange(len(self.prompt), device=position_ids.device).expand(position_ids.shape[0], -1)
            # those of the input are counted on behind the prompt
            inputs["position_ids"] = torch.cat([own, position_ids + len(self.prompt)], dim=1)
        out = self.backbone(**inputs, output_hidden_states=output_hidden_states)
        states = out.hidden_states and tuple(self._cut(state) for state in out.hidden_states)
        return BaseModelOutput(last_hidden_state=self._cut(out.last_hidden_state), hidden_states=states)

    def _check_length(self, length: int) -> None:
        tokens = len(self.prompt)
        room = length if self.positions is None else self.positions - tokens
        require(
            length <= room,
            f"model.method.tokens: {tokens} prompt tokens and an input of {length} exceed the {self.positions} "
            f"positions of the encoder; cut inputs to {room} tokens or use fewer prompt tokens",
        )

    def _prepend(self, values: torch.Tensor, value: int) -> torch.Tensor:
        """Puts a constant in front of `[batch, length]`, once for each prompt token."""
        # its shape, not its len: that would be a constant in an exported graph
        return torch.cat([values.new_full((values.shape[0], len(self.prompt)), value), values], dim=1)

    def _cut(self, state: torch.Tensor) -> torch.Tensor:
        return state[:, len(self.prompt) :]


def _positions(backbone: "PreTrainedModel") -> int | None:
    """Returns how many tokens the position table serves; None for encoders without one."""
    for name, module in backbone.named_modules():
        if name.endswith(("embeddings.position_embeddings", "wpe")) and isinstance(module, nn.Embedding):
            # RoBERTa and MPNet count positions from behind the padding index
            return module.num_embeddings - (0 if module.padding_idx is None else module.padding_idx + 1)
    return None
