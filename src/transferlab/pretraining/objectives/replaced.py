"""Replaced token detection: ELECTRA."""

from typing import Any

import torch
from lightning.pytorch.cli import OptimizerCallable
from torch import Tensor, nn
from torch.nn import functional as F

from transferlab.adapters.base import Method
from transferlab.encoders import Encoder, EncoderConfig
from transferlab.encoders.language_head import LanguageHead
from transferlab.learning.optim import Schedule, adamw_1e4
from transferlab.pretraining.batches import TextBatch
from transferlab.pretraining.objectives.base import MAIN, Pretraining, Term
from transferlab.pretraining.objectives.masked import token_term
from transferlab.pretraining.rows import Reading
from transferlab.pretraining.start import Start, Tokens

DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob")
"""What the generator takes over from the encoder's configuration, where it is there."""


def sample(logits: Tensor, noise: Tensor) -> Tensor:
    """Draws a token for each target, by the inverse of the distribution function: a function of the noise.

    Args:
        logits: ``[targets, vocabulary]``.
        noise: Numbers in [0, 1) ``[targets]``.
    """
    steps = logits.float().softmax(-1).cumsum(-1)
    # the sum of rounded shares need not be 1
    drawn = torch.searchsorted(steps, (noise * steps[:, -1])[:, None], right=True)[:, 0]
    return drawn.clamp(max=logits.shape[-1] - 1)


class _Detector(nn.Module):
    """Whether a token was replaced, for encoders without such a head: ELECTRA's, with random weights."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        logits: Tensor = self.layers(vectors)[..., 0]
        return logits


class ReplacedTokens(Pretraining):
    """Tells which tokens a small generator has put in the place of hidden ones (Clark et al. 2020, section 2).

    ``L = L_generator + weight * 1/n sum_t BCE(D(x)_t, [x_t was replaced])`` over the n real tokens of a step;
    https://arxiv.org/abs/2003.10555. The generator learns to predict hidden tokens and shares the token embeddings; no
    gradient flows through what it draws. What is left is the encoder that tells them apart.

    Args:
        tokens: Facts about the text; linked from the data.
        encoder: What is pretrained; linked from the top-level key.
        optimizer: Called with parameter groups.
        schedule: Learning rate over the run.
        method: Trains a few parameters inside the encoder, such as LoRA; null: all.
        share: Share of words that are hidden from the generator.
        whole_words: Whether all tokens of a word are hidden together.
        generator_size: Width of the generator as a part of the encoder's.
        weight: What telling them apart counts beside the generator's loss.
    """

    def __init__(
        self,
        tokens: Tokens,
        encoder: Start,
        optimizer: OptimizerCallable = adamw_1e4,
        schedule: Schedule = Schedule(),  # noqa: B008  frozen
        method: Method | None = None,
        share: float = 0.15,
        whole_words: bool = False,
        generator_size: float = 0.25,
        weight: float = 50.0,
    ) -> None:
        # hidden tokens are never left as they are: the generator may put them back
        self.reading = Reading(share=share, whole_words=whole_words, masked=1.0, kept=0.0)
        self.weight = weight
        super().__init__(tokens, encoder, optimizer, schedule, method)
        self._build_generator(generator_size)

    def factory(self) -> Any:
        """ELECTRA with its head, other encoders without one."""
        from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

        from transferlab.encoders.loading import load_from_hub

        new = self.start.new
        family = new.family if new else load_from_hub(AutoConfig, self.start.name, self.start.revision).model_type
        return AutoModelForPreTraining if family == "electra" else AutoModel

    def keep(self, model: Any) -> None:
        """Takes the head out, or makes one."""
        self.has_head = type(model).__name__ == "ElectraForPreTraining"
        self.head = LanguageHead(model) if self.has_head else _Detector(int(model.config.hidden_size))
        if getattr(model, "pooler", None) is not None:
            # without a gradient here
            model.pooler = None

    def _build_generator(self, size: float) -> None:
        from transformers import ElectraConfig, ElectraForMaskedLM

        backbone: Any = self.encoder.backbone
        config, words = backbone.config, backbone.get_input_embeddings()
        heads = max(1, round(config.num_attention_heads * size))
        hidden = heads * (config.hidden_size // config.num_attention_heads)
        small = ElectraConfig(
            vocab_size=words.num_embeddings,
            embedding_size=words.embedding_dim,
            hidden_size=hidden,
            num_hidden_layers=config.num_hidden_layers,
            num_attention_heads=heads,
            intermediate_size=4 * hidden,
            max_position_embeddings=config.max_position_embeddings,
            type_vocab_size=max(2, getattr(config, "type_vocab_size", 2)),
            pad_token_id=config.pad_token_id,
            **{key: getattr(config, key) for key in DROPOUTS if hasattr(config, key)},
        )
        model: Any = ElectraForMaskedLM(small)
        model.electra.embeddings.word_embeddings = words
        # until then the head stays with the matrix that it had
        model.tie_weights()
        with torch.no_grad():
            model.generator_lm_head.bias[: len(self.unigram)] = self.unigram
        generator = model.electra
        self.generator_head = LanguageHead(model)
        self.generator = Encoder(generator, EncoderConfig("generator"))

    def terms(self, batch: TextBatch) -> dict[str, Term]:
        """What the generator predicts, and what the encoder tells apart."""
        vectors = self.generator(batch.input_ids, batch.attention_mask, batch.token_type_ids, batch.packing)
        logits = self.generator_head(vectors.flatten(0, 1)[batch.places]).logits[0]
        drawn = sample(logits.detach(), batch.noise)
        flat = batch.input_ids.flatten()
        given = flat.index_copy(0, batch.places, drawn).view_as(batch.input_ids)
        replaced = torch.zeros_like(flat).index_copy(0, batch.places, (drawn != batch.labels).long())
        found = self.token_vectors(batch._replace(input_ids=given)).flatten(0, 1)
        real = batch.attention_mask.flatten().bool()
        scores = self.head(found[real])
        scores = (scores.logits[0] if self.has_head else scores).float()
        answers = replaced[real].float()
        total = F.binary_cross_entropy_with_logits(scores, answers, reduction="sum")
        right = ((scores > 0) == answers.bool()).sum()
        detected = Term(total, right, len(answers), "tokens", self.weight)
        return {MAIN: token_term(logits, batch.labels), "replaced": detected}

    @property
    def weights(self) -> dict[str, float]:
        """What telling replaced tokens apart counts."""
        return {"replaced": self.weight}

    def left(self, backbone: nn.Module) -> dict[str, Any]:
        """The encoder, with its head where transformers has one, and the generator."""
        whole = self.head.whole(backbone) if self.has_head else backbone
        return {"encoder": whole, "generator": self.generator_head.whole(self.generator.backbone)}
