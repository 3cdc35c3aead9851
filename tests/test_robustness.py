"""Changed texts by hand, the same for a seed; runs on them and on other files, beside the record."""

import json
import re
import shutil
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from test_predictor import run_of, test_rows

import transferlab as tl
from transferlab.__main__ import _run as start
from transferlab.analysis.comparison import elsewhere
from transferlab.analysis.comparison.command import main as compare
from transferlab.analysis.page.command import main as report
from transferlab.ground.errors import TransferlabError
from transferlab.record.folder import retests
from transferlab.tasks import TaskSpec
from transferlab.tasks.augmentation import wordnet
from transferlab.use.labelled import Labelled, judge, of_file, own_test
from transferlab.use.quantising import labelled as quantising
from transferlab.use.reread import data_of
from transferlab.use.robustness import measure as measuring
from transferlab.use.robustness import perturbations
from transferlab.use.robustness.measure import measure, perturbed
from transferlab.use.robustness.options import NAMES, main

TABLE = {"movie": ("film",), "good": ("fine",)}
KNOWN = {change.name: change for change in perturbations.known(TABLE)}


def changed(name, *texts, seed=0):
    found = KNOWN[name](texts, Random(seed))
    return found[0] if len(texts) == 1 else found


@pytest.mark.parametrize(
    ("name", "text", "wanted"),
    [
        ("lower", "A Good FILM.", "a good film."),
        ("upper", "a good  film.", "A GOOD  FILM."),
        ("punctuation", "Well , it is good . Is it?", "Well it is good Is it"),
        ("punctuation", "It cost 3.50 in the U.S.A, twice", "It cost 3.50 in the U.S.A twice"),
        ("punctuation", "a good film", "a good film."),
        ("contractions", "It's good, I don't know", "It is good, I do not know"),
        ("contractions", "it 's what you 're after", "it is what you are after"),
        ("contractions", "i do n't", "i do not"),
        ("contractions", "DON\u2019T go. Can't you?", "DO NOT go. Cannot you?"),
        ("contractions", "I am not; Do not go", "I'm not; Don't go"),
        ("contractions", "a plot of sorts", "a plot of sorts"),
        ("synonyms", "A Good plot", "A Fine plot"),
        ("synonyms", "a plot", "a plot"),
        ("pronouns", "He saw her and her film; Mr Smith", "She saw him and his film; Mrs Smith"),
        ("pronouns", "his work is hers, not his", "her work is his, not hers"),
        ("pronouns", "the MAN himself", "the WOMAN herself"),
        ("longer", "a plot ", f"a plot {perturbations.NEUTRAL}"),
    ],
)
def test_a_change_by_hand(name, text, wanted):
    assert changed(name, text) == wanted


def test_a_typo_is_one_letter_and_depends_on_the_seed():
    text = "nothing about this wonderful movie could possibly disappoint anybody"
    found = {changed("typos", text, seed=seed) for seed in range(20)}
    assert len(found) > 10
    assert changed("typos", text) == changed("typos", text)
    for one in found:
        apart = [(old, new) for old, new in zip(text.split(), one.split(), strict=True) if old != new]
        assert len(apart) == 1
        old, new = apart[0]
        assert abs(len(old) - len(new)) <= 1
        assert old[0] == new[0]
    assert changed("typos", "it is so") == "it is so"


def test_all_kinds_of_typos_occur():
    found = {perturbations._typo("word", Random(seed)) for seed in range(200)}
    assert {"wrod", "wodr", "wrd", "wod", "woord", "worrd", "wird", "wprd", "wotd", "woed"} == found


def test_a_name_is_the_same_one_throughout_and_of_the_other_list():
    found = changed("names", "Anna met Paul; Anna left. Rome stayed")
    first, other = found.split()[0], found.split()[2].rstrip(";")
    assert first in perturbations.MEN
    assert other in perturbations.WOMEN
    assert found == f"{first} met {other}; {first} left. Rome stayed"
    small = changed("names", "anna has grace").split()
    assert small[0].capitalize() in perturbations.MEN
    assert small[1:] == ["has", "grace"]
    assert changed("names", "Then anna left") == "Then anna left"


def test_words_of_a_sentence_keep_their_number():
    words = ["He", "saw", "Anna", ",", "the", "good", "movie", "."]
    examples = Labelled("here", np.array([3]), {"words": [words]}, [np.zeros(8, dtype=int)], "v")
    for change in KNOWN.values():
        if change.of_words is not None:
            (new,) = perturbed(examples, change, 0).columns["words"]
            assert len(new) == len(words), change.name
            assert all(new), change.name
    assert {change.name for change in KNOWN.values() if change.of_words is None} == {
        "punctuation",
        "contractions",
        "longer",
    }


