"""What is transferred: pretrained encoders, pooling and layer mixing."""

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.encoder import Encoder, build_encoder
from transferlab.encoders.loading import load_tokenizer

__all__ = ["Encoder", "EncoderConfig", "build_encoder", "load_tokenizer"]
