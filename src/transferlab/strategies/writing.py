"""Outputs of a model that writes, as texts, and how each of them ended."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from transferlab.encoders.language import generate, target_logits
from transferlab.ground.errors import TransferlabError
from transferlab.learning.losses import example_losses
from transferlab.tasks import Batch
from transferlab.tasks.generation import Search

REPEATS = 3
"""So many times in a row, at least, a sequence of tokens stands at the end of an output that is in a loop."""
LOOPING = 8
"""So many tokens the repetitions have in all, at least: three zeros are a number."""

LOGITS = 2**24
"""Logits that an evaluation holds at once, for a single target more of them: 64 MiB in float32, and as much again."""


class Outputs(NamedTuple):
    """What was generated for some examples of a batch.

    Attributes:
        places: Where they are in the batch ``[outputs]``.
        texts: The outputs.
        ends: How each ended: ``ended``, ``cut``, ``endless`` or ``empty``.
        new_tokens: Tokens of each, its end included.
        references: The right outputs of each; None without.
    """

    places: Tensor
    texts: list[str]
    ends: list[str]
    new_tokens: list[int]
    references: list[list[str]] | None


def logits_of(backbone: Any, batch: Batch) -> Tensor:
    """Logits of the tokens of the targets ``[batch, length, vocabulary]``."""
    assert batch.labels is not None
    return target_logits(backbone, batch.input_ids, batch.attention_mask, batch.labels)


def target_losses(backbone: Any, batch: Batch) -> Tensor:
    """The loss of each target ``[batch]``, a mean over its tokens; so many rows at once as `LOGITS` allows."""
    assert batch.labels is not None
    ids, mask, labels = batch.input_ids, batch.attention_mask, batch.labels
    vocabulary = len(backbone.get_input_embeddings().weight)
    rows = max(1, LOGITS // (labels.shape[1] * vocabulary))
    parts = [slice(start, start + rows) for start in range(0, len(labels), rows)]
    return torch.cat(
        [example_losses("text", target_logits(backbone, ids[at], mask[at], labels[at]), labels[at]) for at in parts]
    )


@torch.no_grad()
def written(backbone: Any, tokenizer: Any, batch: Batch, search: Search, some: bool) -> Outputs:
    """Generates outputs.

    Args:
        backbone: The model.
        tokenizer: Its tokenizer.
        batch: The inputs.
        search: How outputs are searched for.
        some: Whether only for the examples that `Batch.generate` names.

    Raises:
        TransferlabError: Nobody said how long an output may be.
    """
    if search.max_new_tokens is None:
        raise TransferlabError("data.generation.max_new_tokens: not known without training targets; give a number.")
    places = torch.arange(len(batch.index))
    if some and batch.generate is not None:
        places = places[batch.generate.cpu()]
    references = None
    if batch.targets is not None and batch.targets.references is not None:
        references = [list(batch.targets.references[place]) for place in places.tolist()]
    if not len(places):
        return Outputs(places, [], [], [], references)
    rows = places.to(batch.input_ids.device)
    ids, mask = batch.input_ids[rows], batch.attention_mask[rows]
    # what is padding in all of these rows
    used = mask.any(0)
    end = int(tokenizer.eos_token_id or 0)
    texts, ends, counts = [], [], []
    for tokens in generate(backbone, ids[:, used], mask[:, used], search).tolist():
        body, ended = (tokens[: tokens.index(end)], True) if end in tokens else (tokens, False)
        text = str(tokenizer.decode(body, skip_special_tokens=True, clean_up_tokenization_spaces=False)).strip()
        texts.append(text)
        ends.append(_end_of(body, ended, text))
        counts.append(len(body) + ended)
    return Outputs(places, texts, ends, counts, references)


def _end_of(tokens: list[int], ended: bool, text: str) -> str:
    if not ended:
        return "endless" if in_loop(tokens) else "cut"
    return "ended" if text else "empty"


def in_loop(tokens: list[int]) -> bool:
    """Whether a sequence of tokens ends with the same few tokens again and again."""
    for width in range(1, len(tokens) // REPEATS + 1):
        repeats = max(REPEATS, -(-LOOPING // width))
        last = tokens[-width:]
        if repeats * width <= len(tokens) and tokens[-repeats * width :] == last * repeats:
            return True
    return False
