import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC

from transferlab import __main__ as entry
from transferlab.analysis.comparison import outcomes
from transferlab.analysis.page import answers
from transferlab.baselines import main, methods
from transferlab.baselines.choice import METHODS
from transferlab.baselines.kinds import KINDS as KINDS_OF_METHODS
from transferlab.baselines.methods import (
    NBSVM,
    Majority,
    NGrams,
    TfIdf,
    TokenMajority,
    log_count_ratio,
    most_frequent,
)
from transferlab.baselines.rows import Part, evaluate, padded, read_part, read_parts
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.kinds import KINDS as KINDS_OF_RUNS
from transferlab.learning.metrics import build_metrics
from transferlab.record import folder as run_folder
from transferlab.record import predictions
from transferlab.tasks import Source, TaskDataModule, TaskSpec
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.schemes import Scheme

BINARY = TaskSpec("mood", "classification", ("bad", "good"), ("accuracy",))
THREE = TaskSpec("topic", "classification", ("a", "b", "c"), ("accuracy",))
SCORES = TaskSpec("score", "regression", (), ("pearson", "mse"))
TAGS = TaskSpec("ner", "tagging", ("O", "B-X", "I-X"), ("f1", "precision", "recall"))
KEYS = {
    *("experiment", "run", "task", "kind", "labels", "primary", "strategy", "encoder", "seed", "tags", "protocol"),
    *("data", "weights", "params", "metrics", "perf", "checkpoint_mb", "per_class", "status"),
}


def part(texts, labels, *more):
    return Part(np.arange(len(texts)), (texts, *more), np.asarray(labels))


def words(*sentences):
    """Sentences such as "Rome/1 is/0"."""
    pairs = [[word.rsplit("/", 1) for word in sentence.split()] for sentence in sentences]
    labels = padded([[int(tag) for _, tag in row] for row in pairs], -100)
    return part([[word for word, _ in row] for row in pairs], labels)


def only_run(root, experiment):
    (folder,) = (root / experiment).iterdir()
    return folder, json.loads((folder / "summary.json").read_text())


def demo(task="demo_sentences", **arguments):
    return TaskDataModule(task, EncoderConfig(), **arguments)


# rows


@pytest.mark.parametrize("task", ["demo_sentences", "demo_entities"])
def test_rows_are_those_of_the_neural_run(task):
    data = demo(task, train_examples=40, seed=3)
    parts = read_parts(data)
    for name in ("train", "validation"):
        split, numbers = data.part_rows(name)
        found = getattr(parts, name)
        assert found.ids.tolist() == numbers.tolist()
        assert found.columns[0] == [data.rows(split).rows[int(n)][data.source.text[0]] for n in numbers]
    assert len(parts.train.ids) == 40
    gold = data.rows("train").rows[int(parts.train.ids[5])][data.source.label]
    row = parts.train.labels[5]
    assert (row[row != -100].tolist() if row.ndim else row.item()) == gold


def test_unlabelled_test_rows_are_named(tmp_path):
    (tmp_path / "train.csv").write_text("text,label\n" + "good,1\nbad,0\n" * 10)
    (tmp_path / "test.csv").write_text("text,label\ngood,-1\n")
    files = {name: str(tmp_path / f"{name}.csv") for name in ("train", "test")}
    data = demo("mood", source=Source(files=files, test=("test",)))
    with pytest.raises(TransferlabError, match=r"test\.csv: the examples of split 'test' carry no labels"):
        read_parts(data)


def test_words_and_tags_of_unequal_number_are_named(tmp_path):
    rows = [{"tokens": ["a", "b"], "tags": ["O", "B-X"]}, {"tokens": ["a"], "tags": ["O", "O"]}]
    path = tmp_path / "train.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = Source(files={"train": str(path)}, text=("tokens",), label="tags", kind="tagging")
    with pytest.raises(TransferlabError, match=r"line 2: 1 words but 2 tags"):
        read_part(demo("ner", source=source), "train")


# methods


def test_majority_class_scores_by_frequency():
    method = Majority(THREE, 0)
    method.fit(part(["x"] * 5, [2, 0, 2, 2, 0]), part([], []))
    logits = method.predict(part(["y", "z"], [0, 2]))
    assert np.exp(logits) == pytest.approx(np.array([[0.4, 0.0, 0.6]] * 2))
    assert evaluate(THREE, logits, np.array([0, 2])) == {"accuracy": 0.5}
    assert method.coefficients == 0


