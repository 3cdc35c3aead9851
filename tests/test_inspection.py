"""What is found in the rows of a task before anything is trained: by hand-made data, and the known truths of real ones."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from transferlab.cli import inspection as command
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source
from transferlab.tasks.inspection import groups, telling
from transferlab.tasks.inspection.facts import inspect, kept_inspection
from transferlab.tasks.inspection.nearest import nearest
from transferlab.tasks.inspection.plain import key_of, words_of
from transferlab.tasks.sources import read_split
from transferlab.tasks.table import lookup

# the fixtures of conftest.py take the variable away
DATA = os.environ.get("TRANSFERLAB_DATA", "")


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def source_of(folder, kind="classification", text=("text",), label="label", **splits):
    files = {split: write(folder / f"{split}.jsonl", rows) for split, rows in splits.items()}
    return Source(files=files, text=text, label=label, kind=kind, test=("test",) if "test" in splits else ())


def facts_of(source, splits=(), near=False):
    return inspect(source, lambda split: read_split(source, split), splits or tuple(source.files), near)


def examples(*pairs):
    return [{"text": text, "label": label} for text, label in pairs]


# texts ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("A good film .", "a good film"),
        ("do n't", "Don't!"),
        ("straße", "STRASSE"),
        ("caf\u00e9", "cafe\u0301"),
        ("a\u00a0b", "a b"),
        ("well-made", "well made"),
    ],
)
def test_case_punctuation_and_blanks_are_nothing(one, other):
    assert key_of(one) == key_of(other)


@pytest.mark.parametrize(("one", "other"), [("good 😀", "good 😡"), ("किताब", "कतब"), ("1", "2"), ("résumé", "resume")])
def test_signs_and_marks_that_mean_something_stay(one, other):
    assert key_of(one) != key_of(other)


def test_words_keep_their_bounds():
    assert words_of("  A  `good' film,\tit's ") == "a good film its"


# groups ---------------------------------------------------------------------------------------------------------------


def test_pairs_that_share_either_text_are_one_group_also_through_others():
    first, second = ["a", "a", "c", "x", "y"], ["b", "d", "d", "y", "z"]
    found = groups.by_text([first, second])
    assert found.number.tolist() == [0, 0, 0, 1, 1]
    assert found.whole.all()
    assert found.shared == 1


def test_phrases_go_with_the_sentence_that_they_stand_in():
    texts = ["a good film , truly", "good film", "film", "a bad day", "a bad", "filmy", "A good film, truly !!"]
    found = groups.by_sentence(texts, [key_of(text) for text in texts])
    assert found.number.tolist() == [0, 0, 0, 1, 1, 2, 0]
    # of the two spellings of a sentence the longer one is selected on
    assert np.flatnonzero(found.whole).tolist() == [3, 5, 6]


def test_a_phrase_of_words_is_not_part_of_a_word():
    texts = ["art is long", "party", "t is"]
    assert groups.by_sentence(texts, texts).number.tolist() == [0, 1, 2]


def test_containment_agrees_with_looking_at_all_pairs():
    rng = np.random.default_rng(0)
    texts = list(dict.fromkeys(" ".join(rng.choice(list("abcde"), rng.integers(1, 7))) for _ in range(300)))
    found = groups.by_sentence(texts, texts)
    inside = [any(other != text and f" {text} " in f" {other} " for other in texts) for text in texts]
    assert (found.whole == ~np.array(inside)).all()
    home = {number: text for number, text, whole in zip(found.number, texts, found.whole, strict=True) if whole}
    assert all(f" {text} " in f" {home[number]} " for number, text in zip(found.number, texts, strict=True))


def test_rows_without_a_value_are_groups_of_their_own():
    assert groups.by_value(["a", None, "a", "", None, 1, "1"]).number.tolist() == [0, 1, 0, 2, 3, 4, 4]


# what is found --------------------------------------------------------------------------------------------------------


def test_repeated_contradictory_and_shared_texts(tmp_path):
    train = examples(
        ("Good film.", "pos"), ("Good film.", "neg"), ("good film", "pos"), ("Bad", "neg"), ("Long", "pos")
    )
    test = examples(("Good film.", "pos"), ("BAD!", "pos"), ("New", "neg"), ("Long", "pos"))
    found = facts_of(source_of(tmp_path, train=train, test=test))
    split = found["splits"]["train"]
    assert split["examples"] == 5
    assert split["labels"] == {"pos": 3, "neg": 2}
    assert split["exact"] == {"surplus": 1, "texts": 1, "contradictory": 1}
    assert split["plain"] == {"surplus": 2, "texts": 1, "contradictory": 1}
    assert split["shared"] == 0.6
    assert split["words"] == {"median": 2, "high": 2, "longest": 2}
    against = found["against"]["test"]
    assert (against["exact"], against["plain"], against["swapped"]) == (2, 3, 0)
    # "good film" is mostly pos in training, "bad" neg there and pos here
    assert against["right"] == 2
    line = telling.in_line(found)
    assert "2 of 5 training texts repeat another one, 1 texts have different labels" in line
    assert "3 of 4 in test stand in training too, 2 with the same label" in line


def test_pairs_the_other_way_round_and_texts_in_common(tmp_path):
    def pairs(*rows):
        return [{"a": a, "b": b, "label": label} for a, b, label in rows]

    train = pairs(("x", "y", "same"), ("u", "v", "other"), ("p", "q", "other"))
    test = pairs(("Y", "X", "same"), ("u", "v", "same"), ("u", "new", "same"), ("k", "l", "other"))
    found = facts_of(source_of(tmp_path, text=("a", "b"), train=train, test=test))["against"]["test"]
    assert (found["exact"], found["plain"], found["swapped"], found["right"]) == (1, 1, 1, 1)
    assert found["columns"] == [0.75, 0.5]
    assert found["either"] == 0.75


def test_a_tagged_sentence_is_one_text_and_entities_are_looked_up(tmp_path):
    def sentence(words, tags):
        return {"text": words.split(), "label": tags.split()}

    train = [sentence("Ada lives in Rome", "B-PER O O B-LOC"), sentence("It rains", "O O"), sentence("It rains", "O O")]
    test = [sentence("Ada sees Oslo", "B-PER O B-LOC"), sentence("it rains", "O O"), sentence("Rome", "B-PER")]
    found = facts_of(source_of(tmp_path, kind="tagging", train=train, test=test))
    assert found["splits"]["train"]["labels"] == {"PER": 1, "LOC": 1}
    assert found["splits"]["train"]["exact"] == {"surplus": 1, "texts": 1, "contradictory": 0}
    against = found["against"]["test"]
    assert (against["exact"], against["plain"], against["right"]) == (0, 1, 1)
    # Ada is known as a person; Rome is known, but as a place
    assert against["entities"] == pytest.approx(1 / 3, abs=1e-4)


def test_targets_are_told_by_their_range(tmp_path):
    source = source_of(
        tmp_path, kind="regression", train=examples(("a", 1), ("b", 3.5), ("b", 2)), test=examples(("a", 1))
    )
    found = facts_of(source)
    assert found["splits"]["train"]["labels"] == {"least": 1.0, "mean": pytest.approx(6.5 / 3), "largest": 3.5}
    assert found["splits"]["train"]["exact"]["contradictory"] == 1
    assert found["against"]["test"]["right"] == 1


def test_splits_without_labels_are_looked_at_too(tmp_path):
    source = source_of(tmp_path, train=examples(("a", "x"), ("b", "y")), more=[{"text": "A"}, {"text": "c"}])
    found = facts_of(source)
    assert found["splits"]["more"]["labels"] is None
    assert (found["against"]["more"]["plain"], found["against"]["more"]["right"]) == (1, None)


def test_splits_beside_the_training_split_are_compared_with_one_another(tmp_path):
    rows = examples(("a", "x"), ("b", "y"))
    source = source_of(tmp_path, train=rows, validation=examples(("c", "x"), ("d", "y")), test=examples(("C!", "x")))
    found = facts_of(source)
    assert found["between"] == [["validation", "test", 1]]
    assert "1 of test stand in validation too" in telling.in_line(found)


def test_what_a_hold_out_should_keep_together(tmp_path):
    alone = examples(*((f"text number {n}", "xy"[n % 2]) for n in range(300)))
    assert facts_of(source_of(tmp_path, train=alone))["holdout_by"] == "example"
    twice = [*alone[:298], *examples(("Text number 7.", "y"), ("Text number 8.", "x"), ("Text number 9.", "y"))]
    assert facts_of(source_of(tmp_path, train=twice))["holdout_by"] == "text"
    phrases = [*alone[:200], *examples(*((f"number {n}", "xy"[n % 2]) for n in range(100)))]
    assert facts_of(source_of(tmp_path, train=phrases))["holdout_by"] == "sentence"
    # too few sentences to hold out a tenth of them, and one text in all pairs
    few = examples(*((f"text {'a ' * (n % 17)}", "xy"[n % 2]) for n in range(60)))
    assert facts_of(source_of(tmp_path, train=few))["holdout_by"] == "text"
    asked = [{"a": f"text {n}", "b": "Is it so?", "label": "xy"[n % 2]} for n in range(60)]
    assert facts_of(source_of(tmp_path, text=("a", "b"), train=asked))["holdout_by"] == "example"


def test_the_nearest_training_text():
    train, labels = ["the cat sat", "a dog ran far", "rain fell"], ["x", "y", "x"]
    found = nearest(train, labels, ["the cat ran", "one dog far away", "rain"], ["x", "y", "y"])
    assert found == {"right": 2, "of": 3, "most": 1}


def test_what_was_found_is_kept_until_the_rows_change(tmp_path):
    source = source_of(tmp_path, train=examples(("a", "x"), ("b", "y")))
    first = kept_inspection(source, lambda split: read_split(source, split), ["train"])

    def unread(split):
        raise AssertionError(f"{split} was read")

    assert kept_inspection(source, unread, ["train"]) == first
    write(tmp_path / "train.jsonl", examples(("a", "x"), ("a", "y"), ("c", "x")))
    again = kept_inspection(source, lambda split: read_split(source, split), ["train"])
    assert again["splits"]["train"]["exact"]["surplus"] == 1


# the command ----------------------------------------------------------------------------------------------------------


def test_the_command_tells_of_a_task_of_ones_own(tmp_path, monkeypatch, capsys):
    source = source_of(
        tmp_path, train=examples(("a", "x"), ("a", "y"), ("b", "x")), test=examples(("A", "x"), ("c", "y"))
    )
    monkeypatch.chdir(tmp_path)
    task = {"data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": {"task": "mine"}}}
    task["data"]["init_args"]["source"] = {"files": source.files, "test": ["test"], "text": "text"}
    (tmp_path / "mine.yaml").write_text(json.dumps(task))
    command.main(["mine.yaml"])
    told = capsys.readouterr().out
    assert "mine (classification, tested on test)" in told
    assert "1 repeat another one; 1 of 1 repeated texts have different labels" in told
    assert "1 of 2" in told


def test_the_command_knows_shipped_tasks_and_writes_rows_for_pages(capsys):
    command.main(["demo_sentences", "demo_pairs", "--format", "markdown"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in lines] == ["task", "---", "demo_sentences", "demo_pairs"]
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.parametrize(
    ("word", "message"),
    [("sst", "no task or experiment 'sst'"), ("no.yaml", "no such file"), ("", "no task or experiment")],
)
def test_what_is_not_there(word, message):
    with pytest.raises(TransferlabError, match=message):
        command.main([word])


def test_the_command_imports_no_torch():
    code = "import sys\nfrom transferlab.cli import inspection\ninspection.main(['demo_entities'])\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# known truths ---------------------------------------------------------------------------------------------------------

REAL = pytest.mark.skipif(
    not os.path.isdir(os.path.join(DATA, "glue")), reason="TRANSFERLAB_DATA names no folder with a copy of GLUE"
)


def real(task, monkeypatch, *splits, near=False):
    monkeypatch.setenv("TRANSFERLAB_DATA", DATA)
    source = lookup(task)
    return facts_of(source, splits or source.test, near)


@REAL
def test_sst2(monkeypatch):
    found = real("sst2", monkeypatch)
    train = found["splits"]["train"]
    assert train["exact"]["surplus"] == 371
    assert (train["plain"]["surplus"], train["plain"]["contradictory"]) == (8775, 157)
    assert found["against"]["validation"]["exact"] == 0
    assert found["holdout_by"] == "sentence"


@REAL
def test_cola(monkeypatch):
    found = real("cola", monkeypatch)
    assert found["splits"]["train"]["exact"] == {"surplus": 19, "texts": 19, "contradictory": 11}
    assert found["against"]["validation"]["exact"] == 16
    assert found["holdout_by"] == "example"


@REAL
def test_stsb(monkeypatch):
    found = real("stsb", monkeypatch, "validation", "test")["against"]["validation"]
    assert found["exact"] + found["swapped"] == 8


@REAL
def test_rte(monkeypatch):
    found = real("rte", monkeypatch)
    assert found["against"]["validation"]["columns"][1] == pytest.approx(0.285, abs=0.001)
    assert found["holdout_by"] == "text"


@REAL
def test_wnli(monkeypatch):
    found = real("wnli", monkeypatch, near=True)
    # three of 71 dev examples have the label of the most similar training example
    assert found["against"]["validation"]["nearest"] == {"right": 3, "of": 71, "most": 40}
    assert found["holdout_by"] == "text"


@pytest.mark.skipif(not os.path.isdir(os.path.join(DATA, "imdb")), reason="TRANSFERLAB_DATA names no copy of IMDB")
def test_imdb(monkeypatch):
    found = real("imdb", monkeypatch)["against"]["test"]
    assert (found["exact"], found["right"]) == (123, 123)
