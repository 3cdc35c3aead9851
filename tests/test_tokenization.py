import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import build_tokenizer

from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.learning.metrics import TaskMetrics
from transferlab.strategies import Strategy
from transferlab.tasks import Source, TaskSpec
from transferlab.tasks.batch import CUT, IGNORE
from transferlab.tasks.labels import Labels
from transferlab.tasks.parts import split_body
from transferlab.tasks.reading.arrow import Table, concatenate
from transferlab.tasks.reading.place import Rows
from transferlab.tasks.settings import Settings
from transferlab.tasks.sources import version
from transferlab.tasks.starts import encode_starts, whole_words
from transferlab.tasks.tokenization import encode_split, fingerprint, special_affixes

NUMBERS = [f"n{letter}" for letter in "abcdefghijklmnopqrst"]
TEXT = Source(files={"train": "x"})
PAIR = Source(files={"train": "x"}, text=("left", "right"))
WORDS = Source(files={"train": "x"}, kind="tagging", text=("tokens",), label="tags")
TAGS = ("O", "B-X", "I-X")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wordpiece")
    build_tokenizer(folder, words=NUMBERS)
    return load_tokenizer(EncoderConfig(name=str(folder)))


@pytest.fixture(scope="module")
def byte_level(tmp_path_factory):
    """A folder with a byte-level BPE tokenizer such as RoBERTa's, trained on a few words."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bytelevel")
    backend = ByteLevelBPETokenizer()
    backend.train_from_iterator(
        ["the cat sat on the mat"] * 20, vocab_size=400, special_tokens=["<s>", "<pad>", "</s>"]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend._tokenizer, pad_token="<pad>")
    tokenizer.save_pretrained(folder)
    # RoBERTa's class is what passes add_prefix_space on to the pre-tokenizer
    config = json.loads((folder / "tokenizer_config.json").read_text())
    names = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "unk_token": "<pad>"}
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**config, **names, "mask_token": "<pad>", "tokenizer_class": "RobertaTokenizer"})
    )
    return folder


@pytest.fixture(scope="module")
def unigram():
    """A SentencePiece-like unigram tokenizer such as XLM-R's."""
    from tokenizers import SentencePieceUnigramTokenizer
    from transformers import PreTrainedTokenizerFast

    backend = SentencePieceUnigramTokenizer()
    backend.train_from_iterator(
        ["na nb nc nanb the cat"] * 20, vocab_size=40, special_tokens=["<pad>", "<unk>"], unk_token="<unk>"
    )
    return PreTrainedTokenizerFast(tokenizer_object=backend._tokenizer, pad_token="<pad>", unk_token="<unk>")


def dataset(**columns):
    return Table.from_dict(columns)


def encode(tokenizer, rows, source=TEXT, names=("0", "1"), max_length=16, truncation="head", labelled=False):
    labels = Labels(names, ordered=True) if labelled else None
    return encode_split(Rows(rows, "own.csv"), source, labels, tokenizer, Settings(max_length, truncation))


def tokens(tokenizer, split, row=0):
    return tokenizer.convert_ids_to_tokens(split.ids.row(row).tolist())


def words(count, start=0):
    return NUMBERS[start : start + count]


@pytest.mark.parametrize(
    ("truncation", "kept"),
    [
        ("head", words(8)),
        ("tail", words(8, start=12)),
        # room for eight: half of it from the start, since the usual 128 are more than that
        ("head_tail", [*words(4), *words(4, start=16)]),
        # twenty words in windows of 6, 7 and 7: never a rest of four
        ("windows", [*words(6), "[SEP]", "[CLS]", *words(7, start=6), "[SEP]", "[CLS]", *words(7, start=13)]),
    ],
)
def test_long_text(tokenizer, truncation, kept):
    split = encode(tokenizer, dataset(text=[" ".join(NUMBERS)]), max_length=10, truncation=truncation)
    assert tokens(tokenizer, split) == ["[CLS]", *kept, "[SEP]"]


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail", "windows"])
def test_text_that_fits_is_left_alone(tokenizer, truncation):
    split = encode(tokenizer, dataset(text=[" ".join(words(8))]), max_length=10, truncation=truncation)
    assert tokens(tokenizer, split) == ["[CLS]", *words(8), "[SEP]"]
    assert split.types is None