def test_majority_takes_the_first_of_equal_classes():
    method = Majority(BINARY, 0)
    method.fit(part(["x"] * 4, [1, 0, 1, 0]), part([], []))
    assert method.predict(part(["y"], [1])).argmax(-1).tolist() == [0]


def test_majority_target_is_the_mean():
    method = Majority(SCORES, 0)
    method.fit(part(["x"] * 3, [1.0, 2.0, 6.0]), part([], []))
    predicted = method.predict(part(["y", "z"], [1.0, 5.0]))
    assert predicted.tolist() == [3.0, 3.0]
    assert evaluate(SCORES, predicted, np.array([1.0, 5.0])) == {"pearson": 0.0, "mse": 4.0}


def test_majority_tag_is_outside():
    method = Majority(TAGS._replace(labels=("B-X", "O", "I-X")), 0)
    method.fit(words("a/0 b/0"), words("a/0"))
    assert method.predict(words("a/0 b/2", "c/1")).tolist() == [[1, 1], [1, 1]]


def test_token_majority_by_hand():
    method = TokenMajority(TAGS, 0)
    method.fit(words("May/1 may/0 come/0", "May/1 may/0 may/0", "May/0 ROME/1"), words("a/0"))
    # exact: May 1 1 0 -> 1, may -> 0, ROME -> 1; lower: may 1 1 0 0 0 0 -> 0, rome -> 1
    predicted = method.predict(words("May/1 may/0 MAY/0 Rome/1", "Paris/1"))
    assert predicted.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]
    assert method.coefficients == 4 + 3
    values = evaluate(TAGS, predicted, words("May/1 may/0 MAY/0 Rome/1", "Paris/1").labels)
    assert values == pytest.approx({"f1": 0.8, "precision": 1.0, "recall": 2 / 3})


def test_the_smaller_of_equally_frequent_tags():
    assert most_frequent([("a", 2), ("a", 1), ("b", 2)]) == {"a": 1, "b": 2}


def test_log_count_ratio_by_hand():
    features = np.array([[1, 1, 0], [1, 0, 0], [0, 1, 1]])
    # p = 1 + (2, 1, 0) = (3, 2, 1), |p| = 6; q = 1 + (0, 1, 1) = (1, 2, 2), |q| = 5
    wanted = np.log([(3 / 6) / (1 / 5), (2 / 6) / (2 / 5), (1 / 6) / (2 / 5)])
    assert log_count_ratio(features, np.array([True, True, False])) == pytest.approx(wanted)


def test_nbsvm_interpolates_its_weights():
    train = part(["good film", "a good one", "bad film", "a bad one", "good"], [1, 1, 0, 0, 1])
    method = NBSVM(BINARY, 0)
    method.fit(train, train)
    features = method.ngrams(train.columns)
    assert features.max() == 1
    ratio = log_count_ratio(features, train.labels == 1)
    scaled = features.toarray() * ratio
    svm = LinearSVC(dual=True, max_iter=5000, random_state=0).fit(scaled, train.labels)
    weights = 0.75 * np.abs(svm.coef_[0]).mean() + 0.25 * svm.coef_[0]
    logits = method.predict(train)
    assert logits[:, 1] == pytest.approx(scaled @ weights + svm.intercept_[0], abs=1e-4)
    assert logits[:, 0].tolist() == [0.0] * 5
    assert logits.argmax(-1).tolist() == [1, 1, 0, 0, 1]


@pytest.mark.parametrize("method", [NBSVM, TfIdf])
def test_a_class_that_training_never_saw_gets_no_probability(method):
    train = part(["red apple", "green pear", "red cherry", "green leaf"], [0, 2, 0, 2])
    fitted = method(THREE, 0)
    fitted.fit(train, train)
    scores = fitted.kind.probabilities(fitted.predict(train))
    assert scores[:, 1].tolist() == [0.0] * 4
    assert scores.argmax(-1).tolist() == [0, 2, 0, 2]


@pytest.mark.parametrize("method", [NBSVM, TfIdf])
def test_linear_models_refuse_a_single_class(method):
    train = part(["red", "green"], [1, 1])
    with pytest.raises(TransferlabError, match=r"data\.train_examples: all 2 training examples have the same label"):
        method(BINARY, 0).fit(train, train)


def test_texts_without_a_word_are_refused():
    with pytest.raises(TransferlabError, match="give no features"):
        TfIdf(BINARY, 0).fit(part([" ", ""], [0, 1]), part([" "], [0]))


