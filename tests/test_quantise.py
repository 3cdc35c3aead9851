"""Quantised forms of a run: measured beside float32, refused where they change too much, settings of their own."""

import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
from test_predictor import KINDS, file_of, run_of, test_rows

from transferlab.analysis.comparison.groups import group
from transferlab.analysis.comparison.reading import read
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks.spec import TaskSpec
from transferlab.use.export import command as exporting
from transferlab.use.export import facts
from transferlab.use.exported import Exported
from transferlab.use.quantising import labelled, measure, options
from transferlab.use.quantising.command import Asked
from transferlab.use.quantising.command import run as quantise


@pytest.fixture(scope="module")
def made(tmp_path_factory, files, tiny_encoder):
    """A run of a kind and its export, made when it is first asked for."""
    root = tmp_path_factory.mktemp("quantise")
    known = {}

    def get(kind="classification"):
        if kind not in known:
            run = run_of(
                root / kind / "runs" / "py" / "one",
                files,
                tiny_encoder,
                kind,
                KINDS.get(kind, KINDS["pairs"]),
            )
            exporting.export(run, "onnx", root / f"export-{kind}")
            known[kind] = run, root / f"export-{kind}"
        return known[kind]

    return get


def asked(made, tmp_path, kind="classification", **others):
    run, source = made(kind)
    given = {"max_changed": 1.0, "output": tmp_path / "small", "root": run.parents[1], **others}
    return run, Asked(str(source), **given)


def initializers(folder):
    return [one.data_type for one in onnx.load(folder / "model.onnx").graph.initializer]


def test_dynamic_int8_is_answered_one_text_at_a_time(made, files, tmp_path, capsys):
    run, given = asked(made, tmp_path)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    quantise(given)
    printed = capsys.readouterr().out
    assert "answered one text at a time" in printed
    for told in ("accuracy", "ECE", "changed predictions", "size, MB", "ms a text, alone", "in batches of 32"):
        assert told in printed
    assert json.loads((given.output / facts.NAME).read_text())["batching"] == "one text at a time"
    assert onnx.TensorProto.INT8 in initializers(given.output)
    assert not (given.output / "parity.json").exists()
    small, full = Exported(given.output), Exported(given.run)
    assert small.size_mb < full.size_mb
    # the record of the run is untouched, byte for byte
    assert {path: path.read_bytes() for path in before} == before
    texts = [row["text"] for row in test_rows(files, "classification")]
    encoded, _ = small.encode({"text": texts})
    alone = [small.answer(encoded, [row])[0]["scores"] for row in range(len(texts))]
    assert [list(answer["probabilities"].values()) for answer in small.predict(texts)] == alone
    together = [record["scores"] for record in small.answer(encoded, list(range(len(texts))))]
    # what the folder says of itself: in one batch these very texts get other numbers
    assert np.abs(np.array(together) - alone).max() > 1e-6
    check_predict(given.output, texts, small, tmp_path)


def check_predict(folder, texts, model, tmp_path):
    """``transferlab predict`` asks alone too, whatever batches it is told to, and without torch."""
    (tmp_path / "in.txt").write_text("\n".join(texts), encoding="utf-8")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = sys.modules['datasets'] = None\n"
        "from transferlab.use.prediction.command import main\n"
        "main(['--run', sys.argv[1], sys.argv[2], '--output', sys.argv[3], '--batch-size', '64'])"
    )
    out = tmp_path / "out.jsonl"
    subprocess.run([sys.executable, "-c", code, folder, tmp_path / "in.txt", out], check=True)
    found = [json.loads(line)["probabilities"] for line in out.read_text().splitlines()]
    assert found == [model(text)["probabilities"] for text in texts]


def test_forms_are_settings_of_their_own(made, tmp_path):
    run, given = asked(made, tmp_path)
    quantise(given)
    root = run.parents[1]
    found = {str(run.get("form")): run for run in read(root) if run.get("task") == "tiny"}
    assert found.keys() == {"None", "onnx", "int8-dynamic"}
    groups = group(list(found.values()))
    assert len(groups) == 3
    assert len({one.key.setting for one in groups}) == 3
    small, full = found["int8-dynamic"], found["None"]
    assert small["model_mb"] < found["onnx"]["model_mb"]
    assert full["model_mb"] == pytest.approx(full["params"]["total"] * 4 / 2**20)
    assert small["test"]["latency_ms"] > 0
    # those who read runs only do not see them
    assert [path for path, _ in run_folder.summaries(root)] == [run]
    assert found["onnx"]["metrics"]["test/accuracy"] == pytest.approx(full["metrics"]["test/accuracy"])


def test_an_export_of_other_weights_is_no_form_of_the_run(made, tmp_path):
    run, source = made()
    copy = tmp_path / "runs" / "py" / "one"
    shutil.copytree(run, copy)
    known = facts.read(source)
    assert labelled.run_of(known, tmp_path / "runs") == copy
    (copy / "checkpoints" / "best.ckpt").write_bytes(b"trained again")
    assert labelled.run_of(known, tmp_path / "runs") is None
    (copy / "checkpoints" / "best.ckpt").unlink()
    assert labelled.run_of(known, tmp_path / "runs") is None


