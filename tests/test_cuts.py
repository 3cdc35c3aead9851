"""What truncation cuts off is counted, and told in header, summary and report."""

import json

import pytest
from conftest import build_tokenizer
from test_record import record

from transferlab.analysis.page.document import page
from transferlab.encoders import EncoderConfig
from transferlab.encoders.loading import load_tokenizer
from transferlab.record import report
from transferlab.record.facts import examples
from transferlab.strategies import FullFineTuning
from transferlab.tasks import Source, TaskDataModule, cuts
from transferlab.tasks.settings import Settings
from transferlab.tasks.tokenization import encode_texts


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "letters"
    build_tokenizer(folder, words=["dog", "the"])
    return load_tokenizer(EncoderConfig(name=str(folder)))


@pytest.mark.parametrize(
    ("text", "start", "end", "expected"),
    [
        ("the dog saw it", 7, 14, [1, 2]),
        # a word that is read in part is read
        ("the dog saw it", 9, 14, [1, 1]),
        ("the dog saw it", 4, 9, [1, 1]),
        ("the dog saw it", 5, 6, [1, 0]),
        ("the dog.", 7, 8, [1, 0]),
        ("the dog \n", 7, 9, [0, 0]),
        ("the dog", 7, 7, [0, 0]),
        ("the dog", 0, 7, [1, 2]),
    ],
)
def test_what_stands_between_two_places(text, start, end, expected) -> None:
    assert cuts.unread(text, start, end) == expected


TEXTS = {
    # three words of one token, then words of a token for each letter; two special tokens
    "head": ("the dog the abc de f", 7, [1, 2]),
    "head, of a short text": ("the dog", 7, [0, 0]),
    "head, that just fits": ("the dog the the dog", 7, [0, 0]),
    "head, inside a word": ("the dog the abc", 7, [1, 0]),
    "tail": ("abc the dog the dog the", 7, [1, 1]),
    "tail, that fits": ("the dog", 7, [0, 0]),
    "head_tail": ("the dog " + "abc " * 3 + "the dog the", 7, [1, 3]),
    "windows": ("the dog " * 20, 7, None),
}


@pytest.mark.parametrize("case", TEXTS)
def test_words_of_texts(case, tokenizer) -> None:
    text, length, expected = TEXTS[case]
    truncation = case.split(",")[0]
    source = Source(files={"train": "x"})
    from transferlab.tasks.tokenization import _encoder_of

    columns = _encoder_of(source, tokenizer, Settings(length, truncation))({"text": [text]})
    assert columns.get("cut", [None]) == [expected]
    assert len(encode_texts({"text": [text]}, source, tokenizer, Settings(length, truncation))) == 1


def test_words_of_a_text_that_is_not_read_to_its_end(tokenizer) -> None:
    from transferlab.tasks.tokenization import _encoder_of

    encode = _encoder_of(Source(files={"train": "x"}), tokenizer, Settings(12, "head"))
    assert encode({"text": ["the dog " * 500]})["cut"] == [[1, 990]]


def test_words_of_pairs(tokenizer) -> None:
    from transferlab.tasks.tokenization import _encoder_of

    encode = _encoder_of(Source(files={"train": "x"}, text=("a", "b")), tokenizer, Settings(9, "head"))
    # six tokens are left: the longer text gives way
    columns = {"a": ["the dog", "the dog", "the dog the dog the"], "b": ["dog the", "the dog the dog the dog", "the"]}
    assert encode(columns)["cut"] == [[0, 0], [1, 2], [0, 0]]
    columns = {"a": ["the dog the dog the"], "b": ["dog the dog the"]}
    assert encode(columns)["cut"] == [[1, 3]]


SENTENCES = [
    # seven tokens are read of each
    (["the", "dog", "the", "dog"], ["O", "B-X", "O", "B-X"]),
    (["the"] * 4 + ["abcd", "dog"], ["O"] * 3 + ["B-X", "I-X", "I-X"]),
    (["the"] * 8 + ["dog"] * 2, ["O"] * 6 + ["B-X", "O", "B-X", "I-X"]),
]


@pytest.fixture
def data(tmp_path, tiny_encoder):
    rows = [json.dumps({"tokens": words, "tags": tags}) for words, tags in SENTENCES]
    (tmp_path / "train.jsonl").write_text("\n".join(rows * 2))
    (tmp_path / "test.jsonl").write_text(rows[0])
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "test")}
    source = Source(files=files, kind="tagging", text=("tokens",), label="tags")
    module = TaskDataModule("own", tiny_encoder, source=source, max_length=9, batch_size=2)
    module.setup("fit")
    return module


def test_words_and_entities_of_sentences(data) -> None:
    # of the second sentence the last word, which belongs to an entity; of the third three words and one entity
    assert data.cut["train"] == {
        "examples": 4,
        "of_examples": 6,
        "words": 8,
        "of_words": 40,
        "entities": 4,
        "of_entities": 10,
    }
    assert data.cut["test"] == {"examples": 0, "of_examples": 1, "words": 0, "of_words": 4}


def test_header_summary_and_report_tell_it(data, tiny_encoder, tmp_path) -> None:
    said = "train: 4 of 6 sentences (66.7 %), 8 of 40 words (20.0 %), 4 of 10 entities (40.0 %)"
    assert cuts.in_words(data.cut, tagging=True) == said
    assert examples(data)["cut"] == data.cut
    summary = record(tmp_path / "run", FullFineTuning(data.spec, tiny_encoder), data)
    assert report.header_rows(summary, tmp_path)["cut off"] == said
    html = str(page([summary | {"folder": str(tmp_path / "run")}], tmp_path))
    assert f"Cut off by truncation: {said}." in html


def test_nothing_is_told_where_nothing_is_known() -> None:
    assert cuts.in_words({}, tagging=False) == ""
    whole = {"examples": 0, "of_examples": 3, "words": 0, "of_words": 9}
    assert cuts.in_words({"train": whole, "test": {}}, tagging=False) == "nothing"
    some = {"examples": 1, "of_examples": 4, "words": 1500, "of_words": 3000}
    assert cuts.in_words({"train": whole, "test": some}, tagging=False) == (
        "test: 1 of 4 texts (25.0 %), 1,500 of 3,000 words (50.0 %)"
    )
