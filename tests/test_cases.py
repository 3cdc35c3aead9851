"""Twelve situations from public bug reports, with inputs of our own: each one read right, or refused with its line."""

import json

import pytest
import torch
from test_record import lines_of, record

from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.learning.metrics import TaskMetrics
from transferlab.strategies import FullFineTuning
from transferlab.tasks import Source, TaskDataModule

GOOD = ("good film", "a great joy", "lovely and warm", "fine acting", "superb")
BAD = ("bad film", "dull mess", "boring and cold", "poor acting", "awful")


@pytest.fixture
def module(tmp_path, tiny_encoder):
    """A data module of files that are given by name, the training split first."""

    def build(files, max_length=64, **options):
        paths = {}
        for name, content in files.items():
            (tmp_path / name).write_text(content)
            paths[name.partition(".")[0]] = str(tmp_path / name)
        source = Source(files=paths, **options)
        return TaskDataModule("own", tiny_encoder, source=source, max_length=max_length, batch_size=8, max_unknown=1.0)

    return build


def tagged(module, files, **options):
    return module(files, kind="tagging", text=("tokens",), label="tags", **options)


def refused(data, message):
    with pytest.raises(TransferlabError, match=message) as caught:
        data.setup("fit")
    assert "\n" not in str(caught.value)


def f1_of(data, decoding="argmax"):
    """Precision, recall and F1 of a model that is right about every word that it reads."""
    model = FullFineTuning(data.spec, data.encoder, HeadConfig(decoding=decoding))
    metrics = TaskMetrics(data.spec)
    for batch in data.whole_split("test"):
        logits = torch.nn.functional.one_hot(batch.labels.clamp(min=0), data.spec.outputs).float()
        metrics.update(model.decode(logits, batch), batch.labels)
    return {name: value.item() for name, value in metrics.compute().items()}


def test_01_several_labels_an_example(module) -> None:
    rows = [{"text": text, "label": [name, "x"]} for texts, name in ((GOOD, "p"), (BAD, "n")) for text in texts * 4]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    files = {"train.jsonl": content, "test.jsonl": content}
    refused(
        module(files), r"train\.jsonl, line 1: column 'label' holds \['p', 'x'\], but classification takes one label"
    )
    data = module(files, kind="multilabel")
    data.setup("fit")
    # every example has x, half have p, half have n
    assert dict(zip(data.spec.labels, data.encoded("test").labels.sum(0).tolist(), strict=True)) == {
        "n": 20,
        "p": 20,
        "x": 40,
    }


def test_03_stars_are_written_in_two_ways(module) -> None:
    train = "".join(f"text {n},{n % 5 + 1}.0\n" for n in range(40))
    test = "".join(f"text {n},{n % 4 + 1}\n" for n in range(16))
    data = module({"train.csv": f"text,label\n{train}", "test.csv": f"text,label\n{test}"})
    data.setup("fit")
    assert data.spec.labels == ("1", "2", "3", "4", "5")
    assert data.encoded("test").labels.tolist() == [n % 4 for n in range(16)]


def test_04_commas_in_texts(module) -> None:
    rows = "".join(f"{text}, really,{name}\n" for texts, name in ((GOOD, "p"), (BAD, "n")) for text in texts)
    refused(module({"train.csv": f"text,label\n{rows}"}), r"train\.csv, line 2: 3 fields where the first line has 2")


SHORT = "Ada B-PER\nvisits O\nRome B-LOC\ntoday O\n"


@pytest.mark.parametrize("labels", [("B-PER", "B-LOC", "O"), ("O", "B-PER", "B-LOC")])
@pytest.mark.parametrize("decoding", ["argmax", "constrained"])
def test_06_o_stands_anywhere_in_the_list(labels, decoding, module) -> None:
    files = {"train.txt": f"{SHORT}\n" * 20, "test.txt": f"{SHORT * 40}\n" * 4}
    data = tagged(module, files, labels=labels)
    data.setup("fit")
    assert data.spec.labels == labels
    values = f1_of(data, decoding)
    cut = data.cut["test"]
    # what was not read is missed, and nothing is made up
    assert values["precision"] == 1
    assert values["recall"] == pytest.approx(1 - cut["entities"] / cut["of_entities"])
    assert 0 < cut["entities"] < cut["of_entities"] == 320


