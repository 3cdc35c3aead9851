import csv
import io
import json
import subprocess
import sys

import pytest

from transferlab.errors import TransferlabError
from transferlab.runs import compare

HEAVY = ("torch", "lightning", "transformers", "datasets", "sklearn", "numpy", "pandas")


def summary(task="sst2", strategy="lora", test=0.9, **changes):
    metrics = {} if test is None else {"val/accuracy": test - 0.01, "test/accuracy": test}
    return {
        "experiment": f"{strategy}_{task}",
        "task": task,
        "strategy": strategy,
        "encoder": "all-MiniLM-L6-v2",
        "seed": 0,
        "tags": [],
        "primary": "accuracy",
        "protocol": "holdout",
        "data": {"train_examples": 2000},
        "params": {"trainable_pct": 0.329},
        "metrics": metrics,
        "perf": {"wall_s": 60.75, "samples_s": 107.62, "peak_mem_mb": 1168.5},
        "checkpoint_mb": 0.295,
        "status": "finished" if metrics else "failed",
    } | changes


@pytest.fixture
def runs(tmp_path):
    root = tmp_path / "runs"

    def add(name, content=None, **changes):
        content = summary(**changes) if content is None else content
        folder = root / "any" / name
        folder.mkdir(parents=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "summary.json").write_text(text)

    add.root = root
    return add


def as_csv(capsys, runs, *arguments):
    compare.main([str(runs.root), "--format", "csv", *arguments])
    return list(csv.DictReader(io.StringIO(capsys.readouterr().out)))


def test_groups_by_task_and_sorts_the_best_test_result_first(runs, capsys):
    runs("a", task="sst2", test=0.8)
    runs("b", task="mrpc", test=0.7)
    runs("c", task="sst2", test=0.9)
    runs("d", task="sst2", test=None)
    assert [row["run"] for row in as_csv(capsys, runs)] == ["b", "c", "a", "d"]


def test_an_unfinished_run_is_shown_with_its_status(runs, capsys):
    runs("a", test=None)
    runs("b", content={"experiment": "x", "status": "running"})
    rows = as_csv(capsys, runs)
    assert [(row["run"], row["status"], row["primary"]) for row in rows] == [("a", "failed", ""), ("b", "running", "")]


@pytest.mark.parametrize("text", ["{", "3", "[]", "null"])
def test_an_unreadable_summary_is_shown_as_such(runs, capsys, text):
    runs("broken", content=text)
    row = as_csv(capsys, runs)[0]
    assert (row["experiment"], row["run"], row["status"]) == ("any", "broken", "unreadable")


def test_csv_has_all_columns_in_full(runs, capsys):
    runs("a")
    assert as_csv(capsys, runs) == [
        {
            "experiment": "lora_sst2",
            "task": "sst2",
            "strategy": "lora",
            "encoder": "all-MiniLM-L6-v2",
            "seed": "0",
            "protocol": "holdout",
            "metric": "accuracy",
            "primary": "0.9",
            "val": "0.89",
            "trainable_pct": "0.329",
            "wall_s": "60.75",
            "samples_s": "107.62",
            "peak_mem_mb": "1168.5",
            "checkpoint_mb": "0.295",
            "train_examples": "2000",
            "status": "finished",
            "run": "a",
        }
    ]


@pytest.mark.parametrize(("by", "first"), [("wall_s", "quick"), ("samples_s", "slow"), ("strategy", "slow")])
def test_sorts_by_any_column_the_better_first(runs, capsys, by, first):
    runs("quick", strategy="lora", perf={"wall_s": 1, "samples_s": 5})
    runs("slow", strategy="adapter", perf={"wall_s": 2, "samples_s": 6})
    runs("unknown", strategy="prompt", perf={})
    assert as_csv(capsys, runs, "--sort", by)[0]["run"] == first


def test_filters_combine(runs, capsys):
    runs("a", task="sst2", tags=["paper"])
    runs("b", task="mrpc", tags=["paper"])
    runs("c", task="sst2")
    assert [row["run"] for row in as_csv(capsys, runs, "--task", "sst2", "--tag", "paper")] == ["a"]
    runs("d", task="rte", strategy="adapter")
    with pytest.raises(TransferlabError, match=r"--task rte --strategy lora together"):
        compare.main([str(runs.root), "--task", "rte", "--strategy", "lora"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "sts2"], r"no run with task 'sts2' \(did you mean 'sst2'\?\)"),
        (["--tag", "x"], "No run has a tag"),
        (["--stratgy", "lora"], r"did you mean '--strategy'"),
        (["--format", "markdwn"], r"did you mean 'markdown'"),
        (["--sort", "wall"], r"did you mean 'wall_s'"),
    ],
)
def test_a_wrong_argument_names_the_nearest_right_one(runs, arguments, message):
    runs("a")
    with pytest.raises(TransferlabError, match=message):
        compare.main([str(runs.root), *arguments])


def test_no_runs_names_the_demo(tmp_path):
    with pytest.raises(TransferlabError, match="make demo"):
        compare.main([str(tmp_path)])
    (tmp_path / "runs").mkdir()
    with pytest.raises(TransferlabError, match="did you mean 'runs'"):
        compare.main([str(tmp_path / "rums")])


def test_on_a_pipe_no_line_is_folded(runs, capsys):
    runs("a", experiment="a_long_name_" * 10)
    compare.main([str(runs.root)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "a_long_name_" * 10 in lines[2]
    assert all(column.title in lines[0] for column in compare.COLUMNS)
    assert "0.9000" in lines[2]


def test_a_name_in_brackets_is_no_markup(runs, capsys):
    runs("a", experiment="[bold]x[/bold]")
    compare.main([str(runs.root)])
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_a_narrow_terminal_leaves_out_what_is_the_same_everywhere():
    rows = [summary(test=0.8), summary(test=0.9, protocol="official")]
    names = [column.name for column in compare._fitting(rows, 60)]
    assert "task" not in names
    assert {"experiment", "protocol", "primary", "val", "status"} <= set(names)
    assert compare._fitting(rows, compare.WIDEST) == list(compare.COLUMNS)


def test_markdown_warns_of_different_protocols(runs, capsys):
    runs("a", experiment="x|y")
    runs("b", protocol="official")
    runs("c", task="mrpc")
    compare.main([str(runs.root), "--format", "markdown"])
    text = capsys.readouterr().out
    assert "| x\\|y | sst2 |" in text
    assert "sst2: runs of different protocols (holdout, official)" in text
    assert "mrpc: runs" not in text


@pytest.mark.parametrize("command", ["compare", "list"])
def test_answers_without_heavy_imports(runs, command):
    runs("a")
    code = (
        "import sys; sys.argv = ['transferlab', *sys.argv[1:]]\n"
        "from transferlab.__main__ import main\n"
        "main()\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(runs.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"
