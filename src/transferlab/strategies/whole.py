"""The encoder of a trained model as a class of transformers: updates merged into the weights."""

import copy
from typing import Any

import torch

from transferlab.adapters.plain import without_layers
from transferlab.encoders.language import class_of
from transferlab.ground.errors import TransferlabError
from transferlab.strategies.base import Strategy
from transferlab.strategies.parameter_efficient import ParameterEfficient


def plain_backbone(model: Strategy) -> Any:
    """The encoder, or the model that writes, as a class of transformers: updates merged into the weights.

    Raises:
        TransferlabError: It holds parts that transformers does not have.
    """
    from transformers import AutoModel

    if model.encoder_config.architecture == "bilstm":
        raise TransferlabError("a BiLSTM is no class of transformers; `transferlab predict` uses the run itself.")
    if isinstance(model, ParameterEfficient):
        model.method.merge(model.encoder.backbone)
    if model.encoder_config.keep_heads is not None:
        raise TransferlabError("no class of transformers holds layers with fewer heads; use --format onnx or torch.")
    if model.task.case:
        raise TransferlabError(
            "the encoder has rows for capitals (data.case), as transformers has none; use --format onnx or torch."
        )
    backbone: Any = without_layers(copy.deepcopy(model.encoder.backbone))
    config = getattr(backbone, "config", None)
    automatic: Any = class_of(config) if model.task.kind == "text" else AutoModel
    # names alone are looked at
    with torch.device("meta"):
        known = automatic.from_config(config).state_dict() if hasattr(config, "model_type") else {}
    strange = [name for name in backbone.state_dict() if name not in known]
    if strange:
        raise TransferlabError(
            f"the encoder holds parts that transformers does not have ({strange[0]}), which cannot be merged into its "
            "weights; use --format onnx or torch."
        )
    return backbone
