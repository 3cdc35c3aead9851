"""Small models that write, to be trained from scratch: their shape and a tokenizer of characters, without weights."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from transferlab.config.places import cache_folder

PREFIX = "embedded/"
PAD, END, UNKNOWN = range(3)
CHARACTERS = "\n" + "".join(map(chr, range(32, 127)))
VOCABULARY = {name: number for number, name in enumerate(("<pad>", "</s>", "<unk>", *CHARACTERS))}
_TOKENS = {"vocab_size": len(VOCABULARY), "pad_token_id": PAD, "eos_token_id": END}
SHAPES: dict[str, dict[str, Any]] = {
    "embedded/t5": {
        "model_type": "t5",
        "architectures": ["T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "d_model": 64,
        "d_kv": 16,
        "num_heads": 4,
        "d_ff": 128,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "dropout_rate": 0.0,
        "relative_attention_num_buckets": 32,
        "relative_attention_max_distance": 64,
        "decoder_start_token_id": PAD,
        "tie_word_embeddings": True,
        **_TOKENS,
    },
    "embedded/llama": {
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_size": 64,
        "intermediate_size": 160,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 128,
        # narrow layers learn to copy sooner from larger weights
        "initializer_range": 0.1,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        **_TOKENS,
    },
}
"""Name to ``config.json``; with about 170,000 and 150,000 weights."""
VERSION = 1
"""Part of the folder's name; to be raised with any change of what is written."""


def is_tiny(name: str) -> bool:
    """Whether a name is that of such a model."""
    return name in SHAPES


def folder_of(name: str) -> Path:
    """The folder of a model in the Hub's layout; written where it is not there yet."""
    folder = cache_folder() / "tiny" / f"{name.removeprefix(PREFIX)}-{VERSION}"
    if folder.is_dir():
        return folder
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    fresh.mkdir(parents=True, exist_ok=True)
    try:
        (fresh / "config.json").write_text(json.dumps(SHAPES[name]), encoding="utf-8")
        _tokenizer().save(str(fresh / "tokenizer.json"))
        special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
        facts = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 512, **special}
        (fresh / "tokenizer_config.json").write_text(json.dumps(facts), encoding="utf-8")
        fresh.rename(folder)
    except OSError:
        # another process was faster
        if not folder.is_dir():
            raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return folder


def _tokenizer() -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

    tokenizer: Any = Tokenizer(models.WordLevel(VOCABULARY, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["<pad>", "</s>", "<unk>"])
    return tokenizer
