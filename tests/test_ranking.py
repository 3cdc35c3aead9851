"""Scores of frozen features, and the command on a tiny encoder."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from transferlab.ground.errors import TransferlabError
from transferlab.tasks import TaskDataModule
from transferlab.tasks.spec import Source
from transferlab.use.ranking import command, features, options
from transferlab.use.ranking.scores import h_score, logme, neighbours


def evidence(features, target, a, b):
    """Log density of the target under N(0, F F' / a + I / b)."""
    rows = len(target)
    return stats.multivariate_normal(np.zeros(rows), features @ features.T / a + np.eye(rows) / b).logpdf(target) / rows


def test_logme_is_the_largest_evidence_of_a_gaussian_linear_model():
    draws = np.random.default_rng(0)
    for rows, width in ((30, 4), (12, 20)):
        features = draws.normal(size=(rows, width)) + 1
        target = features @ draws.normal(size=width) + draws.normal(size=rows)
        found = logme(features, target, 0)
        grid = max(
            evidence(features, target, a, b) for a in np.geomspace(1e-2, 1e2, 40) for b in np.geomspace(0.05, 50, 40)
        )
        assert found >= grid - 1e-6
        assert found == pytest.approx(grid, abs=0.02)


def test_logme_of_classes_is_the_mean_over_one_against_all_others():
    draws = np.random.default_rng(1)
    features, labels = draws.normal(size=(40, 5)), draws.integers(0, 3, 40)
    expected = np.mean([logme(features, (labels == c).astype(float), 0) for c in range(3)])
    assert logme(features, labels, 3) == pytest.approx(expected)


def test_scores_prefer_features_that_tell_classes_apart():
    draws = np.random.default_rng(2)
    labels = draws.integers(0, 2, 200)
    noise = draws.normal(size=(200, 6))
    told = noise.copy()
    told[:, 0] += 4 * labels
    assert logme(told, labels, 2) > logme(noise, labels, 2) + 0.2
    assert h_score(told, labels) > 0.7 > 0.2 > h_score(noise, labels)


def test_h_score_by_hand_and_not_of_few_rows():
    # means -1 and 1, within-class values off by 1: cov 2, cov of the means 1
    features, labels = np.array([[-2.0], [0.0], [0.0], [2.0]] * 5), np.array([0, 0, 1, 1] * 5)
    assert h_score(features, labels) == pytest.approx(0.5)
    assert h_score(features[:9], labels[:9]) is None


def test_neighbours_by_hand():
    known, labels = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 5.0]]), np.array([0, 1, 1])
    assert neighbours(known, labels, np.array([[9.0, 0.0], [0.0, 1.0]]), 2, 1).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert neighbours(known, np.array([1.0, 2.0, 9.0]), np.array([[9.0, 0.0]]), 0, 2).tolist() == [1.5]


def test_the_command_ranks_layers_and_encoders(tiny_folder, tmp_path, capsys):
    for task in ("demo_sentences", "demo_pairs"):
        line = [
            "--task",
            task,
            "--encoders",
            str(tiny_folder),
            "--rows",
            "60",
            "--validation-rows",
            "40",
            "--layers",
            "all",
        ]
        options.main([*line, "--output", str(tmp_path / f"{task}.json"), "--root", str(tmp_path)])
        found = json.loads((tmp_path / f"{task}.json").read_text())["encoders"]
        assert sorted(row["layer"] for row in found) == [0, 1, 2]
        assert all(0 <= row["probe"] <= 1 and np.isfinite(row["logme"]) and row["features_s"] > 0 for row in found)
        assert f"encoders for {task}, 60 training and 40 validation examples" in capsys.readouterr().out
    with pytest.raises(TransferlabError, match="kind tagging"):
        options.main(["--task", "demo_entities", "--encoders", str(tiny_folder)])
    with pytest.raises(TransferlabError, match="--task: demo_answers"):
        options.main(["--task", "demo_answers", "--encoders", str(tiny_folder)])