def test_pairs_become_four_blocks_and_their_similarity():
    ngrams = NGrams(CountVectorizer(), similarity=True)
    matrix = ngrams.fit((["sun moon moon"], ["moon"])).toarray().tolist()
    # vocabulary: moon, sun
    assert matrix == [[2, 1, 1, 0, 1, 1, 2, 0, 2]]


def test_negation_survives_tokenisation():
    analyse = CountVectorizer(token_pattern=methods.PATTERN).build_analyzer()
    assert analyse("It does n't, don't I?") == ["it", "does", "n't", ",", "don't", "i", "?"]


def test_tfidf_selects_on_the_validation_part(monkeypatch):
    train = part(["good film", "bad film", "good", "bad"], [1, 0, 1, 0])
    monkeypatch.setattr(methods, "evaluate", lambda task, predicted, labels: {"accuracy": values.pop(0)})
    values = [0.1, 0.7, 0.7, 0.2]
    method = TfIdf(BINARY, 0)
    method.fit(train, train)
    assert methods.STRENGTHS[1] == method.model.C


def test_ridge_selects_the_smallest_error_where_that_leads():
    task = SCORES._replace(metrics=("mse",))
    train = part(["one", "two", "three", "one two"], [1.0, 2.0, 3.0, 1.5])
    method = TfIdf(task, 0)
    method.fit(train, train)
    assert method.strategy == "tfidf_ridge"
    assert method.model.alpha == 1 / methods.STRENGTHS[-1]


# runs


@pytest.mark.parametrize(
    ("task", "methods"),
    [
        ("demo_sentences", ["majority", "tfidf", "nbsvm"]),
        ("demo_pairs", ["majority", "tfidf", "nbsvm"]),
        ("demo_entities", ["majority", "token_majority"]),
    ],
)
def test_all_leaves_a_complete_folder_per_method(tmp_path, task, methods, capsys):
    main(["--data.task", task, "--run.root", str(tmp_path), "--run.tags", "[quick]", "--seed_everything", "5"])
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(f"baseline_{name}_{task}" for name in methods)
    printed = capsys.readouterr().out
    for name in methods:
        folder, summary = only_run(tmp_path, f"baseline_{name}_{task}")
        assert set(summary) >= KEYS
        assert (summary["run"], summary["status"]) == (folder.name, "finished")
        assert (summary["encoder"], summary["weights"]) == ("-", "none")
        assert (summary["seed"], summary["tags"]) == (5, ["quick"])
        assert {f"{split}/{summary['primary']}" for split in ("val", "test")} <= set(summary["metrics"])
        assert summary["metrics"]["val/primary"] == summary["metrics"][f"val/{summary['primary']}"]
        assert {p.name for p in folder.iterdir()} >= {"config.yaml", "environment.json", "predictions", "summary.json"}
        assert f"baseline_{name}_{task}: result" in printed
    assert run_folder.VARIABLE not in os.environ


def test_predictions_agree_with_the_summary(tmp_path):
    main(["--data.task", "demo_sentences", "--run.root", str(tmp_path), "--method", "tfidf"])
    folder, summary = only_run(tmp_path, "baseline_tfidf_demo_sentences")
    lines = predictions.read(folder / "predictions" / "test.jsonl")
    assert [line["id"] for line in lines] == list(range(len(lines)))
    right = sum(line["prediction"] == line["label"] for line in lines)
    assert summary["metrics"]["test/accuracy"] == pytest.approx(right / len(lines))
    assert all(sum(line["scores"]) == pytest.approx(1, abs=1e-5) for line in lines)
    assert summary["params"]["total"] == summary["params"]["trainable"] > 0
    assert (summary["strategy"], summary["params"]["trainable_pct"]) == ("tfidf_logreg", 100.0)


def test_what_compare_and_report_read_is_worked_out_when_the_run_ends(tmp_path, monkeypatch, capsys):
    main(["--data.task", "demo_sentences", "--run.root", str(tmp_path), "--method", "nbsvm"])
    folder, summary = only_run(tmp_path, "baseline_nbsvm_demo_sentences")
    assert {"outcomes", "answers", "examples", "config"} <= {path.name for path in (folder / ".read").iterdir()}

    def never(*given):
        raise AssertionError("worked out again")

    run = {**summary, "folder": str(folder)}
    monkeypatch.setattr(outcomes, "_count", never)
    monkeypatch.setattr(answers, "_facts", never)
    monkeypatch.setattr(answers, "_arrays", never)
    assert outcomes.outcomes(run).counts[:, 1].mean() == pytest.approx(summary["metrics"]["test/accuracy"])
    assert answers.examples(run).right.mean() == pytest.approx(summary["metrics"]["test/accuracy"])