def test_head_tail_keeps_128_and_the_rest_from_the_end():
    (kept,) = split_body(list(range(1000)), 510, "head_tail")
    assert kept == [*range(128), *range(1000 - 382, 1000)]


@pytest.mark.parametrize("windows", ["even", "full"])
@pytest.mark.parametrize(("length", "room"), [(0, 4), (1, 4), (4, 4), (5, 4), (23, 7), (128, 126), (1000, 126)])
def test_windows_cover_every_token_once(length, room, windows):
    parts = split_body(list(range(length)), room, "windows", windows)
    sizes = [len(part) for part in parts]
    if windows == "even":
        assert max(sizes) - min(sizes) <= 1, "spread evenly"
    else:
        assert sizes[:-1] == [room] * (len(sizes) - 1), "full ones and a rest"
    assert [token for part in parts for token in part] == list(range(length))
    assert all(len(part) <= room for part in parts)
    assert len(parts) == max(1, -(-length // room))


def test_windows_become_rows_of_a_batch(tokenizer):
    split = encode(tokenizer, dataset(text=["na nb nc nd ne", "nf", "ng nh nj"]), max_length=4, truncation="windows")
    batch = split.collate([2, 0])
    assert batch.weights.tolist() == [3, 4, 3, 4, 4], "a window counts by its tokens, special ones included"
    assert batch.documents.tolist() == [0, 0, 1, 1, 1]
    assert batch.index.tolist() == [2, 0]
    rows = [tokenizer.convert_ids_to_tokens(row) for row in batch.input_ids.tolist()]
    assert rows == [
        ["[CLS]", "ng", "[SEP]", "[PAD]"],
        ["[CLS]", "nh", "nj", "[SEP]"],
        ["[CLS]", "na", "[SEP]", "[PAD]"],
        ["[CLS]", "nb", "nc", "[SEP]"],
        ["[CLS]", "nd", "ne", "[SEP]"],
    ]
    assert batch.attention_mask.sum(1).tolist() == [3, 4, 3, 4, 4]


def test_empty_text_is_one_window(tokenizer):
    split = encode(tokenizer, dataset(text=["", "na"]), truncation="windows")
    assert tokens(tokenizer, split) == ["[CLS]", "[SEP]"]


def test_special_affixes(tokenizer):
    assert special_affixes(tokenizer) == ([2], [3])


def test_pair(tokenizer):
    split = encode(tokenizer, dataset(left=["na nb nc nd"], right=["ne"]), PAIR, max_length=6)
    # the longer of the two is cut
    assert tokens(tokenizer, split) == ["[CLS]", "na", "nb", "[SEP]", "ne", "[SEP]"]
    assert split.types.row(0).tolist() == [0, 0, 0, 0, 1, 1]
    assert split.collate([0]).token_type_ids.tolist() == [[0, 0, 0, 0, 1, 1]]


@pytest.mark.parametrize("truncation", ["tail", "head_tail", "windows"])
def test_truncations_that_need_a_single_text(tokenizer, truncation):
    with pytest.raises(TransferlabError, match=rf"data\.truncation: '{truncation}' needs a single text.*2; use head"):
        encode(tokenizer, dataset(left=["na"], right=["nb"]), PAIR, truncation=truncation)
    with pytest.raises(TransferlabError, match=rf"data\.truncation: '{truncation}' is not for tagging; use head"):
        encode(tokenizer, dataset(tokens=[["na"]]), WORDS, truncation=truncation)


@pytest.mark.parametrize("truncation", ["head", "tail", "head_tail", "windows"])
def test_no_room_for_text(tokenizer, truncation):
    with pytest.raises(TransferlabError, match=r"data\.max_length: 2 leaves no room for text beside 2 special tokens"):
        encode(tokenizer, dataset(text=["na nb"]), max_length=2, truncation=truncation)


# tagging --------------------------------------------------------------------------------------------------------------


def test_label_goes_to_the_first_piece_of_a_word(tokenizer):
    rows = dataset(tokens=[["na", "cab", "nb"], ["ox"]], tags=[["O", "B-X", "I-X"], ["B-X"]])
    split = encode(tokenizer, rows, WORDS, TAGS, labelled=True)
    assert tokens(tokenizer, split) == ["[CLS]", "na", "c", "##a", "##b", "nb", "[SEP]"]
    batch = split.collate([0, 1])
    assert batch.words.tolist() == [[1, 2, 5], [1, CUT, CUT]]
    assert batch.labels.tolist() == [[0, 1, 2], [1, IGNORE, IGNORE]]
    assert batch.word_mask.tolist() == [[True, True, True], [True, False, False]]


def test_word_whose_first_piece_survives_truncation_counts(tokenizer):
    rows = dataset(tokens=[["na", "cab", "nb"]], tags=[["O", "B-X", "B-X"]])
    split = encode(tokenizer, rows, WORDS, TAGS, max_length=4, labelled=True)
    assert tokens(tokenizer, split) == ["[CLS]", "na", "c", "[SEP]"]
    assert split.words.row(0).tolist() == [1, 2, CUT]


@pytest.mark.parametrize("decoding", ["argmax", "iob2"])
def test_cut_words_count_as_missed(tokenizer, decoding):
    rows = dataset(tokens=[["na", "nb", "nc", "nd"], ["ne"]], tags=[["B-X", "O", "B-X", "I-X"], ["B-X"]])
    split = encode(tokenizer, rows, WORDS, TAGS, max_length=4, labelled=True)
    batch = split.collate([0, 1])
    assert batch.words.tolist() == [[1, 2, CUT, CUT], [1, CUT, CUT, CUT]]
    assert batch.word_mask.sum().item() == 5
    task = TaskSpec("t", "tagging", TAGS, ("f1", "precision", "recall"))
    # a model that would be right about every word it saw, and says I-X where nobody looks
    logits = torch.nn.functional.one_hot(batch.labels.clamp(min=0), 3).float()
    logits[0, 2:] = torch.tensor([0.0, 0.0, 9.0])
    reachable = partial(Strategy._reachable, None)
    strategy = SimpleNamespace(_reachable=reachable, head_config=HeadConfig(decoding=decoding), task=task)
    strategy._tags = partial(Strategy._tags, strategy)
    classes = Strategy.decode(strategy, logits, batch)
    assert classes.tolist() == [[1, 0, 0, 0], [1, 0, 0, 0]]
    metrics = TaskMetrics(task)
    metrics.update(classes, batch.labels)
    values = {name: value.item() for name, value in metrics.compute().items()}
    assert values["precision"] == 1.0
    assert values["recall"] == pytest.approx(2 / 3)


def test_byte_level_tokenizer_gets_a_blank_before_each_word(byte_level):
    config = EncoderConfig(name=str(byte_level))
    plain = load_tokenizer(config)
    tokenizer = load_tokenizer(config, words=True)
    assert tokenizer.add_prefix_space
    split = encode(tokenizer, dataset(tokens=[["the", "cat", "sat"]]), WORDS)
    expected = plain(" the cat sat", add_special_tokens=False)["input_ids"]
    ids = split.ids.row(0).tolist()
    positions = split.words.row(0).tolist()
    assert [token for token in ids if token not in set(tokenizer.all_special_ids)] == expected
    assert [tokenizer.convert_ids_to_tokens(ids[position])[0] for position in positions] == ["Ġ"] * 3
    # the tokenizer for running text stays as it was
    assert plain("the", add_special_tokens=False)["input_ids"] != plain(" the", add_special_tokens=False)["input_ids"]


def test_unequal_words_and_tags(tokenizer):
    rows = dataset(tokens=[["na"], ["na", "nb"]], tags=[["O"], ["O"]])
    with pytest.raises(TransferlabError, match=r"own\.csv, row 1: 2 words but 1 tags"):
        encode(tokenizer, rows, WORDS, TAGS, labelled=True)


@pytest.mark.parametrize("cell", [[], ["na", None]])
def test_sentence_without_words(tokenizer, cell):
    with pytest.raises(TransferlabError, match=r"own\.csv, row 1: column 'tokens' must hold a non-empty list of words"):
        encode(tokenizer, dataset(tokens=[["na"], cell]), WORDS)


@pytest.mark.parametrize("cell", [None])
def test_text_that_is_none(tokenizer, cell):
    with pytest.raises(TransferlabError, match=r"own\.csv, row 2: column 'text' must hold text, not None"):
        encode(tokenizer, dataset(text=["na", "nb", cell]))


# cache ----------------------------------------------------------------------------------------------------------------


LONG = " ".join(["na", "nb", "nc"] * 400)


@pytest.mark.parametrize("family", ["wordpiece", "byte_level", "unigram"])
@pytest.mark.parametrize("length", [8, 16, 64])
def test_the_start_of_a_long_text_gives_the_tokens_of_the_whole(family, length, tokenizer, byte_level, unigram):
    tokenizer = {
        "wordpiece": tokenizer,
        "byte_level": load_tokenizer(EncoderConfig(name=str(byte_level))),
        "unigram": unigram,
    }[family]
    generator = np.random.default_rng(0)
    words = ["na", "nb", "nanb", "Na,", "nc!", "x" * 30, "\u00e9n\u0301", "-", "\u4e2d\u6587"]
    blanks = [" ", "  ", "\n", "\t", "\u00a0"]
    texts = ["", "na", LONG, "n" * 900, " " * 900 + "na nb"]
    texts += [
        "".join(str(generator.choice(words)) + str(generator.choice(blanks)) for _ in range(300)) for _ in range(20)
    ]
    whole = tokenizer(texts, truncation=True, max_length=length, padding=False)["input_ids"]
    assert encode_starts(texts, tokenizer, length)[0] == whole


def test_a_long_text_is_not_read_to_its_end(tokenizer):
    seen = []

    def spy(texts, **options):
        seen.extend(map(len, texts))
        return tokenizer(texts, **options)

    encode_starts([LONG], spy, 16)
    assert seen == [len(whole_words(LONG, 80))]
    assert seen[0] <= 80 < len(LONG)


def test_labels_are_not_part_of_the_cache(tokenizer):
    rows = dataset(text=["na nb", "nc"], label=[0, 0])
    labelled = encode(tokenizer, rows, names=("0", "1"), labelled=True)
    assert labelled.fingerprint == encode(tokenizer, rows).fingerprint
    assert labelled.labels.tolist() == [0, 0]


def test_fingerprint_names_all_that_decides_the_ids(tokenizer, byte_level, tmp_path):
    rows = dataset(text=["na nb", "nc"], other=["x", "y"])
    other = load_tokenizer(EncoderConfig(name=str(byte_level)))
    cases = [
        (rows, TEXT, tokenizer, Settings(16, "head")),
        (rows, TEXT, tokenizer, Settings(17, "head")),
        (rows, TEXT, tokenizer, Settings(16, "tail")),
        (rows, TEXT, other, Settings(16, "head")),
        (rows, Source(files={"train": "x"}, text=("other",)), tokenizer, Settings(16, "head")),
        (dataset(text=["na nb", "nd"], other=["x", "y"]), TEXT, tokenizer, Settings(16, "head")),
        (rows.select([1, 0]), TEXT, tokenizer, Settings(16, "head")),
    ]
    assert len({fingerprint(version(rows, source), source, *rest) for rows, source, *rest in cases}) == len(cases)


def test_fingerprint_does_not_depend_on_earlier_use(tokenizer):
    before = fingerprint("rows", TEXT, tokenizer, Settings(16, "head"))
    tokenizer(["na nb"], truncation=True, max_length=3, padding="max_length")
    assert fingerprint("rows", TEXT, tokenizer, Settings(16, "head")) == before


def test_padding_and_dtype(tokenizer):
    batch = encode(tokenizer, dataset(text=["na", "na nb nc"], label=[1, 0]), labelled=True).collate([0, 1])
    assert batch.input_ids.dtype == torch.int64
    assert batch.input_ids[0].tolist()[3:] == [0, 0]
    assert batch.attention_mask.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]
    assert batch.labels.tolist() == [1, 0]


def test_rows_in_several_chunks(tokenizer):
    texts = [" ".join(words(1 + number % 5)) for number in range(2500)]
    rows = concatenate([dataset(text=texts[:700]), dataset(text=texts[700:])])
    split = encode(tokenizer, rows)
    assert len(split) == 2500
    assert (split.ids.lengths == np.array([3 + number % 5 for number in range(2500)])).all()
    assert tokens(tokenizer, split, 2403) == ["[CLS]", *words(4), "[SEP]"]
