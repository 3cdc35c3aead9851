"""Baselines of texts, their record, comparison and page."""

import json
from pathlib import Path

import numpy as np
import pytest

from transferlab.analysis.comparison import outcomes
from transferlab.analysis.comparison.reading import read
from transferlab.analysis.page import written
from transferlab.analysis.page.command import main as report
from transferlab.baselines import main as baseline
from transferlab.baselines.choice import METHODS
from transferlab.baselines.rows import Part, evaluate
from transferlab.tasks.scoring import SUMS, scores
from transferlab.tasks.spec import TaskSpec

TRAIN = [
    ("A cat sat down. It slept.", ["cat"]),
    ("Two dogs ran. They barked. One hid. It rained.", ["dogs"]),
    ("The cat ate <b>fish</b>.", ["fish", "a fish"]),
    ("A bird sang.", ["fish"]),
]
TEST = [("A dog ran. They barked? Yes! It rained.", ["dogs", "A dog ran."]), ("Cat fish", ["Cat fish"]), ("zzz", ["x"])]
TASK = TaskSpec("mine", "text", (), ("rougeL", "bleu", "ter", "exact_match"))


def part(rows):
    labels = np.empty(len(rows), dtype=object)
    labels[:] = [references for _, references in rows]
    return Part(np.arange(len(rows)), ([text for text, _ in rows],), labels)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("copy", [text for text, _ in TEST]),
        ("lead_1", ["A dog ran.", "Cat fish", "zzz"]),
        ("lead_3", ["A dog ran. They barked? Yes!", "Cat fish", "zzz"]),
        ("most_frequent_target", ["fish"] * 3),
        # of equally far ones the first
        ("nearest_target", ["dogs", "fish", "cat"]),
    ],
)
def test_outputs_of_each_baseline(name, wanted):
    method = METHODS[name](TASK, 0)
    method.fit(part(TRAIN), part(TEST))
    assert method.strategy == name
    assert method.predict(part(TEST)) == wanted
    references = [own for _, own in TEST]
    assert evaluate(TASK, wanted, part(TEST).labels) == pytest.approx(scores(wanted, references, TASK.metrics, ""))


def test_of_a_chat_the_last_message_is_copied():
    chat = [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Who? Me."}]
    rows = part([(chat, ["x"])])
    assert METHODS["lead_1"](TASK, 0).predict(rows) == ["Who?"]


@pytest.fixture(scope="module")
def runs(session_environment, tmp_path_factory):
    root = tmp_path_factory.mktemp("texts")
    files = {}
    for split, rows in (("train", TRAIN), ("validation", TEST), ("test", TEST * 3)):
        files[split] = str(root / f"{split}.jsonl")
        lines = [{"input": a, "target": b, "from": f"paper {n // 3}"} for n, (a, b) in enumerate(rows)]
        (root / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    source = {"kind": "text", "files": files, "metrics": list(TASK.metrics), "document": "from"}
    tree = {"data": {"class_path": "transferlab.TaskDataModule", "init_args": {"task": "mine", "source": source}}}
    (root / "mine.yaml").write_text(json.dumps(tree), encoding="utf-8")
    baseline(["--config", str(root / "mine.yaml"), "--run.root", str(root / "runs")])
    return root / "runs"


def test_statistics_stand_with_the_predictions_and_signatures_with_the_run(runs):
    summaries = {one["strategy"]: one for one in read(runs)}
    assert set(summaries) == {"copy", "lead_1", "lead_3", "most_frequent_target", "nearest_target"}
    one = summaries["lead_1"]
    lines = [json.loads(line) for line in (Path(one["folder"]) / "predictions/test.jsonl").read_text().splitlines()]
    assert lines[0]["label"] == ["dogs", "A dog ran."]
    assert lines[2]["text"] == ["zzz"]
    for name in TASK.metrics:
        sums = np.sum([line["statistics"][name] for line in lines], 0)
        assert float(SUMS[name](sums)) == pytest.approx(one["metrics"][f"test/{name}"], abs=1e-6)
    assert one["test"]["signatures"]["bleu"].startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert one["test"]["seconds_per_1000"] > 0
    found = outcomes.outcomes(one)
    # three documents of three rows each
    assert found.texts.tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 6]
    assert found.counts.shape == (9, 2)


def test_a_comparison_reads_the_statistics_and_no_texts(runs, monkeypatch):
    monkeypatch.setattr("transferlab.tasks.scoring.statistics", None)
    one = {run["strategy"]: run for run in read(runs)}["copy"]
    (Path(one["folder"]) / ".read" / "outcomes").unlink(missing_ok=True)
    assert outcomes.outcomes(one) is not None


def test_outputs_stand_side_by_side_where_they_differ_most_first(runs):
    report([str(runs), "--output", str(runs / "page.html")])
    page = (runs / "page.html").read_text(encoding="utf-8")
    assert "seconds for 1,000 outputs" in page
    assert "nrefs:var" in page
    assert page.count("A dog ran. They barked? Yes!") > 1
    assert '<th class="number" scope="col">ter</th>' in page
    lines = [{"prediction": text, "label": ["a fish"]} for text in ("fish", "dog")]
    same = [lines[0], lines[0]]
    assert written.apart(lines) == (-1.0, -1.0) < written.apart(same) == (0.0, 0.0)


def test_a_text_that_is_markup_is_shown_not_run(runs):
    (folder,) = (Path(run["folder"]) for run in read(runs) if run["strategy"] == "copy")
    path = folder / "predictions/test.jsonl"
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace("zzz", "<script>alert(1)</script>"), encoding="utf-8")
    report([str(runs), "--output", str(runs / "page.html")])
    path.write_text(before, encoding="utf-8")
    page = (runs / "page.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
