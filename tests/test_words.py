"""Words as tokenizers see them, for each family of the encoder list, rebuilt from its parts without a network."""

import hashlib
import json
from dataclasses import replace

import pytest
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.reading.arrow import Table
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.settings import Settings
from transferlab.tasks.tokenization import encode_split, fingerprint
from transferlab.tasks.words import in_words, measure, word_prefix

SENTENCE = ["the", "cat", "sat", "on", "the", "mat", ",", "don't", "you", "know", "?", "it", "cost", "2024"]
CORPUS = [" ".join(SENTENCE), "one two on it", "two cats know the other cat", "A dog said it's fine, it sat there"] * 20
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def wordpiece(special, unknown):
    backend = Tokenizer(models.WordPiece(unk_token=unknown))
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=150, special_tokens=special))
    return backend.get_vocab()


def unigram(special, unknown):
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token=unknown)
    backend.train_from_iterator(CORPUS, trainer)
    return [tuple(piece) for piece in json.loads(backend.to_str())["model"]["vocab"]]


def bytes_of(special, splitter=None):
    """Vocabulary, merges and backend of a byte-level BPE."""
    backend = Tokenizer(models.BPE())
    parts = [splitter] if splitter else []
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not splitter)
    backend.pre_tokenizer = pre_tokenizers.Sequence([*parts, last]) if parts else last
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=special, initial_alphabet=alphabet)
    backend.train_from_iterator(CORPUS, trainer)
    model = json.loads(backend.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]], backend


def generic(special, splitter, **names):
    """A tokenizer of the generic class, as ModernBERT has: only ``tokenizer.json`` says how it splits."""
    return transformers.PreTrainedTokenizerFast(tokenizer_object=bytes_of(special, splitter)[2], **names)


QWEN = pre_tokenizers.Split(
    Regex(r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+"), "isolated"
)
MARKS = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
FAMILIES = {
    "bert_uncased": lambda: transformers.BertTokenizer(vocab=wordpiece(BERT, "[UNK]"), do_lower_case=True),
    "bert_cased": lambda: transformers.BertTokenizer(vocab=wordpiece(BERT, "[UNK]"), do_lower_case=False),
    "distilbert": lambda: transformers.DistilBertTokenizer(vocab=wordpiece(BERT, "[UNK]")),
    "electra": lambda: transformers.ElectraTokenizer(vocab=wordpiece(BERT, "[UNK]")),
    "mpnet": lambda: transformers.MPNetTokenizer(vocab=wordpiece([*ROBERTA, "[UNK]"], "[UNK]")),
    "roberta": lambda: transformers.RobertaTokenizer(*bytes_of(ROBERTA)[:2]),
    "albert": lambda: transformers.AlbertTokenizer(vocab=unigram(["<pad>", "<unk>", "[CLS]", "[SEP]"], "<unk>")),
    "deberta_v3": lambda: transformers.DebertaV2Tokenizer(vocab=unigram(BERT, "[UNK]")),
    "modernbert": lambda: generic(BERT, None, **MARKS),
    "xlm_roberta": lambda: transformers.XLMRobertaTokenizer(vocab=unigram(ROBERTA, "<unk>")),
    "t5": lambda: transformers.T5Tokenizer(vocab=unigram(["<pad>", "</s>", "<unk>"], "<unk>")),
    "gpt2": lambda: transformers.GPT2Tokenizer(*bytes_of(["<|endoftext|>"])[:2], pad_token="<|endoftext|>"),
    "qwen": lambda: generic(["<|endoftext|>"], QWEN, pad_token="<|endoftext|>", eos_token="<|endoftext|>"),
}
BLANK = ("modernbert", "qwen")
"""Families that are asked for a blank before words and do not obey."""


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """The folder of a family's tokenizer, saved as on the Hub."""
    saved = {}

    def build(name):
        if name not in saved:
            saved[name] = tmp_path_factory.mktemp("tokenizers") / name
            FAMILIES[name]().save_pretrained(saved[name])
        return EncoderConfig(name=str(saved[name]))

    return build


def rows_of(*sentences, tagged=True):
    return Table.from_dict({"text": [list(s) if tagged else s for s in sentences]})


TAGGED = Source(files={"train": "x"}, kind="tagging")


@pytest.mark.parametrize("name", FAMILIES)
def test_words_read_as_in_running_text(name, family):
    tokenizer = load_tokenizer(family(name), words=True)
    assert (word_prefix(tokenizer) == " ") == (name in BLANK)
    encoded = encode_split(Rows(rows_of(SENTENCE), "own"), TAGGED, None, tokenizer, Settings(64, "head"))
    running = tokenizer(" " + " ".join(SENTENCE))["input_ids"]
    assert encoded.ids.row(0).tolist() == running
    pieces = tokenizer.convert_ids_to_tokens(running)
    first = [pieces[position] for position in encoded.words.row(0)]
    for word, piece in zip(SENTENCE, first, strict=True):
        bare = piece.lstrip("Ġ▁")
        assert word.startswith(bare), f"the first piece of {word!r} is {piece!r}"


@pytest.mark.parametrize("name", BLANK)
def test_tokens_of_before_are_told_from_those_with_a_blank(name, family):
    tokenizer = load_tokenizer(family(name), words=True)
    tagged = fingerprint("rows", TAGGED, tokenizer, Settings(64, "head"))
    # as it was computed when the blank was asked for and not given
    before = ["rows", tokenizer.backend_tokenizer.to_str(), "tagging", ["text"], [64, "head"], "v2"]
    assert tagged != hashlib.sha256(json.dumps(before).encode()).hexdigest()[:32]


def test_a_tokenizer_that_cannot_tell_words_is_refused(tmp_path):
    # everything between two blanks of the text is glued together: no word reads alone as it reads in a text
    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "the cat": 1, "one two": 2, "on it": 3}, unk_token="[UNK]"))
    backend.add_tokens(["the cat", "one two", "on it"])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]")
    tokenizer.save_pretrained(tmp_path / "glued")
    loaded = load_tokenizer(EncoderConfig(name=str(tmp_path / "glued")), words=True)
    with pytest.raises(
        TransferlabError, match=r"encoder\.name: the tokenizer of \S*glued reads single words otherwise"
    ):
        word_prefix(loaded)


