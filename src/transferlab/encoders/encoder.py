"""An encoder: backbone, the hidden states that are read, and pooling."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from transferlab.encoders import boundary
from transferlab.encoders.config import EncoderConfig, Pooling
from transferlab.encoders.content import Content, content_of
from transferlab.encoders.heads import keep_heads
from transferlab.encoders.layers import drop_top_layer, keep_layers
from transferlab.encoders.one_way import is_one_way, positions
from transferlab.encoders.packing import Packing, enable_packing, packed_inputs, pool_packed
from transferlab.encoders.recurrent import RecurrentBackbone
from transferlab.ground.errors import TransferlabError


class LayerMix(nn.Module):
    """Learned mix of hidden states, ``gamma * sum_k softmax(s)_k h_k``.

    Peters et al. 2018 (ELMo), equation 1, https://arxiv.org/abs/1802.05365.

    Args:
        layers: Number of hidden states, the embeddings included.
    """

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(layers))
        self.gamma = nn.Parameter(torch.ones(()))

    @property
    def weights(self) -> Tensor:
        """Share of each hidden state ``[layers]``, summing to one."""
        return self.scores.softmax(0)

    def choose(self, weights: Tensor) -> None:
        """Takes given shares ``[layers]``, which sum to one, in place of learned ones."""
        with torch.no_grad():
            # a finite score whose share is 0
            self.scores.copy_(weights.log().clamp(min=-1e4))
            self.gamma.fill_(1)

    def forward(self, states: tuple[Tensor, ...]) -> Tensor:
        """Mixes ``layers`` tensors of ``[batch, length, hidden]`` into one."""
        return self.gamma * torch.einsum("k,kblh->blh", self.weights, torch.stack(states))


class Encoder(nn.Module):
    """Token vectors from a backbone, and one vector from token vectors.

    Args:
        backbone: A transformers encoder without head, or a `RecurrentBackbone`.
        config: Which hidden states are read and how they are pooled.
        content: Hashes of the files that weights and tokenizer were read from.
    """

    def __init__(self, backbone: nn.Module, config: EncoderConfig, content: Content = Content()) -> None:  # noqa: B008
        super().__init__()
        self.content = content
        self.backbone = backbone
        self.config = config
        self._one_way = is_one_way(backbone)
        if self._one_way:
            # keys and values of earlier tokens are for generating texts
            backbone.config.use_cache = False  # type: ignore[union-attr]
        # of two encoders that were joined the one that reads
        facts: Any = getattr(backbone.config, "encoder", backbone.config)
        self.width = int(facts.hidden_size)
        count = int(facts.num_hidden_layers)
        if config.layers.endswith("last_four") and count < 4:
            raise TransferlabError(f"encoder.layers: {config.layers} needs four layers, {config.label} has {count}.")
        self.mix = LayerMix(count + 1) if config.layers == "mix" else None

    @property
    def hidden_size(self) -> int:
        """Width of a token vector."""
        return self.width * (4 if self.config.layers == "concat_last_four" else 1)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        packing: Packing | None = None,
    ) -> Tensor:
        """Encodes tokens.

        Args:
            input_ids: ``[batch, length]``, packed ``[1, tokens]``.
            attention_mask: ``[batch, length]``; not looked at where the row is packed.
            token_type_ids: Like `input_ids`, or None for a single segment.
            packing: Where the sequences of a packed row lie; None for a padded batch.

        Returns:
            Token vectors ``[batch, length, hidden]``, packed ``[1, tokens, hidden]``.

        Raises:
            TransferlabError: A packed row, and an encoder that cannot read it.
        """
        if self.config.layers == "last":
            inputs = self._inputs(input_ids, attention_mask, token_type_ids, packing)
            last: Tensor = self.backbone(**inputs).last_hidden_state
            return last
        states = self.states(input_ids, attention_mask, token_type_ids, packing)
        match self.config.layers:
            case "second_to_last":
                return states[-2]
            case "sum_last_four":
                return torch.stack(states[-4:]).sum(0)
            case "concat_last_four":
                return torch.cat(states[-4:], dim=-1)
        assert self.mix is not None
        return self.mix(states)  # type: ignore[no-any-return]

    def states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        token_type_ids: Tensor | None = None,
        packing: Packing | None = None,
    ) -> tuple[Tensor, ...]:
        """All hidden states, the embeddings first; arguments and shapes as in `forward`."""
        inputs = self._inputs(input_ids, attention_mask, token_type_ids, packing)
        states: tuple[Tensor, ...] = self.backbone(**inputs, output_hidden_states=True).hidden_states
        return states

    def _inputs(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None, packing: Packing | None
    ) -> dict[str, Any]:
        inputs: dict[str, Any] = {"input_ids": input_ids, "attention_mask": attention_mask}
        if packing is not None:
            enable_packing(self.backbone)
            inputs |= packed_inputs(self.backbone, packing)
        elif self._one_way:
            # left alone, some families count padding too
            inputs["position_ids"] = positions(attention_mask)
        return inputs if token_type_ids is None else inputs | {"token_type_ids": token_type_ids}

    def below(self, depth: int, inputs: dict[str, Tensor]) -> Tensor:
        """Hidden states above layer `depth` (from 1), ``[batch, length, hidden]``; `inputs` as for `forward`."""
        with boundary.lower(self.backbone, depth):
            states: Tensor = self.backbone(**inputs).last_hidden_state
        return states

    def above(self, depth: int, states: Tensor, inputs: dict[str, Tensor]) -> Tensor:
        """What `forward` gives, computed from the hidden states above layer `depth` alone."""
        with boundary.upper(self.backbone, depth, states):
            return self(**inputs)  # type: ignore[no-any-return]

    def pool(self, tokens: Tensor, attention_mask: Tensor, packing: Packing | None = None) -> Tensor:
        """Pools ``[batch, length, hidden]`` to ``[batch, hidden]``, a packed row to ``[sequences, hidden]``."""
        if packing is not None:
            return pool_packed(tokens, packing, self.config.pooling)
        return pool(tokens, attention_mask, self.config.pooling)


def pool(tokens: Tensor, attention_mask: Tensor, how: Pooling) -> Tensor:
    """Pools token vectors ``[batch, length, hidden]`` to ``[batch, hidden]``, padding left out."""
    if how == "cls":
        return tokens[:, 0]
    if how == "last":
        places = torch.arange(attention_mask.shape[1], device=tokens.device) * attention_mask.bool()
        return tokens.gather(1, places.amax(1)[:, None, None].expand(-1, 1, tokens.shape[-1])).squeeze(1)
    mask = attention_mask.unsqueeze(-1).bool()
    if how == "max":
        return tokens.masked_fill(~mask, torch.finfo(tokens.dtype).min).amax(1)
    return (tokens * mask).sum(1) / mask.sum(1).clamp(min=1)


def build_encoder(config: EncoderConfig, writes: bool = False) -> Encoder:
    """Loads or builds an encoder; with `writes` a model with its language-modelling head in its place.

    Raises:
        TransferlabError: Nowhere to be found, or layers that it does not have.
    """
    from transferlab.encoders.loading import load_backbone, load_tokenizer, resolved
    from transferlab.encoders.static import refuse_vectors, vectors_file

    config = resolved(config)
    if config.joined and not writes:
        raise TransferlabError(
            "encoder.joined: only a model that writes texts (kind: text) has two parts; leave it out."
        )
    if config.architecture == "bilstm":
        file = vectors_file(config)
        recurrent = (
            RecurrentBackbone.over(file, config.lstm_size)
            if file
            else RecurrentBackbone(len(load_tokenizer(config)), config.lstm_size)
        )
        return Encoder(recurrent, config, content_of(config))
    refuse_vectors(config)
    if writes:
        return Encoder(_writer(config), config, content_of(config))
    backbone: Any = load_backbone(config)
    # at once, so that it is that of the files that were read
    content = content_of(config)
    if getattr(backbone, "pooler", None) is not None:
        # it would be a part without gradient: we pool ourselves
        backbone.pooler = None
    if isinstance(config.keep_layers, tuple) and config.keep_layers:
        keep_layers(backbone, config.keep_layers)
    if config.keep_heads is not None:
        keep_heads(backbone, config.keep_heads)
    if config.layers == "second_to_last" and drop_top_layer(backbone):
        config = replace(config, layers="last")
    if config.activation_checkpointing:
        # the form that asks for no gradient of its inputs, so that frozen embeddings do no harm
        name = "activation_checkpointing_enable"
        enable = getattr(backbone, name, None) or backbone.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if config.compile:
        # in place, so the names in a checkpoint stay as they are; it happens at the first batch
        backbone.compile()
    return Encoder(backbone, config, content)


def _writer(config: EncoderConfig) -> nn.Module:
    from transferlab.encoders.language import load_language_model
    from transferlab.encoders.loading import load_tokenizer

    tokenizer = load_tokenizer(config)
    # the form of the task has been checked for an end before
    model: Any = load_language_model(config, int(tokenizer.eos_token_id or 0), tokenizer.pad_token_id)
    if config.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.compile:
        model.compile()
    return model  # type: ignore[no-any-return]
