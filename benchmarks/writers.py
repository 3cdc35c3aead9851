"""Models that write, with random weights, which both sides of a comparison start from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

SHAPES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 256, "d_ff": 1024, "d_kv": 64, "num_layers": 4, "num_decoder_layers": 4},
    "llama": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 6, "head_dim": 64},
    "small_t5": {},
    "small_llama": {},
    "vocabulary_llama": {"hidden_size": 256, "intermediate_size": 768, "num_hidden_layers": 4, "head_dim": 64}
    | {"max_position_embeddings": 512, "tie_word_embeddings": True},
}
"""What they differ in from those of the demonstration; the last part of a name says from which."""
WORDS = "HuggingFaceTB/SmolLM2-135M-Instruct"
"""Whose 49,152 tokens ``vocabulary_llama`` reads and writes; the others know characters."""
USUAL: dict[str, Any] = {"lr": 1e-3, "epochs": 1, "batch": 32, "length": 64, "target": 16, "written": 11}
"""Rate, epochs, examples of a batch, tokens of an input, of a target and of an output; a row may have others.

With ``bucket`` too, batches of like length come from so many batches; 1: they are drawn in random order, as the peer's.
"""


def settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a row, the usual ones where it has none of its own."""
    return USUAL | dict(given)


def write(shape: str, folder: Path) -> Path:
    """Writes a model and its tokenizer into a folder, unless they are there."""
    import torch

    from transferlab.encoders import EncoderConfig
    from transferlab.encoders.language import class_of
    from transferlab.encoders.loading import load_tokenizer, model_config

    if not (folder / "config.json").is_file():
        known = EncoderConfig(f"embedded/{shape.split('_')[-1]}", architecture="random")
        own, tokenizer = dict(SHAPES[shape]), load_tokenizer(known)
        if shape.startswith("vocabulary"):
            tokenizer = load_tokenizer(EncoderConfig(WORDS))
            own |= {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
            own["vocab_size"] = len(tokenizer)
        config = model_config(known)
        for name, value in own.items():
            setattr(config, name, value)
        torch.manual_seed(0)
        class_of(config).from_config(config).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return folder
