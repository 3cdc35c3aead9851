"""Files of inputs and targets: what is read of them, and what is refused with file, row and remedy."""

import json
from dataclasses import replace
from importlib.util import find_spec

import pytest

from transferlab.config import places
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.sources import read_split, split_names
from transferlab.tasks.spec import Source
from transferlab.tasks.table import lookup

TALK = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}]
REPLY = {"role": "assistant", "content": "Hello."}


@pytest.fixture
def source(tmp_path):
    def build(rows, name="train.jsonl", **options):
        path = tmp_path / name
        if isinstance(rows, str):
            path.write_text(rows, encoding="utf-8")
        elif name.endswith(".parquet"):
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return Source(files={"train": str(path)}, kind="text", **options)

    return build


def read(source, split="train"):
    rows = read_split(source, split).rows
    return {name: rows[name][:] for name in rows.column_names}


def test_tables_json_lines_and_parquet_are_read_alike(source):
    rows = [{"input": "one, two", "target": "a b"}, {"input": "three", "target": "c"}]
    wanted = {"input": ["one, two", "three"], "target": ["a b", "c"]}
    assert read(source(rows)) == wanted
    assert read(source(rows, "train.parquet")) == wanted
    assert read(source('input,target\n"one, two",a b\nthree,c\n', "train.csv")) == wanted
    assert read(source("input\ttarget\none, two\ta b\nthree\tc\n", "train.tsv")) == wanted
    assert read(source("en,de\n1,2\n3,4\n", "train.csv", text=("en",), label="de")) == {
        "en": ["1", "3"],
        "de": ["2", "4"],
    }


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_of_a_translation_the_named_languages_are_read(source, name):
    rows = [{"translation": {"en": "a house", "ro": "o cas\u0103"}}, {"translation": {"en": "two", "ro": "dou\u0103"}}]
    found = read(source(rows, name, text=("en",), label="ro", language="ro"))
    assert found == {"en": ["a house", "two"], "ro": ["o cas\u0103", "dou\u0103"]}
    with pytest.raises(TransferlabError, match=r"has no language 'de', only en, ro; name the codes"):
        read(source(rows, name, text=("en",), label="de"))
    with pytest.raises(TransferlabError, match=r"has no language 'input', only en, ro; name the codes"):
        read(source(rows, name))


