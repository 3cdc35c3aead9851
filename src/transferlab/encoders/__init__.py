"""What is transferred: pretrained encoders, pooling and layer mixing."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import load_tokenizer

if TYPE_CHECKING:
    from transferlab.encoders.encoder import Encoder, build_encoder

__all__ = ["Encoder", "EncoderConfig", "build_encoder", "load_tokenizer"]


def __getattr__(name: str) -> Any:
    # these import torch and transformers, which a method without an encoder does without
    if name not in {"Encoder", "build_encoder"}:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(f"{__name__}.encoder"), name)
    return found