def test_experiment_files_give_data_seed_and_run(tmp_path):
    experiment = tmp_path / "lora.yaml"
    tree = {
        "seed_everything": 2,
        "model": {"class_path": "no.such.Strategy"},
        "encoder": {"name": "no/such-encoder"},
        "data": {
            "class_path": "transferlab.tasks.TaskDataModule",
            "init_args": {"task": "demo_sentences", "train_examples": 50},
        },
        "run": {"strategy": "lora", "experiment": "lora", "root": str(tmp_path / "runs"), "tags": ["x"]},
    }
    experiment.write_text(yaml.safe_dump(tree))
    main([f"--config={experiment}", "--method", "majority", "--data.train_examples", "60"])
    folder, summary = only_run(tmp_path / "runs", "baseline_majority_demo_sentences")
    assert (summary["seed"], summary["tags"], summary["strategy"]) == (2, ["x"], "majority")
    assert summary["data"]["train_examples"] == 60
    # the saved file runs again, alone
    main(["--config", str(folder / "config.yaml"), "--run.root", str(tmp_path / "again")])
    again, repeated = only_run(tmp_path / "again", "baseline_majority_demo_sentences")
    assert repeated["metrics"] == summary["metrics"]
    lines = [(one / "predictions" / "test.jsonl").read_text() for one in (folder, again)]
    assert lines[0] == lines[1]


def test_regression_on_files_with_two_tests(tmp_path):
    rng = np.random.default_rng(0)
    for split in ("train", "near", "far"):
        rows = [f"{' '.join(['good'] * n + ['bad'] * (4 - n))},{n}" for n in rng.integers(0, 5, 40)]
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    files = {split: str(tmp_path / f"{split}.csv") for split in ("train", "near", "far")}
    source = {"files": files, "kind": "regression", "test": ["near", "far"]}
    main(["--data.task", "stars", "--data.source", json.dumps(source), "--run.root", str(tmp_path / "runs")])
    folder, summary = only_run(tmp_path / "runs", "baseline_tfidf_stars")
    assert summary["metrics"]["test/pearson"] > 0.9
    assert summary["metrics"]["test_far/pearson"] > 0.9
    assert {p.name for p in (folder / "predictions").iterdir()} == {
        "hardest.jsonl",
        "test.jsonl",
        "test_far.jsonl",
        "validation.jsonl",
    }
    assert summary["per_class"] == {}


def test_a_run_that_breaks_is_marked_as_failed(tmp_path, monkeypatch):
    def broken(self, train, validation):
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(Majority, "fit", broken)
    with pytest.raises(RuntimeError):
        main(["--data.task", "demo_sentences", "--run.root", str(tmp_path), "--method", "majority"])
    _, summary = only_run(tmp_path, "baseline_majority_demo_sentences")
    assert (summary["status"], summary["error"]) == ("failed", "RuntimeError: out of ideas")


# refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--data.task", "demo_sentences", "--data.train_example", "5"],
            r"'--data.train_example' \(did you mean '--data.train_examples'",
        ),
        (
            ["--data.task", "demo_sentences", "--data.source.kin", "x"],
            r"no key '--data.source.kin' \(did you mean '--data.source.kind'",
        ),
        (["--data.task", "demo_sentences", "--metod", "all"], r"'--metod' \(did you mean '--method'"),
        (["--data.task", "demo_sentences", "--run.rot", "x"], r"'--run.rot' \(did you mean '--run.root'"),
        (["--data.task", "demo_sentence"], r"no task named 'demo_sentence' \(did you mean 'demo_sentences'"),
        (["--data.task", "demo_sentences", "--method", "nbsv"], r"no method 'nbsv' \(did you mean 'nbsvm'"),
        (["--data.task", "demo_sentences", "--method", "token_majority"], r"token_majority is not for classification"),
        (["--data.task", "demo_entities", "--method", "nbsvm"], r"nbsvm is not for tagging; use all, majority or"),
        (["--data.task", "demo_sentences", "--data.holdout", "x"], r"data.holdout: must be a number, not 'x'"),
        (["--data.task", "demo_sentences", "--data.train_examples", "1"], r"data\.train_examples: 1 is below 2"),
        ([], r"data.task: name a task, or give data.source"),
        (["--config", "no_such.yaml"], r"no such file: no_such\.yaml"),
    ],
)
def test_mistakes_are_explained_and_leave_nothing(arguments, message, tmp_path):
    with pytest.raises(TransferlabError, match=message):
        main([*arguments, "--run.root", str(tmp_path / "runs")])
    assert not (tmp_path / "runs").exists()


