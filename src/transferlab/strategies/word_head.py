"""The pretrained head for masked words, read as a head of classes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from transferlab.encoders import EncoderConfig
from transferlab.encoders.language_head import LanguageHead, pretrained
from transferlab.ground.errors import TransferlabError

REMEDY = "--encoder bert_base, roberta_base or modernbert_base have one, and what `transferlab pretrain` leaves"


class WordHead(nn.Module):
    """Logits of classes from the vector at the gap: those of the words that stand for a class.

    ``z_c = mean over words w of c of mean over tokens t of w of MLM(h)_t - prior_c``.

    Args:
        language: The pretrained head.
        words: Tokens of the words of each class.
    """

    reads_tokens = False
    tokens: Tensor
    shares: Tensor

    def __init__(self, language: LanguageHead, words: Sequence[Sequence[Sequence[int]]]) -> None:
        super().__init__()
        self.language = language
        tokens = sorted({token for label in words for word in label for token in word})
        shares = torch.zeros(len(words), len(tokens))
        for row, label in zip(shares, words, strict=True):
            for word in label:
                for token in word:
                    row[tokens.index(token)] += 1 / (len(label) * len(word))
        self.register_buffer("tokens", torch.tensor(tokens), persistent=False)
        self.register_buffer("shares", shares, persistent=False)
        self.prior = nn.Parameter(torch.zeros(len(words)))

    def forward(self, vectors: Tensor, mask: Tensor | None = None) -> Tensor:
        """Logits ``[batch, classes]`` of ``[batch, sets, hidden]``, the mean over sets, or of ``[batch, hidden]``."""
        # float32, as of any head: bf16 has too few bits to rank by
        logits: Tensor = self.language(vectors.flatten(0, -2)).logits[0].float()[:, self.tokens] @ self.shares.T
        logits = logits.view(*vectors.shape[:-1], -1)
        found: Tensor = (logits.mean(1) if vectors.ndim > 2 else logits) - self.prior
        return found


def language_head(backbone: nn.Module, encoder: EncoderConfig) -> LanguageHead:
    """The pretrained head of an encoder, its output tied to the embeddings where it was pretrained so.

    Raises:
        TransferlabError: There is none.
    """
    from transformers import MODEL_FOR_MASKED_LM_MAPPING, AutoModelForMaskedLM

    known: Any = MODEL_FOR_MASKED_LM_MAPPING
    if type(backbone.config) not in known:
        raise TransferlabError(f"encoder.name: {encoder.label} has no head for masked words; {REMEDY}.")
    model, drawn = pretrained(AutoModelForMaskedLM, encoder.name, encoder.revision)
    prefix = str(model.base_model_prefix)
    missing = [name for name in drawn if not name.startswith(f"{prefix}.") and name.endswith("weight")]
    if missing:
        raise TransferlabError(
            f"encoder.name: {encoder.label} has no pretrained head for masked words ({missing[0]} is not in its "
            f"files), which Prompting asks; {REMEDY}."
        )
    setattr(model, prefix, backbone)
    model.tie_weights()
    return LanguageHead(model)
