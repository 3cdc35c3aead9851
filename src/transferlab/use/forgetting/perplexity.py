"""What an encoder still knows of hidden words: masked-language-model perplexity of general text, before and after."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from transferlab.encoders import EncoderConfig, load_tokenizer
from transferlab.encoders.language_head import LanguageHead
from transferlab.pretraining.batches import collate, counts_of
from transferlab.pretraining.corpus import Part, tokens_of
from transferlab.pretraining.objectives.masked import token_term
from transferlab.pretraining.rows import Reading, Rows
from transferlab.pretraining.start import Start, load

LENGTH = 128
"""Tokens of a row."""
TOGETHER = 32
"""Rows of a batch."""


class Perplexity(NamedTuple):
    """Perplexity of the same hidden tokens.

    Attributes:
        original: Of the encoder that a run started from.
        tuned: Of the encoder that it left, under the same head; of a pretraining under the head that it left.
        hidden: Number of these tokens.
    """

    original: float
    tuned: float
    hidden: int


def perplexity(
    encoder: EncoderConfig, tuned: nn.Module, texts: list[str], own: EncoderConfig | None = None
) -> Perplexity | None:
    """Asks the pretrained head for hidden words, above the original encoder and above the tuned one.

    ``exp(-1/n sum_i log p(x_i | x_hidden))`` over the hidden tokens; masks as in `transferlab pretrain`, the same in
    every run. The head stays as it was pretrained, and is tied to the embeddings that the encoder has now.

    Args:
        encoder: The encoder that the run started from.
        tuned: Its backbone as the run left it.
        texts: General texts.
        own: For a pretraining, the encoder that it left with a head of its own, which is asked in place of `tuned`.

    Returns:
        None where the encoder has no pretrained head for hidden words.
    """
    tokenizer: Any = load_tokenizer(encoder)
    if encoder.architecture != "pretrained" or tokenizer.mask_token_id is None or (found := _headed(encoder)) is None:
        return None
    head, original = found
    part = part_of(texts, tokenizer)
    before, count = _loss(head, original, part, tokenizer)
    if own is not None:
        if (left := _headed(own)) is None:
            return None
        head, tuned = left
    after, _ = _loss(head, tuned, part, tokenizer)
    return Perplexity(float(np.exp(before / count)), float(np.exp(after / count)), count)


def _headed(encoder: EncoderConfig) -> tuple[LanguageHead, Any] | None:
    """The head of an encoder for hidden words, and its backbone; None where none is in its files."""
    from transformers import AutoModelForMaskedLM

    try:
        model, drawn = load(Start(encoder.name, encoder.revision), AutoModelForMaskedLM, load_tokenizer(encoder))
    except ValueError:
        # a family that transformers knows no such head for
        return None
    if any("pooler" not in name for name in drawn):
        return None
    backbone: Any = getattr(model, model.base_model_prefix)
    return LanguageHead(model).eval(), backbone


def part_of(texts: list[str], tokenizer: Any) -> Part:
    """Texts as tokens."""
    pairs = [pair for pair in tokens_of(texts, tokenizer) if len(pair[0])]
    ids, flags = (np.concatenate([pair[place] for pair in pairs]) for place in (0, 1))
    return Part(ids, flags, np.concatenate([[0], np.cumsum([len(pair[0]) for pair in pairs])]))


@torch.inference_mode()
def _loss(head: LanguageHead, backbone: Any, part: Part, tokenizer: Any) -> tuple[float, int]:
    """Sum of the losses of hidden tokens, and their number."""
    backbone = backbone.eval()
    model: Any = head.model
    if model.config.tie_word_embeddings:
        model.get_output_embeddings().weight = backbone.get_input_embeddings().weight
    device = next(backbone.parameters()).device
    head.to(device)
    length = min(LENGTH, int(getattr(backbone.config, "max_position_embeddings", LENGTH)) - 2)
    rows = Rows(part, tokenizer, Reading(), length, None)
    order = np.argsort(-rows.lengths, kind="stable")
    total, count, types = 0.0, 0, "token_type_ids" in tokenizer.model_input_names
    for at in range(0, len(order), TOGETHER):
        numbers = order[at : at + TOGETHER].tolist()
        made = [rows(0, number) for number in numbers]
        batch = collate(made, numbers, counts_of(made), int(tokenizer.pad_token_id or 0), types, False).to(device)
        segments = {} if batch.token_type_ids is None else {"token_type_ids": batch.token_type_ids}
        vectors = backbone(input_ids=batch.input_ids, attention_mask=batch.attention_mask, **segments).last_hidden_state
        term = token_term(head(vectors.flatten(0, 1)[batch.places]).logits[0], batch.labels)
        total, count = total + float(term.total), count + term.count
    return total, count
