"""The head of a language model: loaded with its encoder, then asked of some token vectors only."""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from transferlab.encoders.loading import load_from_hub, set_dropout
from transferlab.encoders.padding import refuse_reading_padding

if TYPE_CHECKING:
    from transformers import PreTrainedModel

OFFSETS = ("roberta", "camembert", "xlm-roberta", "mpnet")
"""Families that count positions from behind the padding id."""


def pretrained(
    factory: Any, name: str, revision: str | None, dropout: float | None = None
) -> tuple["PreTrainedModel", list[str]]:
    """Loads a model of transformers with a head, in float32.

    Args:
        factory: A class of transformers that finds the architecture, such as ``AutoModelForMaskedLM``.
        name: Name on the Hub, a local folder or a run.
        revision: Commit on the Hub.
        dropout: Dropout probability; that of its configuration where None.

    Returns:
        The model, and the names of weights that its files do not have, which were drawn at random.

    Raises:
        TransferlabError: Nowhere to be found; names the remedies.
    """
    from transformers import AutoConfig

    config = load_from_hub(AutoConfig, name, revision)
    if getattr(config, "legacy", None) and config.model_type == "deberta-v2":
        # the head of the published weights is found under its new name only
        config.legacy = False
    set_dropout(config, dropout)
    options = {"config": config, "dtype": torch.float32, "use_safetensors": True, "output_loading_info": True}
    model, facts = load_from_hub(factory, name, revision, **options)
    refuse_reading_padding(model)
    return model, sorted(facts["missing_keys"])


def positions_of(config: Any) -> int:
    """Tokens of the longest sequence that an encoder has positions for."""
    extra = 2 if config.model_type in OFFSETS else 0
    return int(getattr(config, "max_position_embeddings", 10**9)) - extra


class _Given(nn.Module):
    """Stands in the place of an encoder below its head, and hands through what it is called with."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        # DeBERTa's head reads the embeddings of the encoder; they are its, not ours
        self.__dict__["embeddings"] = getattr(backbone, "embeddings", None)
        self.pooled: Tensor | None = None

    def forward(self, input_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions

        return BaseModelOutputWithPoolingAndCrossAttentions(last_hidden_state=input_ids, pooler_output=self.pooled)


class LanguageHead(nn.Module):
    """The head of a model without its encoder, so that it can be asked of some token vectors only.

    Args:
        model: A model of transformers with a head; its encoder is taken out.
    """

    def __init__(self, model: "PreTrainedModel") -> None:
        super().__init__()
        self.prefix = str(model.base_model_prefix)
        self._given = _Given(getattr(model, self.prefix))
        setattr(model, self.prefix, self._given)
        self.model = model

    def forward(self, vectors: Tensor, pooled: Tensor | None = None) -> Any:
        """What the head says of token vectors ``[tokens, hidden]``: the output of the model for one row of them."""
        self._given.pooled = pooled
        return self.model(input_ids=vectors[None])

    def whole(self, backbone: nn.Module) -> "PreTrainedModel":
        """The model with an encoder put in again; the head cannot be asked alone any longer."""
        setattr(self.model, self.prefix, backbone)
        return self.model

    @property
    def output_bias(self) -> nn.Parameter | None:
        """The bias of the vocabulary's logits, where there is one."""
        model: Any = self.model
        output = model.get_output_embeddings()
        return getattr(output, "bias", None)
