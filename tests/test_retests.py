"""A result of record stays: whatever is tested, validated or predicted later is an entry beside it."""

import copy
import csv
import json
import shutil
from importlib.metadata import version

import lightning as L
import pytest
import torch
from test_api import build, command, train

import transferlab as tl
from transferlab.analysis.comparison.command import main as compare
from transferlab.record.folder import retests
from transferlab.training import lock

RECORD = ("summary.json", "predictions/test.jsonl", "predictions/validation.jsonl", "predictions/hardest.jsonl")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, files, tiny_encoder):
    """A finished run on files of its own."""
    root = tmp_path_factory.mktemp("place")
    source = copy.deepcopy(files["classification"])
    for split, path in source.files.items():
        source.files[split] = shutil.copy(path, root)
    model, data = build({"classification": source}, tiny_encoder)
    train(root / "runs" / "py" / "one", model, data)
    return root


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    """A copy of the run, in a working folder of its own."""
    shutil.copytree(trained / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "runs" / "py" / "one"


def held(run):
    return {name: (run / name).read_bytes() for name in RECORD}


def again(monkeypatch, run, name, *arguments):
    """Runs a command on the run; returns the one entry that it leaves, and checks that the record stays."""
    before, known = held(run), {entry for entry, _ in retests(run)}
    command(monkeypatch, name, "--run", str(run), *arguments)
    assert held(run) == before
    (entry,) = ((entry, result) for entry, result in retests(run) if entry not in known)
    return entry


def lines(folder, name):
    return [json.loads(line) for line in (folder / "predictions" / f"{name}.jsonl").read_text().splitlines()]


def test_the_same_again_agrees(run, monkeypatch, capsys):
    entry, result = again(monkeypatch, run, "test")
    assert (result["differs"], result["equal"], result["changed_predictions"]) == ([], True, [0, 8])
    assert lines(entry, "test") == lines(run, "test")
    assert result["environment"]["packages"]["torch"] == version("torch")
    said = capsys.readouterr().out
    assert "the same result as the record; 0 of 8 predictions changed" in said
    assert str(entry) in said.replace("\n", "")
    again(monkeypatch, run, "test")
    assert len(list(retests(run))) == 2


def test_other_test_examples(run, monkeypatch, capsys):
    entry, result = again(monkeypatch, run, "test", "--data.test_examples", "4")
    assert result["differs"] == ["number of test examples 8 -> 4", "data.test_examples null -> 4"]
    assert (len(lines(entry, "test")), result["changed_predictions"]) == (4, None)
    gold = {line["id"]: line for line in lines(run, "test")}
    right = [line["prediction"] == gold[line["id"]]["label"] for line in lines(entry, "test")]
    assert result["metrics"]["test/accuracy"] == pytest.approx(sum(right) / 4)
    assert "(of record: " in capsys.readouterr().out


def test_another_test_file_and_one_whose_content_changed(trained, run, monkeypatch, tmp_path):
    rows = [json.loads(line) for line in (trained / "test.jsonl").read_text().splitlines()]
    turned = {"positive": "negative", "negative": "positive"}
    other = tmp_path / "other.jsonl"
    other.write_text("".join(json.dumps(row | {"label": turned[row["label"]]}) + "\n" for row in rows))
    _, result = again(monkeypatch, run, "test", "--data.source.files.test", str(other))
    assert [line.partition(" by ")[0] for line in result["differs"]] == ["test examples"]
    assert result["equal"] is False
    # the same examples somewhere else are the same examples
    shutil.copy(trained / "test.jsonl", other)
    _, result = again(monkeypatch, run, "test", "--data.source.files.test", str(other))
    assert (result["differs"], result["equal"]) == ([], True)


def test_other_weights_and_precision(run, monkeypatch, capsys):
    best = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    for name, value in checkpoint["state_dict"].items():
        checkpoint["state_dict"][name] = -value if name.startswith("head") else value
    torch.save(checkpoint, best)
    _, result = again(monkeypatch, run, "test")
    assert [line.split()[0] for line in result["differs"]] == ["checkpoint"]
    assert result["changed_predictions"][0] > 0
    assert "another result than the record: " in capsys.readouterr().out
    _, result = again(monkeypatch, run, "test", "--trainer.precision", "bf16-true")
    assert "precision 32-true -> bf16-true" in result["differs"]


def test_another_result_under_the_same_settings_is_a_warning(run, monkeypatch, capsys):
    summary = json.loads((run / "summary.json").read_text())
    summary["metrics"]["test/accuracy"] += 0.1
    (run / "summary.json").write_text(json.dumps(summary))
    _, result = again(monkeypatch, run, "test")
    assert (result["differs"], result["equal"]) == ([], False)
    capsys.readouterr()
    compare(["runs"])
    assert "gave another result when it was evaluated again" in capsys.readouterr().out


def test_validation(run, monkeypatch, capsys):
    entry, result = again(monkeypatch, run, "validate")
    assert (result["differs"], result["equal"]) == ([], True)
    assert lines(entry, "validation") == lines(run, "validation")
    assert "val/accuracy" in capsys.readouterr().out


def test_predictions_of_another_file_never_replace_the_first(trained, run, monkeypatch, tmp_path):
    command(monkeypatch, "predict", "--run", str(run))
    first = (run / "predictions" / "predict.jsonl").read_bytes()
    assert len(lines(run, "predict")) == 8
    other = tmp_path / "other.jsonl"
    other.write_text("".join((trained / "test.jsonl").read_text().splitlines(keepends=True)[:3]))
    entry, result = again(monkeypatch, run, "predict", "--data.source.files.test", str(other))
    assert len(lines(entry, "predict")) == 3
    assert result["differs"]
    entry, result = again(monkeypatch, run, "predict")
    assert (result["differs"], result["equal"]) == ([], True)
    assert (run / "predictions" / "predict.jsonl").read_bytes() == first


def test_the_first_predictions_of_record_are_those_of_the_run(trained, run, monkeypatch, tmp_path):
    other = tmp_path / "other.jsonl"
    other.write_text("".join((trained / "test.jsonl").read_text().splitlines(keepends=True)[:3]))
    entry, _ = again(monkeypatch, run, "predict", "--data.source.files.test", str(other))
    assert not (run / "predictions" / "predict.jsonl").exists()
    assert len(lines(entry, "predict")) == 3


def test_the_first_test_of_a_run_that_had_none(run, monkeypatch):
    summary = json.loads((run / "summary.json").read_text())
    known = {name: summary["metrics"].pop(name) for name in list(summary["metrics"]) if name.startswith("test")}
    del summary["test"], summary["evaluated"]["test"]
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "predictions" / "test.jsonl").unlink()
    command(monkeypatch, "test", "--run", str(run), "--data.test_examples", "4")
    assert not (run / "predictions" / "test.jsonl").exists()
    command(monkeypatch, "test", "--run", str(run))
    found = json.loads((run / "summary.json").read_text())
    assert {name: found["metrics"][name] for name in known} == pytest.approx(known)
    assert found["test"]["examples"] == len(lines(run, "test")) == 8
    assert len(list(retests(run))) == 1


