"""Rows for tokens and token types that an encoder does not have, beside its embeddings."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError

PLAIN = (*"@*#^$%+=~&;:", *"abcdefghij")
"""Tokens that the rows of markers start from, in the order of their names; the first four that an encoder knows."""
MIXED = "The CAPITALS of a McEwan"
"""What a tokenizer reads as its lower case where it drops capitals."""
ALIKE = 0.999
"""Cosine from which two rows are one: the head could not be told from the tail."""


class NewTokens(nn.Module):
    """Embeddings with further rows, for ids from `first` on. They are parameters of their own.

    So they can be trained and saved alone, whatever becomes of the others.

    Args:
        old: The embeddings of the encoder.
        rows: What the new rows start as ``[tokens, width]``.
        first: Id of the first of them.
    """

    def __init__(self, old: nn.Module, rows: Tensor, first: int) -> None:
        super().__init__()
        self.old = old
        self.rows = nn.Parameter(rows.clone())
        self.first = first

    @property
    def weight(self) -> Any:
        """The rows of the vocabulary."""
        return self.old.weight

    def forward(self, ids: Tensor) -> Tensor:
        """Vectors of token ids, ``[..., width]``."""
        new = F.embedding((ids - self.first).clamp(min=0), self.rows)
        known: Tensor = self.old(ids.clamp(max=self.first - 1))
        return torch.where((ids >= self.first).unsqueeze(-1), new.to(known.dtype), known)


def add_new_tokens(backbone: Any, names: tuple[str, ...], config: EncoderConfig) -> None:
    """Gives an encoder rows for new tokens, which start from those of its own vocabulary.

    A plain marker, such as ``[E1]``, starts as a punctuation mark, each another one; ``[E1:PERSON]`` half as that and
    half as the mean of the pieces of "person". Rows that all start as the mean of the vocabulary would be the same for
    head and tail.

    Args:
        backbone: The encoder, changed in place.
        names: Of the tokens, as `transferlab.tasks.pairs.new_tokens` makes them.
        config: Its tokenizer.

    Raises:
        TransferlabError: Two of them start alike.
    """
    from transferlab.encoders.loading import load_tokenizer

    tokenizer = load_tokenizer(config)
    old = backbone.get_input_embeddings()
    weight = old.weight.detach()

    def mean_of(text: str) -> Tensor:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        known = [number for number in ids if number != tokenizer.unk_token_id]
        found: Tensor = weight[known].mean(0) if known else weight.new_zeros(weight.shape[1])
        return found

    starts = [mark for mark in PLAIN if mean_of(mark).any()]
    plain = dict(zip(("[E1]", "[/E1]", "[E2]", "[/E2]"), map(mean_of, starts), strict=False))
    rows = []
    for name in names:
        entity, _, kind = name.strip("[]").partition(":")
        row = plain.get(f"[{entity}]", weight.new_zeros(weight.shape[1]))
        rows.append((row + mean_of(kind.replace("_", " ").lower())) / 2 if kind else row)
    stacked = torch.stack(rows)
    alike = F.cosine_similarity(stacked[:, None], stacked[None], dim=-1).fill_diagonal_(0)
    if not stacked.any(1).all() or float(alike.max()) > ALIKE:
        raise TransferlabError(
            f"data.markers: the vocabulary of {config.label} has too few tokens for new ones to start from, so that "
            "head and tail could not be told apart; use punctuation."
        )
    backbone.set_input_embeddings(NewTokens(old, stacked, len(tokenizer)))


def type_embeddings(backbone: Any) -> Any:
    """The embeddings of token types; None for an encoder that has none."""
    # under a learned prompt lies the encoder itself
    inner = getattr(backbone, "backbone", backbone)
    return getattr(getattr(inner, "embeddings", None), "token_type_embeddings", None)


def add_token_types(backbone: Any, count: int, config: EncoderConfig) -> None:
    """Gives an encoder that lower-cases its text rows for token types that stand for capitals.

    They start as its row of the first type, so that it reads at first as it was pretrained. The second type of BERT
    means another sentence, so its row is none of them.

    Args:
        backbone: The encoder, changed in place.
        count: Number of the types behind the first one.
        config: Its tokenizer.

    Raises:
        TransferlabError: It reads capitals anyway, or has no token types.
    """
    from transferlab.encoders.loading import load_tokenizer

    tokenizer = load_tokenizer(config)
    written, lowered = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (MIXED, MIXED.lower()))
    if written != lowered:
        raise TransferlabError(f"data.case: the tokenizer of {config.label} keeps capitals already; leave it out.")
    old = type_embeddings(backbone)
    if old is None:
        raise TransferlabError(
            f"data.case: capitals are told as token types, which {config.label} does not have; leave it out, or take "
            "an encoder such as BERT or ELECTRA."
        )
    backbone.embeddings.token_type_embeddings = NewTokens(old, old.weight.detach()[:1].expand(count, -1), 1)


def new_rows(module: nn.Module) -> list[nn.Parameter]:
    """The rows of new tokens and token types in a module."""
    return [part.rows for part in module.modules() if isinstance(part, NewTokens)]
