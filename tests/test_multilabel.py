"""Several labels an example: how they are read, learned, decided, counted and compared."""

import json

import numpy as np
import pytest
import torch
from scipy.special import expit
from sklearn.metrics import accuracy_score, f1_score, precision_recall_fscore_support

from transferlab.baselines.choice import METHODS
from transferlab.baselines.rows import Part
from transferlab.ground.errors import TransferlabError
from transferlab.learning.kinds import KINDS as LEARNED
from transferlab.learning.losses import distillation_loss, example_losses, task_loss
from transferlab.learning.metrics import build_metrics
from transferlab.learning.optim import Schedule
from transferlab.record import predictions, thresholds
from transferlab.strategies import FullFineTuning
from transferlab.tasks import Source, TaskDataModule, TaskSpec
from transferlab.tasks.kinds import KINDS, SUMS
from transferlab.tasks.kinds.multilabel import best_threshold
from transferlab.tasks.labels import Labels, encode_labels
from transferlab.tasks.selection import Protocol, carve
from transferlab.tasks.sources import read_split

NAMES = ("art", "news", "sport")
TASK = TaskSpec("topics", "multilabel", NAMES, ("f1_micro", "f1_macro", "subset_accuracy"))
GOLD = [["sport"], [], ["art", "sport"], ["news"]]
FLAGS = [[0, 0, 1], [0, 0, 0], [1, 0, 1], [0, 1, 0]]


# reading ---------------------------------------------------------------------------------------------------------


def read(path, text=None, **keys):
    if text is not None:
        path.write_text(text, encoding="utf-8")
    source = Source(files={"train": str(path)}, kind="multilabel", **keys)
    rows = read_split(source, "train")
    names = source.labels or tuple(sorted({str(n) for cell in rows.rows["label"][:] for n in cell}))
    return rows, encode_labels(rows, source, Labels(names, bool(source.labels))).tolist()


def lines(cells):
    return "".join(json.dumps({"text": f"text {n}", "label": cell}) + "\n" for n, cell in enumerate(cells))


@pytest.mark.parametrize("delimiter", [";", "|", ",", "; "])
def test_cells_with_a_delimiter(tmp_path, delimiter):
    cells = [delimiter.join(names) for names in GOLD]
    text = "text,label\n" + "".join(f'text {n},"{cell}"\n' for n, cell in enumerate(cells))
    rows, flags = read(tmp_path / "train.csv", text)
    assert flags == FLAGS
    assert f"labels separated by {delimiter.strip()!r}" in rows.form


def test_a_delimiter_of_the_users(tmp_path):
    _, flags = read(tmp_path / "a.csv", "text,label\na,art / x/sport\nb,news\n", label_delimiter="/")
    assert [sum(row) for row in flags] == [3, 1]
    names = read(tmp_path / "a.csv", label_delimiter="/")[0].rows["label"][:]
    assert names == [["art", "x", "sport"], ["news"]]


def test_lists_written_as_text_and_a_delimiter_at_the_end(tmp_path):
    text = 'text,label\na,"[\'sport\']"\nb,[]\nc,"[""art"", ""sport""]"\nd,news;\n'
    assert read(tmp_path / "train.csv", text)[1] == FLAGS


def test_lists_of_json_lines(tmp_path):
    assert read(tmp_path / "train.jsonl", lines(GOLD))[1] == FLAGS
    # the order of a list, and a label that stands there twice, change nothing
    assert read(tmp_path / "other.jsonl", lines([["sport", "sport"], None, ["sport", "art"], "news"]))[1] == FLAGS


def test_numbers_are_labels_in_their_order(tmp_path):
    rows, flags = read(tmp_path / "train.csv", "text,label\na,10;2\nb,2\nc,1\n")
    assert rows.rows["label"][:] == [[10, 2], [2], [1]]
    assert [sum(row) for row in flags] == [2, 1, 1]


def test_lists_of_parquet_and_class_labels(tmp_path):
    from datasets import ClassLabel, Dataset, Features, Sequence, Value

    numbers = [[NAMES.index(name) for name in names] for names in GOLD]
    features = Features({"text": Value("string"), "label": Sequence(ClassLabel(names=list(NAMES)))})
    Dataset.from_dict({"text": list("abcd"), "label": numbers}, features).to_parquet(tmp_path / "numbers.parquet")
    Dataset.from_dict({"text": list("abcd"), "label": GOLD}).to_parquet(tmp_path / "names.parquet")
    data = TaskDataModule(
        "topics", source=Source(files={"train": str(tmp_path / "numbers.parquet")}, kind="multilabel")
    )
    assert data.labels == Labels(NAMES, True)
    assert encode_labels(data.rows("train"), data.source, data.labels).tolist() == FLAGS
    assert read(tmp_path / "names.parquet")[1] == FLAGS


