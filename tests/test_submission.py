import json
import zipfile

import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.record import predictions
from transferlab.tasks.splits import file_name
from transferlab.tasks.table import GLUE, TASKS
from transferlab.use import submission


@pytest.fixture
def few_rows(monkeypatch):
    """A server that wants three rows of everything."""
    monkeypatch.setattr(submission, "ROWS", dict.fromkeys(submission.ROWS, 3))


@pytest.fixture
def predicted(tmp_path):
    def run(task, name="one", splits=1, rows=3):
        folder = tmp_path / "runs" / f"lora_{task}" / name
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps({"task": task}))
        for number in range(splits):
            lines = [{"id": i, "prediction": (TASKS[task].labels or (2.5,))[0]} for i in range(rows)]
            predictions.write(folder / "predictions" / f"{file_name(number)}.jsonl", lines)
        return folder

    return run


def submit(tmp_path, *runs):
    output = tmp_path / "out" / "submission.zip"
    submission.main([*map(str, runs), "--output", str(output), "--root", str(tmp_path / "runs")])
    with zipfile.ZipFile(output) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def test_every_glue_task_has_a_file_for_each_split_to_predict():
    glue = {name: source for name, source in TASKS.items() if source.path == GLUE}
    assert {task: len(names) for task, names in submission.FILES.items()} == {
        name: len(source.predict) for name, source in glue.items()
    }
    assert sorted(name for names in submission.FILES.values() for name in names) == sorted(submission.ROWS)
    assert len(submission.ROWS) == 11


@pytest.mark.parametrize(
    ("task", "prediction", "expected"),
    [
        ("cola", "unacceptable", "0"),
        ("cola", 1, "1"),
        ("sst2", "positive", "1"),
        ("mrpc", "equivalent", "1"),
        ("qqp", "not_duplicate", "0"),
        ("wnli", "entailment", "1"),
        ("wnli", "not_entailment", "0"),
        ("mnli", "contradiction", "contradiction"),
        ("mnli", 1, "neutral"),
        ("qnli", 1, "not_entailment"),
        ("rte", "entailment", "entailment"),
        ("stsb", 3.14159, "3.142"),
        ("stsb", -0.2, "0.000"),
        ("stsb", 5.7, "5.000"),
        ("stsb", 4, "4.000"),
    ],
)
def test_cells_are_in_the_form_of_the_server(task, prediction, expected):
    assert submission.cell(task, {"id": 0, "prediction": prediction}) == expected


@pytest.mark.parametrize(
    ("task", "prediction"),
    [
        ("cola", "entailment"),
        ("cola", 2),
        ("cola", -1),
        ("cola", True),
        ("stsb", float("nan")),
        ("stsb", "3"),
        ("rte", None),
    ],
)
def test_a_prediction_that_the_task_does_not_know_is_refused(task, prediction):
    with pytest.raises(TransferlabError, match=f"{task}: the prediction of row 7"):
        submission.cell(task, {"id": 7, "prediction": prediction})


def test_write_tsv_sorts_rows(tmp_path):
    records = [{"id": 1, "prediction": "neutral"}, {"id": 0, "prediction": "entailment", "scores": [1, 0, 0]}]
    path = submission.write_tsv("mnli", 2, records, tmp_path / "new")
    assert path == tmp_path / "new" / "AX.tsv"
    assert path.read_text() == "index\tprediction\n0\tentailment\n1\tneutral\n"


@pytest.mark.parametrize(
    ("ids", "fault"),
    [
        ([0, 2], "row 1 is missing"),
        ([1, 2], "row 0 is missing"),
        ([0, 1, 1], "row 1 is there twice"),
        ([], "no predictions"),
    ],
)
def test_gaps_and_repetitions_are_refused(tmp_path, ids, fault):
    with pytest.raises(TransferlabError, match=rf"RTE.tsv: {fault}"):
        submission.write_tsv("rte", 0, [{"id": i, "prediction": 0} for i in ids], tmp_path)


@pytest.mark.usefixtures("few_rows")
def test_the_zip_holds_a_file_for_each_split(predicted, tmp_path, capsys):
    predicted("mnli", splits=3)
    inside = submit(tmp_path, "lora_mnli", predicted("stsb"))
    assert list(inside) == ["MNLI-m.tsv", "MNLI-mm.tsv", "AX.tsv", "STS-B.tsv"]
    assert inside["STS-B.tsv"] == "index\tprediction\n0\t2.500\n1\t2.500\n2\t2.500\n"
    missing = capsys.readouterr().out.splitlines()[-1]
    assert missing.startswith("missing: CoLA.tsv, SST-2.tsv, MRPC.tsv, QNLI.tsv")
    assert "AX" not in missing


@pytest.mark.usefixtures("few_rows")
def test_a_split_without_predictions_is_listed_as_missing(predicted, tmp_path, capsys):
    assert list(submit(tmp_path, predicted("mnli", splits=2))) == ["MNLI-m.tsv", "MNLI-mm.tsv"]
    assert "AX.tsv" in capsys.readouterr().out.splitlines()[-1]


@pytest.mark.usefixtures("few_rows")
def test_all_eleven_files_leave_nothing_missing(predicted, tmp_path, capsys):
    runs = [predicted(task, splits=len(names)) for task, names in submission.FILES.items()]
    assert len(submit(tmp_path, *runs)) == 11
    assert "missing" not in capsys.readouterr().out


def test_a_run_without_predictions_names_the_command(predicted, tmp_path):
    run = predicted("rte", splits=0)
    with pytest.raises(TransferlabError, match=rf"`transferlab predict --run {run}`"):
        submit(tmp_path, run)


def test_a_part_of_the_rows_is_refused(predicted, tmp_path):
    with pytest.raises(TransferlabError, match=r"has 3 examples, the test has 3000.*transferlab predict"):
        submit(tmp_path, predicted("rte"))
    assert not (tmp_path / "out").exists()


def test_two_runs_of_a_task_and_other_tasks_are_refused(predicted, tmp_path):
    first, second = predicted("rte"), predicted("rte", "two")
    with pytest.raises(TransferlabError, match="two runs of rte"):
        submit(tmp_path, first, second)
    with pytest.raises(TransferlabError, match="imdb is not a GLUE task"):
        submit(tmp_path, predicted("imdb"))


@pytest.mark.parametrize("text", ["{}", "[]", "{"])
def test_a_summary_without_task_is_refused(predicted, tmp_path, text):
    run = predicted("rte")
    (run / "summary.json").write_text(text)
    with pytest.raises(TransferlabError, match="does not tell the task"):
        submit(tmp_path, run)


def test_no_run_is_a_wrong_call():
    with pytest.raises(TransferlabError, match="required: RUN"):
        submission.main([])
