"""Two copies of an encoder, joined by new cross attention: one reads, the other one writes."""

import copy
from typing import TYPE_CHECKING, Any

from transferlab.encoders.config import EncoderConfig
from transferlab.encoders.loading import facts_of, load_from_hub, load_tokenizer, model_config
from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

JOINED = ("bert", "roberta", "xlm-roberta", "camembert", "electra")
"""Architectures (`config.model_type`) of which transformers makes both parts."""
NEW = ("crossattention", "cls.", "lm_head", "generator_", "pooler", "position_ids")
"""Parts of weights that begin at random: what attends to the input, and the head over the vocabulary where none is."""


def check_joined(config: EncoderConfig) -> None:
    """Checks that two copies of an encoder can be joined; reads no weights.

    Raises:
        TransferlabError: It writes by itself, or transformers cannot make it write.
    """
    family = str(facts_of(config).get("model_type", ""))
    if family not in JOINED:
        raise TransferlabError(
            f"encoder.joined: two of {config.label} ({family or config.architecture}) cannot be joined; take one of "
            f"{', '.join(JOINED)}, or leave it out for a model that writes by itself."
        )


def joined(config: EncoderConfig, eos: int, pad: int | None) -> "PreTrainedModel":
    """Loads an encoder twice and joins the two, in float32; cross attention begins at random.

    Rothe et al. 2020, https://arxiv.org/abs/1907.12461. Each copy has embeddings of its own, as transformers'
    EncoderDecoderModel has them.

    Args:
        config: The encoder.
        eos: The token that ends a text: what its tokenizer puts behind one.
        pad: That of padding.

    Raises:
        TransferlabError: Nowhere to be found, no token to start with or to pad with, or files without a weight that
            is not new.
    """
    from torch import float32
    from transformers import AutoModel, AutoModelForCausalLM, EncoderDecoderModel, GenerationConfig

    start = load_tokenizer(config).bos_token_id
    if start is None or pad is None:
        what = "to pad with" if start is not None else "before a text, which would be what a decoder starts with"
        raise TransferlabError(f"encoder.joined: the tokenizer of {config.label} has no token {what}.")
    reads: Any = model_config(config)
    writes = copy.deepcopy(reads)
    writes.is_decoder = writes.add_cross_attention = True
    parts: list[Any] = []
    for factory, facts in ((AutoModel, reads), (AutoModelForCausalLM, writes)):
        automatic: Any = factory
        if config.architecture == "random":
            parts.append(automatic.from_config(facts, dtype=float32))
            continue
        options: dict[str, Any] = {"dtype": float32, "use_safetensors": True, "output_loading_info": True}
        part, found = load_from_hub(automatic, config.name, config.revision, config=facts, **options)
        if missing := [name for name in sorted(found["missing_keys"]) if not any(new in name for new in NEW)]:
            raise TransferlabError(f"encoder.name: the files of {config.label} lack {missing[0]}; take others.")
        parts.append(part)
    if getattr(parts[0], "pooler", None) is not None:
        # it would be a part without gradient
        parts[0].pooler = None
    model: Any = EncoderDecoderModel(encoder=parts[0], decoder=parts[1])
    tokens = {"decoder_start_token_id": int(start), "eos_token_id": eos, "pad_token_id": pad}
    for name, value in tokens.items():
        setattr(model.config, name, value)
    model.config.vocab_size = writes.vocab_size
    settings: Any = GenerationConfig
    model.generation_config = settings(**tokens)
    return model  # type: ignore[no-any-return]