def test_one_column_a_label(tmp_path):
    text = "text,sport,art,news\na,1,0,0\nb,,0,no\nc,true,x,FALSE\nd,0,0,1.0\n"
    assert read(tmp_path / "train.csv", text, label_columns=NAMES)[1] == FLAGS
    with pytest.raises(TransferlabError, match=r"train\.csv, line 2: column 'art' says whether .* not 'maybe'"):
        read(tmp_path / "train.csv", "text,sport,art,news\na,1,maybe,0\n", label_columns=NAMES)
    with pytest.raises(TransferlabError, match=r"label_columns: .* has no column 'sport'"):
        read(tmp_path / "train.csv", "text,art,news\na,1,0\n", label_columns=NAMES)


def test_flags_are_not_taken_for_class_numbers(tmp_path):
    assert read(tmp_path / "train.jsonl", lines(FLAGS), labels=NAMES)[1] == FLAGS
    with pytest.raises(TransferlabError, match="3 numbers 0 or 1 an example, one for each label; name the labels"):
        read(tmp_path / "train.jsonl", lines(FLAGS))


@pytest.mark.parametrize("cell", [{"a": 1}, [["a"]], 1.5])
def test_what_is_no_list_of_labels_is_refused_with_its_line(tmp_path, cell):
    with pytest.raises(TransferlabError, match=r"train\.jsonl, line 2: column 'label' must hold a list of labels"):
        read(tmp_path / "train.jsonl", lines([["a"], cell]))


def test_an_unknown_label_and_a_split_without_any_are_refused(tmp_path):
    paths = {name: tmp_path / f"{name}.csv" for name in ("train", "test")}
    paths["train"].write_text("text,label\n" + "a,x;y\nb,x\nc,\n" * 4)
    source = Source(files={name: str(path) for name, path in paths.items()}, kind="multilabel")
    paths["test"].write_text("text,label\na,x\nb,y;z\n")
    data = TaskDataModule("own", source=source)
    with pytest.raises(TransferlabError, match=r"test\.csv, line 3: unknown label 'z'"):
        encode_labels(data.rows("test"), data.source, data.labels)
    paths["test"].write_text("text,label\na,\nb,\n")
    data = TaskDataModule("own", source=source)
    with pytest.raises(TransferlabError, match="carry no labels"):
        data._require_labels("test")


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_other_kinds_do_not_take_its_keys(kind):
    with pytest.raises(TransferlabError, match="label_delimiter: only multilabel"):
        TaskDataModule("own", source=Source(files={"train": "a.csv"}, kind=kind, label_delimiter=";"))
    for key in ("language", "document"):
        with pytest.raises(TransferlabError, match=f"data.source.{key}: only tasks whose texts are written have it"):
            TaskDataModule("own", source=Source(files={"train": "a.csv"}, kind=kind, **{key: "de"}))


def test_a_held_out_part_has_the_rarest_labels():
    generator = np.random.default_rng(0)
    labels = (generator.random((400, 4)) < [0.5, 0.3, 0.05, 0.02]).astype(int)
    train, validation = carve(KINDS["multilabel"].strata(labels), 400, Protocol(holdout=0.25), carve_validation=True)
    for label in (2, 3):
        share = labels[validation, label].sum() / labels[:, label].sum()
        assert share == pytest.approx(0.25, abs=0.08)
    assert sorted([*train, *validation]) == list(range(400))


def test_strata_of_one_example_are_joined():
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 0], [0, 0]])
    assert KINDS["multilabel"].strata(labels).tolist() == [0, 0, -1, -1, -1]


# learning --------------------------------------------------------------------------------------------------------


@pytest.fixture
def outputs():
    generator = np.random.default_rng(1)
    logits = generator.normal(size=(40, 3)) * 2
    labels = (generator.random((40, 3)) < [0.5, 0.3, 0.1]).astype(int)
    return torch.tensor(logits, dtype=torch.float32), torch.tensor(labels)