def test_an_example_is_changed_alike_whatever_the_others_are():
    texts = ["something wonderful happened", "nothing wonderful happened"]
    both = Labelled("here", np.array([4, 7]), {"text": texts}, np.zeros(2), "v")
    alone = Labelled("here", np.array([7]), {"text": texts[1:]}, np.zeros(1), "v")
    assert (
        perturbed(both, KNOWN["typos"], 1).columns["text"][1] == perturbed(alone, KNOWN["typos"], 1).columns["text"][0]
    )
    empty = Labelled("here", np.array([0]), {"text": ["?!"]}, np.zeros(1), "v")
    assert perturbed(empty, KNOWN["punctuation"], 0).columns["text"] == ["?!"]


def test_options_name_all_changes():
    assert set(NAMES) == set(KNOWN)
    assert "synonyms" not in {change.name for change in perturbations.known(None)}


def test_synonyms_of_the_commonest_sense(tmp_path, monkeypatch):
    licence = "  1 This is a licence\n"
    files = {
        "index.adj": "good a 2 1 ! 2 5 00000010 00000020\nfine a 1 0 1 0 00000010\n",
        "data.adj": "00000010 00 a 03 good 0 fine(p) 0 very_good 0 000 | pleasing; text | with a stroke\n"
        "00000020 00 a 02 good 1 skilful 0 000 | able\n",
        "index.noun": "good n 1 0 1 1 00000030\ncars n 1 0 1 0 00000030\ncat n 1 0 1 0 00000030\n",
        "data.noun": "00000030 03 n 02 good 0 Ware 0 000 | goods\n",
        **{f"{kind}.{part}": "" for kind in ("index", "data") for part in ("adv", "verb")},
    }
    for name, text in files.items():
        (tmp_path / name).write_text(licence + text, encoding="utf-8")
    monkeypatch.setenv(wordnet.VARIABLE, str(tmp_path))
    assert wordnet.folder() == tmp_path
    assert wordnet.synonyms(tmp_path) == {"good": ("fine",), "fine": ("good",), "cars": ("good",)}
    monkeypatch.setenv(wordnet.VARIABLE, str(tmp_path / "none"))
    assert wordnet.folder() != tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory, files, tiny_encoder):
    """A finished run on files of its own."""
    folder = tmp_path_factory.mktemp("robust")
    run_of(folder / "runs" / "py" / "one", files, tiny_encoder, "classification", (tl.FullFineTuning, {}, {}))
    return folder


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "py" / "one"


def test_what_is_judged_is_what_was_tested(run):
    predictor = tl.Predictor.load(run, device="cpu")
    examples = own_test(predictor, data_of(run))
    found = judge(predictor, examples)
    recorded = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    assert [(one["id"], one["prediction"], one["label"]) for one in found.records] == [
        (one["id"], one["prediction"], one["label"]) for one in recorded
    ]
    summary = json.loads((run / "summary.json").read_text())
    assert found.metrics["accuracy"] == pytest.approx(summary["metrics"]["test/accuracy"], abs=1e-6)
    assert found.right.mean() == pytest.approx(found.metrics["accuracy"])
    # by hand: what changes no text is not asked again, and changes nothing
    none = perturbations.Perturbation("none", "nothing", lambda words, random: words)
    same = measure(predictor, examples, found, none, 0)
    assert same["changed_texts"] == 0
    assert same["difference"] == {"mean": 0, "low": None, "high": None}
    assert same["changed_predictions"]["trials"] == 0
    gone = perturbations.Perturbation("gone", "one word", of_text=lambda text, random: "you")
    lost = measure(predictor, examples, found, gone, 0)
    answer = predictor("you")["prediction"]
    moved = [one["prediction"] != answer for one in recorded]
    assert lost["changed_predictions"]["value"] == pytest.approx(sum(moved) / len(moved))
    right = [(answer == one["label"]) - (one["prediction"] == one["label"]) for one in recorded]
    assert lost["difference"]["mean"] == pytest.approx(sum(right) / len(right))
    assert len(lost["shown"]) == min(sum(moved), 3)