def test_a_tokenizer_without_a_fast_backend_is_refused_in_one_line(tmp_path, files):
    (tmp_path / "config.json").write_text('{"model_type": "canine"}')
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "CanineTokenizer"}')
    encoder = EncoderConfig(name=str(tmp_path))
    for kind in ("tagging", "classification"):
        with pytest.raises(TransferlabError, match=r"has no fast tokenizer \(CanineTokenizer is written in Python\)"):
            TaskDataModule("own", encoder, source=files[kind]).setup("fit")


# words that cannot be read --------------------------------------------------------------------------------------------


def test_words_are_counted(family):
    tokenizer = load_tokenizer(family("bert_uncased"), words=True)
    sentence = ["the", "The", "cat", "ก", "ข", "\u200b", "cat\u200b"]
    counts = measure(rows_of(sentence), TAGGED, tokenizer, "")
    # "The" differs in case alone; the zero-width blank is dropped from the last word, which is another word all the same
    assert counts == {"words": 7, "unknown": 2, "silent": 1, "shared": 2}
    assert in_words(counts) == (
        "of 7 words looked at 28.6 % read as one and the same [UNK], 14.3 % have no piece, 28.6 % read like another word"
    )
    assert in_words({"words": 7, "unknown": 0, "silent": 0, "shared": 0}) == ""


def test_words_of_running_text_are_those_of_the_tokenizer(family):
    tokenizer = load_tokenizer(family("bert_uncased"))
    counts = measure(rows_of("the cat กขค the กง", tagged=False), Source(files={"train": "x"}), tokenizer, "")
    assert (counts["words"], counts["unknown"]) == (5, 2)
    pair = Source(files={"train": "x"}, text=("text", "text"))
    assert measure(rows_of("the ก", tagged=False), pair, tokenizer, "")["words"] == 4


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_what_an_encoder_cannot_read_is_refused_before_training(kind, tmp_path, family):
    thai = ["สวัสดี", "ชาว", "โลก", "the"]
    lines = [
        {
            "text": thai if kind == "tagging" else " ".join(thai),
            "label": ["O", "B-X", "O", "O"] if kind == "tagging" else n,
        }
        for n in (0, 1)
    ]
    path = tmp_path / "thai.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines * 4))
    source = Source(files={"train": str(path)}, kind=kind)
    for _ in range(2):
        with pytest.raises(
            TransferlabError, match=r"thai\.jsonl: 75 % of the words are one and the same unknown piece"
        ):
            TaskDataModule("own", family("bert_uncased"), source=source).setup("fit")
    data = TaskDataModule("own", family("bert_uncased"), source=source, max_unknown=0.8)
    data.setup("fit")
    assert data.facts("train")["words"]["unknown"] == 24
    # kept tokens are looked at as well
    with pytest.raises(TransferlabError, match="75 % of the words"):
        TaskDataModule("own", family("bert_uncased"), source=replace(source), max_unknown=0.5).setup("fit")
