"""Which encoder, and how its layers become one vector."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from transferlab.ground.errors import TransferlabError
from transferlab.ground.numbers import above, at_least, probability

Architecture = Literal["pretrained", "random", "bilstm"]
Pooling = Literal["mean", "cls", "max", "last"]
Layers = Literal["last", "second_to_last", "sum_last_four", "concat_last_four", "mix"]

MIX_LR = 0.1
"""Learning rate of a learned layer mix, unless another is given; docs/strategies.md has the measurement."""


@dataclass(frozen=True)
class EncoderConfig:
    """An encoder and what is read from it.

    Attributes:
        name: Name on the Hub, a local folder, or a run of ``transferlab pretrain``: its directory, experiment, ID, or
            artifact (``wandb:ENTITY/PROJECT/encoder-ID:VERSION``). Also names the tokenizer.
        joined: For tasks that are answered by texts: whether two copies of the encoder are joined by new cross
            attention, of which one reads and the other, reading from left to right, writes (Rothe et al. 2020,
            https://arxiv.org/abs/1907.12461); null: no.
        from_run: A finished run of another task, whose tuned encoder is taken under a fresh head; `name` is filled in.
        revision: Commit on the Hub; pin it, `main` moves.
        architecture: ``pretrained`` weights; ``random``: the same architecture without them; ``bilstm``: a
            bidirectional LSTM over word embeddings that start at random, with the tokenizer of `name`; where that is a
            folder of ``transferlab vectors``, over these.
        pooling: How token vectors become one: ``mean`` over the tokens, ``cls`` (the first one), ``max``, or ``last``
            (the last attended one), which is what a decoder has read the whole text for.
        layers: Which hidden states are read. ``mix`` is a learned weighted sum of all of them.
        mix_lr: Learning rate of the scores of a ``mix``. ``transferlab fit`` fills in 0.1 for a new run; null: the
            rate of the optimizer, or of the head, at which a mix hardly leaves the mean of all layers.
        keep_layers: Numbers (from 0) of the layers to keep, for a shallower copy; all where empty. ``half``: every
            second one, the top one among them; all where layers cannot be told apart, as in ALBERT or a ``bilstm``.
        keep_heads: For each layer that is kept, the numbers (from 0) of its attention heads to keep; null: all.
            ``transferlab prune`` finds out which.
        dropout: Dropout probability inside the encoder; the one of its configuration where null.
        attention_dropout: Dropout probability of attention weights where it is to be another; with 0 packed rows use
            flash attention in training too, whose kernel for them knows no dropout.
        lstm_size: Width of each direction of a ``bilstm``.
        append_eos: Whether the end-of-sequence token is put behind each text; null: what the tokenizer does by itself,
            which for most decoders is nothing.
        word_piece: Which piece of a word stands for it in tagging; null: the last one in a decoder, else the first.
        activation_checkpointing: Whether hidden states inside the layers are computed again in the backward pass
            instead of being kept: less memory, a third more time in training; null: no.
        load_in_4bit: Whether the frozen weights are held in 4 bits (NF4, Dettmers et al. 2023,
            https://arxiv.org/abs/2305.14314), for LoRA on a CUDA GPU, by the package bitsandbytes; null: no.
        compile: Compile the backbone with `torch.compile`. For long runs on a GPU: on a CPU the first batches take
            minutes and nothing is gained.
    """

    name: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    architecture: Architecture = "pretrained"
    pooling: Pooling = "mean"
    layers: Layers = "last"
    mix_lr: float | None = None
    keep_layers: tuple[int, ...] | Literal["half"] = ()
    keep_heads: tuple[tuple[int, ...], ...] | None = None
    dropout: float | None = None
    attention_dropout: float | None = None
    lstm_size: int = 256
    append_eos: bool | None = None
    word_piece: Literal["first", "last"] | None = None
    activation_checkpointing: bool | None = None
    load_in_4bit: bool | None = None
    compile: bool = False
    from_run: str | None = None
    joined: bool | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise TransferlabError("encoder.name: name an encoder on the Hub, or a local folder.")
        above(0, encoder__mix_lr=self.mix_lr)
        at_least(1, encoder__lstm_size=self.lstm_size)
        probability(encoder__dropout=self.dropout, encoder__attention_dropout=self.attention_dropout)

    @property
    def label(self) -> str:
        """A short name for tables: the last part of `name`, and what differs from the plain encoder."""
        path = Path(self.name)
        # the ID of a run says less than its experiment
        base = path.absolute().parent.name if (path / "encoder" / "config.json").is_file() else path.name
        if self.architecture == "bilstm":
            return f"bilstm-{self.lstm_size}" + (f"-{path.name}" if (path / "vectors.safetensors").is_file() else "")
        suffix = f"-{len(self.keep_layers)}layers" if self.keep_layers else ""
        suffix = "-half" if self.keep_layers == "half" else suffix
        if self.keep_heads is not None:
            suffix += f"-{sum(map(len, self.keep_heads))}heads"
        suffix += "-joined" if self.joined else ""
        return base + suffix + ("-random" if self.architecture == "random" else "")
