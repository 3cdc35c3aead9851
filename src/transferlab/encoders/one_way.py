"""Encoders that read from left to right: GPT-like decoders, of which the hidden states are read.

A token of theirs has seen only what stands before it. So the last token of a text stands for all of it, the last piece
of a word for the word, and the first token for nothing. Positions are counted over the attended tokens and passed, so
that padding on either side changes nothing.
"""

from typing import TYPE_CHECKING, Any

from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedTokenizerFast

FAMILIES = frozenset({"gpt2", "llama", "qwen2", "qwen3", "modernbert-decoder"})
"""Architectures (`config.model_type`) that read from left to right."""


def is_one_way(backbone: "nn.Module") -> bool:
    """Whether the tokens of an encoder see only what stands before them."""
    return str(getattr(getattr(backbone, "config", None), "model_type", "")) in FAMILIES


def positions(attention_mask: "Tensor") -> "Tensor":
    """Position of each attended token among the attended ones, from 0; 0 for padding ``[batch, length]``."""
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)


def check_pooling(config: EncoderConfig, family: str) -> None:
    """Refuses pooling that cannot work for an encoder of a family.

    Args:
        config: The encoder.
        family: Its `config.model_type`.

    Raises:
        TransferlabError: Names the key, the reason and the remedy.
    """
    if family in FAMILIES and config.pooling == "cls":
        raise TransferlabError(
            f"encoder.pooling: cls reads the first token, which in {config.label} has seen nothing of the text, since "
            "it reads from left to right; take last or mean."
        )


def special_tokens(tokenizer: "PreTrainedTokenizerFast", append_eos: bool, one_way: bool) -> None:
    """Lets a tokenizer put the special tokens that a decoder's own does without, in place.

    Between the two texts of a pair stands an end-of-sequence token where a decoder's tokenizer would join them without
    a mark.

    Args:
        tokenizer: The encoder's, of which no other use is made.
        append_eos: Whether the end-of-sequence token is put behind each sequence.
        one_way: Whether the encoder reads from left to right.

    Raises:
        TransferlabError: There is no end-of-sequence token to be put behind.
    """
    pair, single = (tokenizer.num_special_tokens_to_add(pair=pair) for pair in (True, False))
    between = append_eos or (one_way and pair == single)
    eos, number = tokenizer.eos_token, tokenizer.eos_token_id
    if append_eos and number is None:
        raise TransferlabError(
            f"encoder.append_eos: the tokenizer of {tokenizer.name_or_path} has no end-of-sequence token."
        )
    if not between or number is None:
        return
    from tokenizers import processors

    end, middle = (f" {eos}" if there else "" for there in (append_eos, between))
    template = processors.TemplateProcessing(
        single=f"$A{end}", pair=f"$A{middle} $B{end}", special_tokens=[(str(eos), number)]
    )
    backend: Any = tokenizer.backend_tokenizer
    before = backend.post_processor
    backend.post_processor = template if before is None else processors.Sequence([before, template])