def test_a_run_that_is_being_trained_or_an_evaluation_that_fails(run, monkeypatch):
    summary = json.loads((run / "summary.json").read_text()) | {"status": "running", "metrics": {}}
    (run / "summary.json").write_text(json.dumps(summary))
    lock.acquire(run)
    again(monkeypatch, run, "test")
    before = held(run)
    monkeypatch.setattr(tl.ParameterEfficient, "test_step", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command(monkeypatch, "test", "--run", str(run))
    assert held(run) == before
    assert len(list(retests(run))) == 1


def test_from_python(files, tiny_encoder, tmp_path):
    folder = tmp_path / "runs" / "py" / "one"
    model, data = build(files, tiny_encoder)
    trainer = train(folder, model, data)
    before = held(folder)
    L.seed_everything(3)
    fewer = tl.TaskDataModule("tiny", tiny_encoder, source=files["classification"], test_examples=4, max_length=64)
    trainer.test(model, fewer, ckpt_path="best", verbose=False)
    assert held(folder) == before
    ((entry, result),) = retests(folder)
    assert result["differs"] == ["number of test examples 8 -> 4"]
    assert len(lines(entry, "test")) == 4


def test_results_on_other_test_examples_are_not_ranked(run, capsys):
    def copied(name, score, examples, **changes):
        summary = json.loads((run / "summary.json").read_text())
        summary["metrics"]["test/accuracy"] = score
        # the runs of this test are trained for a moment only; those here are to be sound ones
        summary["test"] |= {"examples": examples, "collapsed": False}
        summary["per_class"] = {}
        summary |= {"strategy": name, "setting": name, "experiment": name, **changes}
        target = run.parent.parent / name / "one"
        shutil.copytree(run, target)
        (target / "summary.json").write_text(json.dumps(summary))

    copied("few", 0.9, 40)
    copied("all", 0.7, 300)
    copied("more", 0.6, 300)
    copied("broken", 0.0, 0, status="failed", metrics={}, test={})
    shutil.rmtree(run)
    compare(["runs", "--format", "csv"])
    table = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    best = {row["setting"]: row["best"] for row in table}
    assert best == {"few": "1", "all": "1", "more": "0", "broken": "0"}
    tested = {row["setting"]: row["test_examples"] for row in table}
    assert tested == {"few": "40", "all": "300", "more": "300", "broken": "300"}
    compare(["runs"])
    assert "different numbers of test examples (40, 300)" in capsys.readouterr().out
