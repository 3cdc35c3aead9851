"""What an encoder is by content: hashes of its weights and tokenizer, whatever their name and place."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from transferlab.config import hashes
from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import locate
from transferlab.encoders.static import VECTORS

WEIGHTS = "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spm.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
"""Names of the files that tokenizers of transformers are read from."""


class Content(NamedTuple):
    """Hashes of an encoder's files, 16 hexadecimal digits each.

    Attributes:
        weights: Of the pretrained weights; empty where none are read, or where they cannot be found.
        tokenizer: Of the tokenizer's files; empty where they cannot be found.
    """

    weights: str = ""
    tokenizer: str = ""


def content_of(config: EncoderConfig) -> Content:
    """The content of an encoder that was loaded; a file is hashed once, see `transferlab.config.hashes`."""
    names = list(_weights(config)) if config.architecture == "pretrained" else []
    if config.architecture == "bilstm":
        names = [VECTORS]
    try:
        weights = hashes.of_files(path for name in names if (path := _file(config, name)))
        return Content(weights, hashes.of_files(path for name in TOKENIZER if (path := _file(config, name))))
    except OSError:
        return Content()


def _weights(config: EncoderConfig) -> Iterator[str]:
    """Names of the files that the weights are read from: one, or those that an index lists."""
    index = _file(config, INDEX)
    if _file(config, WEIGHTS) or not index:
        yield WEIGHTS
        return
    try:
        yield from sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError):
        return


def _file(config: EncoderConfig, name: str) -> Path | None:
    place = locate(config.name, config.revision)
    if (folder := Path(place.target)).is_dir():
        return path if (path := folder / name).is_file() else None
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(place.target, name, revision=place.revision)
    return Path(found) if isinstance(found, str) else None
