"""Self-training: which answers become labels, and the rounds of the command."""

import json

import numpy as np
import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.use.selftraining.command import thresholds
from transferlab.use.selftraining.pseudo import scaled, sure_of

SCORES = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.05, 0.95], [0.8, 0.2], [0.8, 0.2]])


def test_only_what_reaches_the_threshold_of_its_class_is_labelled():
    rows, labels = sure_of(SCORES, np.array([0.8, 0.9]), None)
    assert rows.tolist() == [0, 3, 4, 5]
    assert labels.tolist() == [0, 1, 0, 0]
    # the surest of each class, of equals the first
    rows, labels = sure_of(SCORES, np.zeros(2), 2)
    assert rows.tolist() == [0, 2, 3, 4]
    assert len(sure_of(SCORES, np.ones(2), 2).rows) == 0


def test_a_temperature_scales_by_hand():
    # 0.9^(1/2) / (0.9^(1/2) + 0.1^(1/2)) = 3 / 4
    np.testing.assert_allclose(scaled(SCORES[:1], 2.0), [[0.75, 0.25]])
    np.testing.assert_allclose(scaled(SCORES, 1.0), SCORES)


def test_thresholds_by_label():
    assert thresholds(["0.7"], ("a", "b")).tolist() == [0.7, 0.7]
    for given in (["0.5", "b=0.9"], ["b=0.9", "0.5"]):
        assert thresholds(given, ("a", "b")).tolist() == [0.5, 0.9]
    for given, message in ((["c=0.9"], "no label 'c'"), (["1.5"], "1.5 is no probability"), (["b=x"], "b=x is no")):
        with pytest.raises(TransferlabError, match=message):
            thresholds(given, ("a", "b"))


@pytest.mark.slow
def test_rounds_are_runs_and_are_not_run_twice(tmp_path, tiny_folder, monkeypatch, capfd):
    from transferlab.tasks.embedded import generate
    from transferlab.use.selftraining.options import main

    monkeypatch.chdir(tmp_path)
    rows = [generate("sentences", "train")[number] for number in range(140)]
    for split, part in (("train", rows[:24]), ("validation", rows[24:40]), ("test", rows[40:60])):
        lines = [json.dumps({"text": row["text"], "label": "ab"[row["label"]]}) + "\n" for row in part]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    pool = [row["text"] for row in rows[50:]]
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in pool), encoding="utf-8")
    files = {split: str(tmp_path / f"{split}.jsonl") for split in ("train", "validation", "test")}
    tree = {
        "bases": ["trainer/cpu", "logger/none", "strategy/feature_extraction"],
        "run": {"experiment": "first"},
        "encoder": {"name": str(tiny_folder)},
        "data": {
            "class_path": "transferlab.tasks.TaskDataModule",
            "init_args": {"task": "mine", "source": {"files": files}},
        },
    }
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "first.yaml").write_text(json.dumps(tree), encoding="utf-8")
    from transferlab.__main__ import main as transferlab

    monkeypatch.setattr("sys.argv", ["transferlab", "fit", "--experiment", "first"])
    transferlab()
    with pytest.raises(TransferlabError, match="reads 1 column"):
        main(["--run", "first", "pool.jsonl", "--text", "text", "other"])
    asked = ["--run", "first", "pool.jsonl", "--rounds", "2", "--most", "5", "--plain"]
    main(asked)
    said = capfd.readouterr().out
    assert "pool.jsonl: 10 texts stand in the test set of the run and are left out" in said
    runs = sorted((tmp_path / "runs" / "first_selftrained").iterdir())
    assert [run.name[:6] for run in runs] == ["round1", "round2"]
    summary = json.loads((runs[1] / "summary.json").read_text())
    assert summary["status"] == "finished"
    assert summary["data"]["train_examples"] == 34
    before = {run: (run / "summary.json").stat().st_mtime_ns for run in runs}
    main(asked)
    assert {run: (run / "summary.json").stat().st_mtime_ns for run in runs} == before