def test_an_experiment_may_be_called_forms(tmp_path):
    for name in ("forms/one", "forms/one/forms/one-onnx"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "summary.json").write_text("{}")
    assert [path.name for path, _ in run_folder.summaries(tmp_path)] == ["one"]
    assert len(list(run_folder.summaries(tmp_path, forms=True))) == 2


def test_too_many_changed_predictions_leave_nothing(made, tmp_path):
    # fewer than none are always too many
    run, given = asked(made, tmp_path, max_changed=-0.01)
    there = sorted(run.rglob("*"))
    with pytest.raises(
        TransferlabError, match=r"--max-changed: \d+ of \d+ predictions .* are other ones than in float32"
    ):
        quantise(given)
    assert not list(tmp_path.glob("small*"))
    assert sorted(run.rglob("*")) == there


@pytest.mark.parametrize("form", ["int8-static", "fp16"])
def test_other_forms_do_not_depend_on_the_batch(form, made, files, tmp_path, capsys):
    _, given = asked(made, tmp_path, form=form, record=False)
    quantise(given)
    assert facts.read(given.output).batching == "any"
    assert "does not depend on the other texts" in capsys.readouterr().out
    model = Exported(given.output)
    encoded, _ = model.encode({"text": [row["text"] for row in test_rows(files, "classification")]})
    rows = list(range(len(encoded.ids)))
    alone = np.concatenate([model.logits(encoded, [row]) for row in rows])
    assert model.logits(encoded, rows) == pytest.approx(alone, abs=1e-3 if form == "fp16" else 1e-4)


@pytest.mark.parametrize("kind", ["pairs", "regression", "tagging", "windows", "multilabel"])
@pytest.mark.parametrize("form", options.FORMS)
@pytest.mark.slow
def test_every_kind(kind, form, made, tmp_path):
    run, given = asked(made, tmp_path, kind, form=form)
    quantise(given)
    kept = json.loads((run / "forms" / f"{run.name}-onnx" / "summary.json").read_text())
    record = run_folder.read_summary(run)
    for name, value in kept["metrics"].items():
        assert value == pytest.approx(record["metrics"][name], abs=1e-4)
    assert kept["per_class"] == record["per_class"]


def test_a_file_with_labels_judges_a_folder_alone(made, files, tmp_path):
    _, given = asked(made, tmp_path, root=tmp_path / "elsewhere")
    with pytest.raises(TransferlabError, match="--files: the run that .* was exported from is not under"):
        quantise(given)
    path = files["classification"].files["test"]
    quantise(given._replace(files=path))
    told = json.loads((given.output / "quantised.json").read_text())
    assert told["examples"]["count"] == len(test_rows(files, "classification"))
    with pytest.raises(TransferlabError, match="is int8-dynamic already"):
        quantise(given._replace(run=str(given.output), output=tmp_path / "twice", files=path))
    with pytest.raises(TransferlabError, match="--calibrate: int8-static sets its scales on training texts"):
        quantise(given._replace(form="int8-static", output=tmp_path / "static", files=path))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "regression", "tagging", "multilabel"])
def test_labels_of_a_file_are_those_of_the_run(kind, made, files):
    run, source = made(kind)
    own = labelled.of_run(run)
    read = labelled.of_file(files[file_of(kind)].files["test"], facts.read(source), None)
    assert (read.gold, read.columns) == (own.gold, own.columns)


def test_shares():
    assert (*(options.share(text, "--heads") for text in ("3%", "0.03", "0")),) == (0.03, 0.03, 0.0)
    for wrong in ("3", "three", "-1%", "101%"):
        with pytest.raises(TransferlabError, match="--heads: .* is no share"):
            options.share(wrong, "--heads")


def test_changed_predictions_of_each_kind():
    def lines(*predictions):
        return [{"prediction": one} for one in predictions]

    def spec(kind, labels=()):
        return TaskSpec("t", kind, labels, ())

    assert measure.changed(spec("classification"), lines("a", "b"), lines("a", "a")) == (1, 2)
    # of tags it counts words
    assert measure.changed(spec("tagging"), lines(["O", "B-X"], ["O"]), lines(["O", "O"], ["O"])) == (1, 3)
    # numbers 0 and 2 have a standard deviation of 1: a move of 0.05 is none, one of 0.2 is
    assert measure.changed(spec("regression"), lines(0.05, 2.2), lines(0.0, 2.0)) == (1, 2)


def test_scores_are_those_of_the_record(made):
    run, _ = made()
    record = run_folder.read_summary(run)
    lines = [json.loads(line) for line in (run / "predictions" / "test.jsonl").read_text().splitlines()]
    spec = TaskSpec("t", "classification", tuple(record["labels"]), tuple(record["spec"]["metrics"]))
    for name, value in measure.scores(spec, lines).items():
        assert value == pytest.approx(record["metrics"][f"test/{name}"], abs=1e-6)
