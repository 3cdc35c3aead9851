"""Whether an encoder leaves padding out; one that does not gives a text other vectors in another batch."""

from typing import Any

import torch

from transferlab.adapters.targets import FAMILIES
from transferlab.ground.errors import TransferlabError

MOVED = 1e-3
"""Part of the largest value by which padding may move a vector: rounding moves it by less than 1e-5."""


def refuse_reading_padding(model: Any) -> None:
    """Compares four tokens alone with the same behind padding, for an encoder of a family that is not in our map.

    The families of the map are compared by the tests. ConvBERT's convolutions and FNet's Fourier transform read
    padding, whatever the mask says.

    Args:
        model: A model of transformers, with or without a head. It is left as it was.

    Raises:
        TransferlabError: Padding moves the vectors.
    """
    backbone = getattr(model, model.base_model_prefix, model)
    family = str(model.config.model_type)
    if family in FAMILIES or model.config.is_encoder_decoder:
        return
    modes = [(module, module.training) for module in backbone.modules()]
    backbone.eval()
    try:
        alone, padded = (_vectors(backbone, padding) for padding in (0, 2))
    finally:
        for module, mode in modes:
            module.training = mode
    if (alone - padded).abs().max() > MOVED * alone.abs().max():
        raise TransferlabError(
            f"encoder.name: encoders of the family {family!r} read padding, so that the vectors of a text would depend "
            "on the batch that it stands in; take another one."
        )


@torch.no_grad()
def _vectors(backbone: Any, padding: int) -> torch.Tensor:
    """Vectors of four tokens ``[4, hidden]``, with so much padding behind them."""
    device = next(backbone.parameters()).device
    size = int(backbone.get_input_embeddings().weight.shape[0])
    words = [number % size for number in range(5, 9)]
    ids = torch.tensor([[*words, *[int(backbone.config.pad_token_id or 0)] * padding]], device=device)
    mask = torch.tensor([[1] * 4 + [0] * padding], device=device)
    found: torch.Tensor = backbone(input_ids=ids, attention_mask=mask).last_hidden_state
    return found[0, :4]