@pytest.mark.parametrize("seed", [0, 3])
def test_examples_are_those_that_a_run_trains_and_selects_on(tiny_folder, tmp_path, monkeypatch, seed):
    """None of them is tested on, and whole groups stay on one side; a task needs no test split."""
    monkeypatch.chdir(tmp_path)
    lines = [{"a": f"good text {n // 2}", "b": f"other {n}", "label": n // 2 % 2} for n in range(80)]
    Path("pairs.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    source = {"files": {"train": str(tmp_path / "pairs.jsonl")}, "text": ["a", "b"]}
    Path("configs/task").mkdir(parents=True)
    init = {"task": "mine", "source": source, "holdout": 0.25, "max_unknown": 0.9}
    Path("configs/task/mine.yaml").write_text(json.dumps({"data": {"init_args": init}}))
    read, compared = [], features._compared
    monkeypatch.setattr(features, "_compared", lambda m, v, *part: read.append(part[:2]) or compared(m, v, *part))
    line = ["--task", "mine", "--encoders", str(tiny_folder), "--rows", "40", "--validation-rows", "12"]
    options.main([*line, "--seed", str(seed)])
    run = TaskDataModule("mine", seed=seed, source=Source(files=source["files"], text=("a", "b")), holdout=0.25)
    (one, known), (other, held) = read
    assert one == other == "train"
    assert (len(known), len(held)) == (40, 12)
    assert set(known) <= set(run.part_rows("train")[1])
    assert set(held) <= set(run.part_rows("validation")[1])
    assert not {row // 2 for row in known} & {row // 2 for row in held}


def test_agreement_with_fine_tuned_runs(tmp_path):
    # runs of other numbers of training examples are no comparison, and neither is an encoder that is not asked for
    more = [("a", 0.99, 5000), ("d", 0.1, 300)]
    runs = [(*one, 300) for one in (("a", 0.9), ("a", 0.7), ("b", 0.6), ("c", 0.5))] + more
    for seed, (encoder, value, examples) in enumerate(runs):
        run = tmp_path / "runs" / "full" / str(seed)
        run.mkdir(parents=True)
        facts = {"task": "sst2", "strategy": "full_finetuning", "status": "finished", "encoder": encoder}
        facts["data"] = {"train_examples": examples}
        (run / "summary.json").write_text(
            json.dumps(facts | {"primary": "accuracy", "metrics": {"test/accuracy": value}})
        )
    found, examples = command.fine_tuned(tmp_path / "runs", "sst2", "full_finetuning", "abc")
    assert found == pytest.approx({"a": 0.8, "b": 0.6, "c": 0.5})
    assert examples == 300
    rows = [
        {**dict.fromkeys(command.SCORES, -place), "h_score": None, "fine_tuned": found[e]}
        for place, e in enumerate("abc")
    ]
    assert command.agreements(rows) == pytest.approx({"logme": 1.0, "knn": 1.0, "probe": 1.0})
    assert command.agreements(rows[:2]) == {}


def test_a_config_may_name_the_run_that_left_its_encoder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "runs" / "mlm" / "20260101-000000-s0-aaaa"
    (run / "encoder").mkdir(parents=True)
    (run / "encoder" / "config.json").write_text("{}")
    (run / "summary.json").write_text("{}")
    (tmp_path / "configs" / "encoder").mkdir(parents=True)
    (tmp_path / "configs" / "encoder" / "mine.yaml").write_text("encoder: {name: mlm, keep_layers: [0]}")
    found = command.named("mine", Path("runs"))
    assert (Path(found.name).resolve(), found.keep_layers) == (run, (0,))
    (tmp_path / "configs" / "encoder" / "further.yaml").write_text("encoder: {name: any, from_run: nowhere}")
    with pytest.raises(TransferlabError, match="nowhere"):
        command.named("further", Path("runs"))