def test_several_references_are_a_list_also_in_a_table(source):
    rows = [{"input": "x", "target": ["a", "b"]}, {"input": "y", "target": "c"}]
    assert read(source(rows))["target"] == [["a", "b"], ["c"]]
    assert read(source('input,target\nx,"[""a"", ""b""]"\ny,"[""c""]"\n', "t.csv"))["target"] == [["a", "b"], ["c"]]
    # a single text that looks like a list is a text
    assert read(source('input,target\nx,"[""a""]"\ny,c\n', "t.csv"))["target"] == ['["a"]', "c"]


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_of_a_chat_the_last_reply_is_the_target(source, name):
    found = read(source([{"messages": [*TALK, REPLY]}, {"messages": [TALK[1], REPLY]}], name))
    assert found == {"input": [TALK, TALK[1:]], "target": ["Hello.", "Hello."]}
    assert read(source([{"messages": [*TALK, REPLY]}], name, text=("messages",))) == {
        "messages": [TALK],
        "target": ["Hello."],
    }
    open_ended = source([{"messages": TALK}], name, predict=("train",))
    assert read(open_ended) == {"input": [TALK]}


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (
            [{"input": "a", "target": "b"}, {"input": " ", "target": "b"}],
            {},
            r"line 2: the input \(column 'input'\) is empty; leave",
        ),
        (
            [{"input": "a", "target": "b"}, {"input": "a", "target": ""}],
            {},
            r"line 2: the target \(column 'target'\) is empty; leave",
        ),
        ([{"input": "a", "target": ["b", " "]}], {}, "line 1: the target .* is empty"),
        ([{"input": "a", "target": []}], {}, "line 1: the target .* is empty"),
        ([{"input": "a"}, {"input": "a", "target": "b"}], {}, "line 1: the target .* is empty"),
        ([{"input": "a", "target": 3}], {}, "line 1: column 'target' must hold a text or a list of texts, not 3"),
        ([{"input": 3, "target": "b"}], {}, "line 1: column 'input' must hold text, not 3"),
        (
            [{"messages": [*TALK, REPLY]}, {"messages": TALK}],
            {},
            "line 2: no reply: the last message is by 'user', not by 'assistant'; add",
        ),
        ([{"messages": TALK}], {}, "line 1: no reply"),
        ([{"messages": [REPLY]}], {}, "line 1: a reply to nothing; put a message of the user before it"),
        (
            [{"messages": [{"role": "human", "content": "Hi"}, REPLY]}],
            {},
            "line 1: no role 'human'; use system, .* assistant",
        ),
        (
            [{"messages": [{"from": "user", "value": "Hi"}, REPLY]}],
            {},
            'line 1: a message has "role" and "content", not',
        ),
        ([{"messages": [{"role": "user", "content": ""}, REPLY]}], {}, "line 1: the message by 'user' is empty"),
        ([{"messages": "Hi"}], {}, "line 1: messages are a list such as"),
        (
            [{"question": "q", "context": "c", "answers": []}],
            {},
            "line 1: this is a file of questions .* set data.source.kind: qa, or name",
        ),
        (
            [{"input": "a", "target": "这是一个测试"}],
            {},
            "line 1: the targets .* not in English letters.* data.source.language: zh",
        ),
        ([{"input": "a", "target": "b"}], {"document": "paper"}, "data.source.document: .* has no column 'paper'"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(source, rows, options, message):
    with pytest.raises(TransferlabError, match=message) as error:
        read_split(source(rows, **options), "train")
    assert "train.jsonl" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_empty_training_examples_are_left_out_where_asked_for(source, name):
    rows = [{"input": "a", "target": "b"}, {"input": None, "target": "b"}, {"input": "c", "target": " "}]
    given = source([*rows, {"input": "d", "target": "e"}], name, skip_empty=True)
    found = read_split(given, "train")
    assert (found.rows["input"][:], found.rows["target"][:]) == (["a", "d"], ["b", "e"])
    assert found.lines in (None, [1, 4])
    assert found.notes[-1] == "training examples without an input or a target, which were left out: 2"
    with pytest.raises(TransferlabError, match=r"(line|row) \d: the input .* is empty; leave"):
        read_split(replace(given, train="other", test=("train",)), "train")
    with pytest.raises(TransferlabError, match="no row has both an input and a target"):
        read_split(source(rows[1:], name, skip_empty=True), "train")
    several = [{"translation": {"en": "one", "ro": "unu"}}, {"translation": {"en": "two", "ro": None}}]
    of_ro = {"text": ("en",), "label": "ro", "language": "ro", "skip_empty": True}
    assert read(source(several, name, **of_ro)) == {"en": ["one"], "ro": ["unu"]}


@pytest.mark.parametrize("form", ["{}\n", "[{}]"])
def test_half_of_a_character_is_refused(source, form):
    pair = r'{"input": "\ud83d\ude00", "target": "b"}'
    name = "train.jsonl" if form.endswith("\n") else "train.json"
    assert read(source(form.format(pair), name))["input"] == ["\U0001f600"]
    with pytest.raises(TransferlabError, match=r"train\.jsonl?.*: \\ud83d is half of a character.* leave it out"):
        read(source(form.format(r'{"input": "a\ud83d", "target": "b"}'), name))


def test_squads_own_form_is_refused_too(source):
    nested = json.dumps({"data": [{"title": "t", "paragraphs": [{"context": "c", "qas": []}]}]})
    with pytest.raises(TransferlabError, match=r"train.json, row 0: this is a file of questions \(title, paragraphs\)"):
        read_split(source(nested, "train.json"), "train")


def test_a_named_language_is_read(source):
    assert read(source([{"input": "a", "target": "这是一个测试"}], language="zh"))["target"] == ["这是一个测试"]


def paper(**changed):
    sections = {"abstract": ["We try .", "It works ."], "introduction": ["Long ago ."], "conclusion": ["Done ."]}
    summary = {"challenge": "Hard.", "approach": "They try.", "outcome": "It works."}
    return {"id": "P1", "title": "Trying", "sentences": sections, "summary": summary, "highlights": {}} | changed


def test_papers_lie_in_a_folder_as_in_their_package(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path))
    (tmp_path / "aclsum").mkdir()
    for name in ("train.jsonl", "val.jsonl"):
        (tmp_path / "aclsum" / name).write_text(json.dumps(paper()) + "\n")
    source = lookup("aclsum")
    assert split_names(source) == ("train", "validation", "test")
    (row,) = read_split(source, "validation").rows
    assert (row["abstract"], row["outcome"], row["conclusion"]) == ("We try . It works .", "It works.", "Done .")
    with pytest.raises(TransferlabError, match=r"test\.jsonl is not on this machine.*pip install --no-deps aclsum"):
        read_split(source, "test")
    with pytest.raises(TransferlabError, match="no split 'dev'; there are train, validation, test"):
        read_split(source, "dev")
    (tmp_path / "aclsum" / "test.jsonl").write_text("\n" + json.dumps(paper(sentences={"abstract": ["We ."]})))
    with pytest.raises(TransferlabError, match=r"test\.jsonl, line 2: this is no paper of aclsum: 'introduction'"):
        read_split(source, "test")


def test_papers_that_are_nowhere_name_the_package(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path))
    monkeypatch.setattr(places, "PACKAGES", {})
    with pytest.raises(TransferlabError, match=r"aclsum is not on this machine.*pip install --no-deps aclsum"):
        read_split(lookup("aclsum"), "train")


@pytest.mark.skipif(not find_spec("aclsum"), reason="the package aclsum is not installed")
def test_the_package_holds_all_papers(monkeypatch):
    monkeypatch.delenv("TRANSFERLAB_DATA", raising=False)
    source = lookup("aclsum")
    assert [len(read_split(source, split).rows) for split in split_names(source)] == [100, 50, 100]
