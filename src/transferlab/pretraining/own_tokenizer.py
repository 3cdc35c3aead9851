"""A tokenizer trained on the user's text."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from transferlab.ground.errors import TransferlabError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Kind = Literal["bpe", "wordpiece", "byte_bpe"]
WORDS = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
# a decoder begins and ends a document with the same ones
SPECIAL = {f"{name}_token": word for name, word in (WORDS | {"bos": "[CLS]", "eos": "[SEP]"}).items()}


def train(texts: Iterable[str], kind: Kind, size: int, lower: bool, segments: bool) -> "PreTrainedTokenizerFast":
    """Trains a tokenizer on texts, which are read once and not kept.

    Args:
        texts: The documents.
        kind: ``bpe`` gives the same ids every time, ``wordpiece`` other ones in every run (tokenizers 0.23): both with
            BERT's splitting into words; ``byte_bpe`` as GPT-2, without unknown tokens.
        size: Entries of the vocabulary, special ones included, at most.
        lower: Whether case is dropped.
        segments: Whether the encoder reads segment numbers.

    Raises:
        TransferlabError: There is no text.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    fast: Any = PreTrainedTokenizerFast
    special = list(WORDS.values())
    steps: list[Any] = [normalizers.NFC(), *([normalizers.Lowercase()] if lower else [])]
    if kind == "byte_bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer: Any = trainers.BpeTrainer(vocab_size=size, special_tokens=special, initial_alphabet=alphabet)
    elif kind == "bpe":
        tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", continuing_subword_prefix="##"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.BpeTrainer(
            vocab_size=size, special_tokens=special, continuing_subword_prefix="##", limit_alphabet=1000
        )
    else:
        tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=size, special_tokens=special)
    tokenizer.normalizer = normalizers.Sequence(steps)
    trainer.show_progress = False
    tokenizer.train_from_iterator(texts, trainer)
    if tokenizer.get_vocab_size() <= len(special):
        raise TransferlabError("data.text: there is no text to train a tokenizer on.")
    second = 1 if segments else 0
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair=f"[CLS] $A [SEP] $B:{second} [SEP]:{second}",
        special_tokens=[(word, tokenizer.token_to_id(word)) for word in ("[CLS]", "[SEP]")],
    )
    # saved as the general class: that of BERT would drop case when it is read back, and asks for no segments
    names = ["input_ids", *(["token_type_ids"] if segments else []), "attention_mask"]
    trained: PreTrainedTokenizerFast = fast(tokenizer_object=tokenizer, model_input_names=names, **SPECIAL)
    return trained


def save(tokenizer: "PreTrainedTokenizerFast", folder: Path) -> None:
    """Writes a tokenizer as the Hub holds one."""
    tokenizer.save_pretrained(str(folder))