def test_loss_by_hand(outputs):
    logits, labels = outputs
    p, y = expit(logits.double().numpy()), labels.numpy()
    wanted = -(y * np.log(p) + (1 - y) * np.log(1 - p))
    assert task_loss("multilabel", logits, labels).item() == pytest.approx(wanted.mean(), rel=1e-5)
    np.testing.assert_allclose(example_losses("multilabel", logits, labels), wanted.mean(1), rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_imitation_by_hand(outputs, temperature):
    logits, labels = outputs
    teacher = logits.flip(0)
    p, q = (expit(values.double().numpy() / temperature) for values in (teacher, logits))
    divergence = p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))
    loss = distillation_loss("multilabel", logits, teacher, labels, 0.0, temperature)
    assert loss.item() == pytest.approx(temperature**2 * divergence.mean(), rel=1e-4)
    same = distillation_loss("multilabel", logits, logits, labels, 0.0, temperature)
    assert same.item() == pytest.approx(0, abs=1e-6)
    student = logits.clone().requires_grad_()
    distillation_loss("multilabel", student, teacher, labels, 0.0, temperature).backward()
    # that of T^2 BCE to the teacher's probabilities
    np.testing.assert_allclose(student.grad, temperature * (q - p) / logits.numel(), atol=1e-6)


@pytest.mark.parametrize("rare", [False, True])
def test_metrics_are_those_of_sklearn(outputs, rare):
    logits, labels = outputs
    if rare:
        # a label that is in no example and in no prediction
        logits[:, 2], labels[:, 2] = -9, 0
    metrics = build_metrics(TASK)
    for part in range(0, 40, 16):
        metrics.update(logits[part : part + 16], labels[part : part + 16])
    found = {name: value.item() for name, value in metrics.compute().items()}
    guesses = (logits >= 0).int()
    for average in ("micro", "macro"):
        wanted = f1_score(labels, guesses, average=average, zero_division=0)
        assert found[f"f1_{average}"] == pytest.approx(wanted, abs=1e-6)
    assert found["subset_accuracy"] == pytest.approx(accuracy_score(labels, guesses), abs=1e-6)
    lists = [
        [[n for n, f in zip(NAMES, row, strict=True) if f] for row in table.tolist()] for table in (guesses, labels)
    ]
    for name, value in found.items():
        counts = KINDS["multilabel"].counts(*lists, name, NAMES)
        assert SUMS["multilabel", name](counts.sum(0)) == pytest.approx(value, abs=1e-6)
    report = KINDS["multilabel"].per_label(NAMES, lists[1], lists[0])
    columns = precision_recall_fscore_support(labels, guesses, zero_division=0)
    for number, name in enumerate(NAMES):
        assert list(report[name].values()) == pytest.approx([column[number] for column in columns])


def test_examples_without_a_label_that_are_left_alone_are_right():
    metrics = build_metrics(TASK)
    metrics.update(torch.full((2, 3), -1.0), torch.tensor([[0, 0, 0], [1, 0, 0]]))
    assert {name: value.item() for name, value in metrics.compute().items()} == {
        "f1_micro": 0.0,
        "f1_macro": 0.0,
        "subset_accuracy": 0.5,
    }


# thresholds ------------------------------------------------------------------------------------------------------


def test_the_best_threshold_is_the_middle_of_its_plateau():
    assert best_threshold(np.array([0.1, 0.2, 0.6, 0.9]), np.array([0, 0, 1, 1])) == pytest.approx(0.4)
    # F1 is 2/3 with the highest alone or all three of them, 4/5 with all four found
    assert best_threshold(np.array([0.2, 0.3, 0.6, 0.9]), np.array([1, 0, 0, 1])) == pytest.approx(0.75)
    # all alike: everything is found
    assert best_threshold(np.full(5, 0.3), np.array([0, 0, 1, 0, 1])) == pytest.approx(0.15)


def test_no_threshold_is_better(outputs):
    generator = np.random.default_rng(3)
    scores, gold = generator.random(200).round(2), (generator.random(200) < 0.3).astype(int)
    best = max(f1_score(gold, scores >= cut) for cut in np.linspace(0, 1, 2001))
    assert f1_score(gold, scores >= best_threshold(scores, gold)) == pytest.approx(best)


def test_rare_labels_keep_one_half():
    logits, labels = torch.randn(50, 2) - 2, torch.zeros(50, 2, dtype=torch.long)
    labels[:9, 0] = labels[:10, 1] = 1
    found = LEARNED["multilabel"].thresholds(logits, labels)
    assert found[0] == 0.5
    assert found[1] != 0.5
    lines = [{"label": [n for n, f in zip("ab", row, strict=True) if f]} for row in labels.tolist()]
    known = thresholds.facts("ab", found.tolist(), lines)
    assert {name: row["positives"] for name, row in known.items()} == {"a": 9, "b": 10}
    assert "0.50, since fewer than 10 validation examples have it: a (9)" in thresholds.in_words(known)