def test_08_blanks_inside_words(module) -> None:
    content = "Ada Lee\tB-PER\nvisits\tO\nNew York\tB-LOC\n\n" * 6
    data = tagged(module, {"train.txt": content, "test.txt": content})
    data.setup("fit")
    assert data.rows("train").rows["tokens"][0] == ["Ada Lee", "visits", "New York"]
    assert data.rows("train").rows["tags"][0] == ["B-PER", "O", "B-LOC"]


def test_10_comments_of_germeval(module) -> None:
    sentence = "#\thttp://example.org/wiki/X\t[2009-10-17]\n1\tIn\tO\tO\n2\tKoeln\tB-LOC\tO\n3\t#\tO\tO\n"
    sentence += "4\tFC\tB-ORG\tO\n5\tBonn\tI-ORG\tB-LOC\n\n"
    for name in ("conll", "tsv"):
        files = {f"train.{name}": sentence * 6, f"test.{name}": sentence}
        data = module(files, kind="tagging", text=("1",), label="2")
        data.setup("fit")
        assert data.rows("test").rows["1"][:] == [["In", "Koeln", "#", "FC", "Bonn"]]
        assert data.rows("test").rows["2"][:] == [["O", "B-LOC", "O", "B-ORG", "I-ORG"]]


@pytest.mark.parametrize("decoding", ["argmax", "constrained"])
def test_12_iob1_and_constrained_decoding(decoding, module) -> None:
    content = "Ada I-PER\nvisits O\nNew I-LOC\nYork I-LOC\nRome B-LOC\n. O\n\n" * 20
    data = tagged(module, {"train.txt": content, "test.txt": content})
    data.setup("fit")
    assert data.spec.spelling.name == "IOB1"
    assert f1_of(data, decoding) == {"f1": 1, "precision": 1, "recall": 1}


def test_14_bioes_is_trained_and_written(module, tiny_encoder, tmp_path) -> None:
    content = "Ada S-PER\nin O\nNew B-LOC\nYork I-LOC\nCity E-LOC\n\n" * 8
    data = tagged(module, {"train.bio": content, "test.bio": content})
    data.setup("fit")
    model = FullFineTuning(data.spec, tiny_encoder)
    summary = record(tmp_path / "run", model, data)
    assert summary["scheme"][0] == "BIOES"
    assert f1_of(data)["f1"] == 1
    lines = lines_of(tmp_path / "run", "test")
    assert lines[0]["label"] == ["S-PER", "O", "B-LOC", "I-LOC", "E-LOC"]
    assert summary["per_class"]["LOC"]["support"] == 8


def test_16_a_label_that_is_missing_in_the_test(module) -> None:
    train = "".join(f"{text},{int(text in GOOD)}\n" for text in (*GOOD, *BAD) * 2)
    test = "".join(f"{text},{int(text in GOOD)}\n" for text in (*GOOD, *BAD)) + "unclear,\n"
    data = module({"train.csv": f"text,label\n{train}", "test.csv": f"text,label\n{test}"})
    refused(data, r"test\.csv, line 12: there is no label in column 'label'")


def test_19_lists_in_a_table(module) -> None:
    rows = "tokens,tags\n" + "\"['Ada', 'runs']\",\"['B-PER', 'O']\"\n" * 10 + "\"['Bo']\",\"['O']\"\n" * 3
    data = tagged(module, {"train.csv": rows, "test.csv": rows})
    data.setup("fit")
    assert data.rows("test").rows["tokens"][:3:2] == [["Ada", "runs"]] * 2
    assert data.spec.labels == ("O", "B-PER")
    broken = rows.replace("['Bo']", "[Bo]", 1)
    refused(
        tagged(module, {"train.csv": broken}),
        r"train\.csv, line 12: column 'tokens' must hold a list .*use JSON lines or Parquet",
    )


def test_21_a_quoted_tsv(module) -> None:
    rows = "".join(f'"say ""{text}"""\t{"p" if text in GOOD else "n"}\n' for text in (*GOOD, *BAD))
    data = module({"train.tsv": f"text\tlabel\n{rows}", "test.tsv": f"text\tlabel\n{rows}"})
    data.setup("fit")
    assert data.rows("test").rows["text"][0] == 'say "good film"'
    assert "quoted" in data.rows("test").form