def test_a_wrong_key_ends_with_status_2_and_no_traceback(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["transferlab", "baseline", "--data.task", "sst2", "--data.holdot", "0.2"])
    with pytest.raises(SystemExit) as stopped:
        entry.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("error: no key '--data.holdot' (did you mean '--data.holdout'")


def test_every_method_names_kinds_and_a_strategy():
    assert {kind for one in METHODS.values() for kind in one.kinds} == set(KINDS)
    strategies = [one(BINARY, 0).strategy for one in METHODS.values()]
    usual = ["majority", "tfidf_logreg", "nbsvm", "token_majority", "word_overlap", "no_answer"]
    of_texts = ["copy", "lead_1", "lead_3", "most_frequent_target", "nearest_target"]
    assert strategies == [*usual, *of_texts, "vectors_logreg"]


# without torch


@pytest.mark.parametrize(
    ("task", "draw"),
    [
        (BINARY._replace(metrics=("accuracy", "f1", "f1_macro", "matthews")), "classes"),
        (THREE._replace(metrics=("accuracy", "f1_macro", "matthews")), "classes"),
        (SCORES._replace(metrics=("pearson", "spearman", "mse")), "numbers"),
        (TaskSpec("topics", "multilabel", ("a", "b", "c"), ("f1_micro", "f1_macro", "subset_accuracy")), "flags"),
        (TAGS, "words"),
        (TaskSpec("pos", "tagging", ("NOUN", "VERB", "X"), ("accuracy", "f1_macro"), scheme=Scheme("tags")), "words"),
    ],
)
def test_metrics_losses_and_scores_are_those_of_the_neural_runs(task, draw):
    generator = np.random.default_rng(0)
    count, classes = 37, len(task.labels)
    logits = generator.normal(size=(count, max(classes, 1))).astype(np.float32)
    if draw == "classes":
        predicted, labels = logits, generator.integers(0, classes, count)
    elif draw == "numbers":
        predicted = logits[:, 0]
        labels = (predicted + generator.normal(size=count)).round(1)
    elif draw == "flags":
        predicted, labels = logits, generator.integers(0, 2, (count, classes))
    else:
        predicted, labels = generator.integers(0, classes, (2, count, 6))
        labels[generator.random(labels.shape) < 0.2] = -100
    reference = build_metrics(task)
    reference.update(torch.from_numpy(predicted), torch.from_numpy(labels))
    wanted = {name: value.item() for name, value in reference.compute().items()}
    assert evaluate(task, predicted, labels) == pytest.approx(wanted, rel=1e-6, abs=1e-7)
    kind, learned = KINDS_OF_METHODS[task.kind], KINDS_OF_RUNS[task.kind]
    if draw == "words":
        return
    losses = learned.losses(torch.from_numpy(predicted), torch.from_numpy(labels), None)
    assert kind.losses(predicted, labels) == pytest.approx(losses.numpy(), rel=1e-5, abs=1e-6)
    scores = KINDS[task.kind].scores({"logits": torch.from_numpy(predicted)})
    found = kind.probabilities(predicted)
    assert (found is None and scores is None) or found == pytest.approx(np.array(scores), rel=1e-5)
    if kind.thresholded:
        limits = learned.thresholds(torch.from_numpy(predicted), torch.from_numpy(labels))
        assert kind.thresholds(predicted, labels) == pytest.approx(limits.numpy(), rel=1e-6)
        decided = learned.decide(torch.from_numpy(predicted), limits)
        assert (kind.decide(predicted, limits.numpy()) == decided.numpy()).all()


def test_a_metric_that_a_task_cannot_have_is_refused():
    with pytest.raises(TransferlabError, match="metric 'f1' is that of the second of two labels"):
        evaluate(THREE._replace(metrics=("f1",)), np.zeros((2, 3)), np.array([0, 1]))


def test_baselines_import_neither_torch_nor_its_libraries(tmp_path):
    code = (
        "import sys\nfrom transferlab.baselines import main\n"
        f"main(['--data.task', 'demo_pairs', '--run.root', {str(tmp_path)!r}])\n"
        "heavy = {'torch', 'lightning', 'transformers', 'torchmetrics'} & set(sys.modules)\nassert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