def test_thresholds_are_fitted_in_training_kept_and_used_by_test_and_predict(data, tiny_encoder, fit, monkeypatch):
    from transferlab.tasks.kinds import multilabel

    monkeypatch.setattr(multilabel, "FEWEST", 1)
    module = data("multilabel")
    model = FullFineTuning(task=module.spec, encoder=tiny_encoder, schedule=Schedule("constant", warmup=0.0))
    trainer = fit(model, module, limit_val_batches=1.0)
    (batch,) = list(module.val_dataloader())
    logits = trainer.predict(model, module.val_dataloader())[0]["logits"]
    kind = LEARNED["multilabel"]
    fitted = kind.thresholds(logits, batch.labels)
    torch.testing.assert_close(model.thresholds, fitted, atol=1e-5, rtol=0)
    assert not torch.equal(model.thresholds, torch.full((3,), 0.5))
    checkpoint = {"state_dict": dict(model.state_dict())}
    model.on_save_checkpoint(checkpoint)
    assert torch.equal(checkpoint["state_dict"]["thresholds"], model.thresholds)
    for given in (torch.zeros(3), torch.ones(3)):
        model.thresholds.copy_(given)
        outputs = trainer.predict(model, module.test_dataloader())[0]
        assert (outputs["classes"] == 1 - given.long()).all()
        lines = predictions.records(module.spec, outputs, None)
        assert lines[0]["prediction"] == ([] if given[0] else list("abc"))
        found = trainer.test(model, module, verbose=False)[0]
        gold = torch.tensor(module.encoded("test").labels)
        assert found["test/f1_micro"] == pytest.approx(
            f1_score(gold, outputs["classes"][outputs["index"].argsort()], average="micro", zero_division=0), abs=1e-6
        )
        # validation is at one half, whatever was fitted on it
        assert trainer.validate(model, module, verbose=False)[0]["val/f1_micro"] == pytest.approx(
            f1_score(batch.labels, logits >= 0, average="micro", zero_division=0), abs=1e-6
        )


@pytest.mark.parametrize("form", ["packed", "windows"])
def test_packed_batches_and_windows(form, tiny_encoder, fit):
    from transferlab.encoders.packing import enable_packing

    options = {"packed": True, "max_tokens": 256, "max_length": 32} if form == "packed" else {}
    options = options or {"truncation": "windows", "max_length": 8}
    module = TaskDataModule("demo_topics", tiny_encoder, train_examples=60, test_examples=20, **options)
    model = FullFineTuning(task=module.spec, encoder=tiny_encoder)
    if form == "packed":
        enable_packing(model.encoder.backbone)
    trainer = fit(model, module, limit_val_batches=1.0, limit_predict_batches=1.0)
    # 150 examples select, so every label has enough of them
    assert (model.thresholds != 0.5).all()
    outputs = trainer.predict(model, module.test_dataloader())
    assert sum(len(part["classes"]) for part in outputs) == 20


# baselines -------------------------------------------------------------------------------------------------------


def part(texts, labels):
    return Part(np.arange(len(texts)), (texts,), np.array(labels))


@pytest.mark.parametrize("method", ["tfidf", "nbsvm"])
def test_linear_baselines_find_the_words_of_a_label(method):
    texts = ["ball game", "paint brush", "ball paint", "nothing here"] * 10
    flags = [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]] * 10
    baseline = METHODS[method](TaskSpec("t", "multilabel", ("ball", "paint", "never"), TASK.metrics), 0)
    baseline.fit(part(texts, flags), part(texts[:8], flags[:8]))
    logits = baseline.predict(part(["a game", "a brush", "ball paint", "here"], flags[:4]))
    assert (logits >= 0).astype(int).tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 0]]
    assert np.isfinite(logits).all()
    assert baseline.coefficients > 0


def test_majority_gives_the_most_frequent_label_where_none_is_in_half_of_the_examples():
    baseline = METHODS["majority"](TASK, 0)
    for flags, wanted in (([[1, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0]], [0, 1, 0]), (FLAGS, [0, 0, 1])):
        one = part(["x"] * len(flags), flags)
        baseline.fit(one, one)
        assert (baseline.predict(one)[0] >= 0).astype(int).tolist() == wanted


# comparing -------------------------------------------------------------------------------------------------------


def test_collapse_is_told():
    lines = [{"prediction": [], "label": names, "scores": [0.1, 0.1, 0.1]} for names in GOLD]
    assert predictions.facts("multilabel", lines) == {"examples": 4, "not_finite": 0, "collapsed": True}
    lines[0]["prediction"] = ["art"]
    assert not predictions.facts("multilabel", lines)["collapsed"]