def test_robustness_is_kept_beside_the_record_and_reported(run, monkeypatch, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    main(["--run", "py", "--change", "typos", "pronouns", "--device", "cpu", "--examples", "6"])
    assert before == {path: path.read_bytes() for path in before}
    kept = elsewhere.changes({"folder": str(run)})
    assert (kept["examples"], list(kept["changes"])) == (6, ["typos", "pronouns"])
    assert "predictions changed" in capsys.readouterr().out
    main(["--run", "py", "--change", "upper", "--device", "cpu", "--examples", "6"])
    assert list(elsewhere.changes({"folder": str(run)})["changes"]) == ["typos", "pronouns", "upper"]
    main(["--run", "py", "--change", "typos", "--device", "cpu", "--examples", "6", "--seed", "1"])
    assert list(elsewhere.changes({"folder": str(run)})["changes"]) == ["typos"]
    report(["runs", "--output", "page.html"])
    page = (run.parents[2] / "page.html").read_text(encoding="utf-8")
    assert "Changed texts" in page
    assert "Other test sets" not in page


def test_runs_stand_side_by_side_on_the_same_examples(run, monkeypatch, capsys):
    """Each has its table, its file and its section of the report; both are asked the very same changed texts."""
    other = run.parents[1] / "other" / "two"
    shutil.copytree(run, other)
    summary = json.loads((other / "summary.json").read_text())
    (other / "summary.json").write_text(json.dumps(summary | {"experiment": "other", "run": "two", "seed": 7}))
    asked = []

    def noted(predictor, examples, told=""):
        asked.append(examples)
        return judge(predictor, examples, told)

    monkeypatch.setattr(measuring, "judge", noted)
    main(["--run", "py", "other", "--change", "typos", "--device", "cpu", "--examples", "6"])
    told = capsys.readouterr().out
    assert "py/one: 6 test examples" in told
    assert "other/two: 6 test examples" in told
    first, second = asked
    assert first.columns == second.columns
    assert first.ids.tolist() == second.ids.tolist()
    one, two = (elsewhere.changes({"folder": str(folder)}) for folder in (run, other))
    # copies of one run answer alike
    assert one["changes"] == two["changes"]
    report(["runs", "--output", "page.html"])
    page = (run.parents[2] / "page.html").read_text(encoding="utf-8")
    # two seeds of a setting, with the examples of both
    shown = page[page.index("typos") :]
    assert re.match(r"typos</td>.*?</td><td[^>]*>2</td><td[^>]*>12</td>", shown), shown[:300]


def test_without_a_word_list_synonyms_are_skipped_and_that_is_said(run, monkeypatch, capsys):
    monkeypatch.delenv(wordnet.VARIABLE, raising=False)
    monkeypatch.setattr(wordnet, "find_spec", lambda name: None)
    assert wordnet.folder() is None
    main(["--run", "py", "--change", "lower", "synonyms", "--device", "cpu", "--examples", "6"])
    told = " ".join(capsys.readouterr().out.split())
    assert "synonyms: skipped, there is no WordNet: pip install 'transferlab[robustness]', or name the folder" in told
    assert list(elsewhere.changes({"folder": str(run)})["changes"]) == ["lower"]
    # where no synonyms are asked for nothing is said of them
    main(["--run", "py", "--change", "lower", "--device", "cpu", "--examples", "6"])
    assert "WordNet" not in capsys.readouterr().out
    with pytest.raises(TransferlabError, match="--change synonyms: skipped, there is no WordNet"):
        main(["--run", "py", "--change", "synonyms", "--device", "cpu", "--examples", "6"])


def test_examples_that_changed_since_a_run_was_trained_are_no_test_set_of_it(run):
    """Neither robustness nor a quantised form may be measured on other rows than those of record."""
    summary = json.loads((run / "summary.json").read_text())
    summary["data"]["versions"]["test"] = "another"
    (run / "summary.json").write_text(json.dumps(summary))
    for measured in (
        lambda: main(["--run", "py", "--change", "typos", "--device", "cpu"]),
        lambda: quantising.of_run(run),
        lambda: quantising.training_texts(run),
    ):
        with pytest.raises(TransferlabError, match="changed by content since it was trained: test another -> "):
            measured()
    assert not elsewhere.changes({"folder": str(run)})


def test_flags_of_a_file_are_read_as_in_training(files, tiny_encoder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "py" / "one"
    run_of(folder, files, tiny_encoder, "multilabel", (tl.FullFineTuning, {}, {}))
    predictor = tl.Predictor.load(folder, device="cpu")
    names = predictor.task.labels
    predictor.source = replace(predictor.source, label_columns=names, labels=names)
    rows = [[1] * len(names), [0] * len(names)]
    lines = [",".join(map(str, [text, *flags])) for text, flags in zip(("you", "they"), rows, strict=True)]
    (tmp_path / "flags.csv").write_text("\n".join([",".join(["text", *names]), *lines]) + "\n", encoding="utf-8")
    assert np.asarray(of_file(predictor, "flags.csv").labels).tolist() == rows


def test_other_files_are_tested_beside_the_record(run, files, capsys):
    rows = test_rows(files, "classification")
    labels = sorted({row["label"] for row in rows})
    other = [{"review": row["text"], "stars": row["label"].upper()} for row in rows]
    path = run.parents[2] / "other.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in other), encoding="utf-8")
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    start(["test", "--run", "py", "--files", "other.jsonl", "--text", "review", "--label", "stars"])
    assert before == {path: path.read_bytes() for path in before}
    ((entry, result),) = retests(run)
    own = json.loads((run / "summary.json").read_text())["metrics"]["test/accuracy"]
    assert result["metrics"]["test/accuracy"] == pytest.approx(own, abs=1e-6)
    assert result["examples_by_label"] == {name: sum(row["label"] == name for row in rows) for name in labels}
    assert (entry / "predictions" / "test.jsonl").read_text().count("\n") == len(rows)
    capsys.readouterr()
    compare(["runs"])
    told = capsys.readouterr().out
    assert "other.jsonl, which is no test set of record and not ranked" in told
    assert "another result when" not in told
    report(["runs", "--output", "page.html"])
    assert "Other test sets" in (run.parents[2] / "page.html").read_text(encoding="utf-8")
    start(["validate", "--run", "py", "--files", "other.jsonl", "--text", "review", "--label", "stars"])
    assert [result["command"] for _, result in retests(run)].count("validate") == 1


def test_labels_of_a_file_are_matched_by_name_alone(run, tmp_path):
    predictor = tl.Predictor.load(run, device="cpu")
    first, *_, last = predictor.task.labels
    file = tmp_path / "other.csv"
    file.write_text("text,label\nyou,0\nthey,1\n", encoding="utf-8")
    with pytest.raises(TransferlabError, match="labels that this run does not have: 0, 1"):
        of_file(predictor, str(file))
    found = of_file(predictor, str(file), mapping={"0": last, "1": first})
    assert [predictor.task.labels[number] for number in found.labels] == [last, first]
    with pytest.raises(TransferlabError, match="no label of this run"):
        of_file(predictor, str(file), mapping={"0": "nonsense"})
    with pytest.raises(TransferlabError, match="--label: .* no column 'stars'"):
        of_file(predictor, str(file), label="stars")


def test_a_file_that_the_encoder_cannot_read_is_no_test(run, tmp_path):
    predictor = tl.Predictor.load(run, device="cpu")
    labels = predictor.task.labels
    file = tmp_path / "zh.csv"
    file.write_text(f"text,label\n\u5f88\u597d,{labels[0]}\nthe \u574f \u5f88,{labels[1]}\n", encoding="utf-8")
    with pytest.raises(TransferlabError, match=r"zh.csv: 80 % of the words are one and the same unknown piece"):
        of_file(predictor, str(file))
    predictor.max_unknown = 0.8
    assert len(of_file(predictor, str(file)).ids) == 2


def test_counts_of_labels():
    task = TaskSpec("t", "multilabel", ("a", "b"), ("f1_micro",))
    examples = Labelled("here", np.arange(2), {}, np.array([[1, 0], [1, 1]]), "v")
    assert examples.counts(task) == {"a": 2, "b": 1}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tagging", "multilabel", "regression", "pairs", "windows"])
def test_every_kind_of_task(kind, files, tiny_encoder, tmp_path, monkeypatch, capsys):
    settings = {"truncation": "windows", "max_length": 16} if kind == "windows" else {}
    folder = run_of(tmp_path / "runs" / "py" / "one", files, tiny_encoder, kind, (tl.FullFineTuning, {}, settings))
    monkeypatch.chdir(tmp_path)
    main(["--run", "py", "--device", "cpu"])
    kept = elsewhere.changes({"folder": str(folder)})
    assert kept["left_out"] == (["punctuation", "contractions", "longer"] if kind == "tagging" else [])
    summary = json.loads((folder / "summary.json").read_text())
    for name, value in kept["metrics"].items():
        assert value == pytest.approx(summary["metrics"][f"test/{name}"], abs=1e-5)
    start(["test", "--run", "py", "--files", files[kind].files["test"]])
    ((_, result),) = retests(folder)
    for name, value in result["metrics"].items():
        assert value == pytest.approx(summary["metrics"][name], abs=1e-5)
