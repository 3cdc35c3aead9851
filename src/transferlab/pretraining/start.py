"""What pretraining starts from: an encoder, or a new one with random weights and a tokenizer of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from transferlab.encoders import EncoderConfig
from transferlab.encoders.language_head import LanguageHead, pretrained
from transferlab.encoders.loading import set_dropout
from transferlab.encoders.padding import refuse_reading_padding
from transferlab.ground.errors import TransferlabError, near
from transferlab.ground.numbers import at_least, probability
from transferlab.pretraining import corpus, own_tokenizer
from transferlab.pretraining.text import Text
from transferlab.tasks.kept import name_of, written

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

OTHER_NAMES = {"distilbert": {"intermediate_size": "hidden_dim"}, "gpt2": {"intermediate_size": "n_inner"}}
"""Families that call a size otherwise, beyond what transformers translates."""


@dataclass(frozen=True)
class NewEncoder:
    """An encoder with random weights, of a size that fits the text at hand.

    Attributes:
        family: Architecture, as `config.model_type` of transformers: bert, roberta, electra, albert, distilbert,
            modernbert, gpt2, ...
        layers: Number of layers.
        hidden: Width of a token vector.
        heads: Attention heads of a layer.
        intermediate: Width inside the feed-forward part; null: four times `hidden`.
        positions: The longest sequence that it can read.
        tokenizer: ``bpe``, ``wordpiece`` or ``byte_bpe`` to train one on the text; else a folder or name on the Hub.
        vocabulary: Entries of a tokenizer that is trained, at most.
        lower: Whether a tokenizer that is trained drops case.
        options: Further arguments of the configuration of that family.
    """

    family: str = "bert"
    layers: int = 4
    hidden: int = 256
    heads: int = 4
    intermediate: int | None = None
    positions: int = 512
    tokenizer: str = "bpe"
    vocabulary: int = 8000
    lower: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        at_least(1, encoder__new__layers=self.layers, encoder__new__heads=self.heads)
        at_least(100, encoder__new__vocabulary=self.vocabulary)
        at_least(8, encoder__new__positions=self.positions)
        if self.hidden % self.heads:
            raise TransferlabError(
                f"encoder.new.hidden: {self.hidden} cannot be divided among {self.heads} heads (encoder.new.heads)."
            )


@dataclass(frozen=True)
class Start:
    """What is pretrained further, or from scratch.

    Attributes:
        name: Name on the Hub, a local folder or a run directory; unused where `new` is set.
        revision: Commit on the Hub.
        new: An encoder with random weights instead.
        dropout: Dropout probability; that of its configuration where null.
    """

    name: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    new: NewEncoder | None = None
    dropout: float | None = None

    def __post_init__(self) -> None:
        probability(encoder__dropout=self.dropout)

    @property
    def label(self) -> str:
        """A short name for tables."""
        new = self.new
        return f"{new.family}-{new.layers}x{new.hidden}" if new else EncoderConfig(self.name).label

    @property
    def config(self) -> EncoderConfig:
        """The encoder as the strategies name it."""
        return EncoderConfig(self.name, self.revision, dropout=self.dropout)


class Tokens(NamedTuple):
    """Facts about the text that a model needs.

    Attributes:
        tokenizer: Folder or name that the tokenizer is loaded from.
        revision: Its commit on the Hub.
        counts: File with the number of each token id in the training text.
    """

    tokenizer: str
    revision: str | None
    counts: str


def tokenizer_of(start: Start, text: Text, marks: Path) -> tuple[str, str | None]:
    """Where the tokenizer is loaded from: that of the encoder, or one that is trained now on the training documents."""
    new = start.new
    if new is None:
        return start.name, start.revision
    if new.tokenizer not in ("bpe", "wordpiece", "byte_bpe"):
        return new.tokenizer, None
    kind: Any = new.tokenizer
    segments = new.family in ("bert", "electra", "albert")

    def write(folder: Path) -> None:
        texts = corpus.marked(text, marks, corpus.TRAIN)
        own_tokenizer.save(own_tokenizer.train(texts, kind, new.vocabulary, new.lower, segments), folder)

    name = name_of("tokenizer", corpus.VERSION, marks.name, kind, new.vocabulary, new.lower, segments)
    return str(written(name, write)), None


def load(start: Start, factory: Any, tokenizer: "PreTrainedTokenizerFast") -> tuple["PreTrainedModel", list[str]]:
    """Loads or builds a model with a head for pretraining, in float32.

    Args:
        start: What it starts from.
        factory: A class of transformers that finds the architecture, such as ``AutoModelForMaskedLM``.
        tokenizer: Its tokenizer.

    Returns:
        The model, and the names of weights that were drawn at random though others were loaded.

    Raises:
        TransferlabError: Nowhere to be found, or an architecture without such a head.
    """
    if start.new is None:
        return pretrained(factory, start.name, start.revision, start.dropout)
    config = _config(start.new, tokenizer)
    set_dropout(config, start.dropout)
    try:
        model = factory.from_config(config, dtype=torch.float32)
    except ValueError as error:
        raise TransferlabError(f"encoder.new.family: {start.new.family} has no head for this objective.") from error
    refuse_reading_padding(model)
    return model, []


def _config(new: NewEncoder, tokenizer: "PreTrainedTokenizerFast") -> Any:
    from transformers import AutoConfig

    names = OTHER_NAMES.get(new.family, {})
    sizes = {
        "vocab_size": len(tokenizer),
        "num_hidden_layers": new.layers,
        "hidden_size": new.hidden,
        "num_attention_heads": new.heads,
        names.get("intermediate_size", "intermediate_size"): new.intermediate or 4 * new.hidden,
        # RoBERTa and its relatives count positions from behind the padding id
        "max_position_embeddings": new.positions + (2 if new.family in ("roberta", "camembert", "mpnet") else 0),
    }
    if new.family in ("electra", "albert"):
        sizes["embedding_size"] = min(new.hidden, 128)
    special = ("pad", "bos", "eos", "cls", "sep")
    ids = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id", None) for name in special}
    ids = {name: number for name, number in ids.items() if number is not None}
    try:
        return AutoConfig.for_model(new.family, **{**sizes, **ids, **new.options})
    except (ValueError, TypeError) as error:
        from transformers import CONFIG_MAPPING

        if new.family not in CONFIG_MAPPING:
            hint = near(new.family, list(CONFIG_MAPPING))
            raise TransferlabError(f"encoder.new.family: transformers has no family {new.family!r}{hint}.") from error
        raise TransferlabError(f"encoder.new.family: {new.family}: {str(error).splitlines()[0]}") from error


def starts_at_unigram(head: LanguageHead, drawn: Sequence[str]) -> bool:
    """Whether the bias of the logits was drawn, so that log frequencies are a better start."""
    return head.output_bias is not None and (not drawn or any(name.endswith("bias") for name in drawn))


def log_unigram(counts: Tensor) -> Tensor:
    """Log frequency of each token id ``[vocabulary]``, each counted once more than it was seen."""
    smoothed = counts.double() + 1
    return (smoothed / smoothed.sum()).log().float()
