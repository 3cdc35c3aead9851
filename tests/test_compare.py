import csv
import io
import json
import re
import subprocess
import sys

import pytest

from transferlab.analysis.comparison import command as compare
from transferlab.analysis.comparison import reading, render, sheets
from transferlab.analysis.comparison.column import OF_TEXTS
from transferlab.analysis.comparison.columns import RUN_COLUMNS
from transferlab.analysis.comparison.reading import read
from transferlab.ground.errors import TransferlabError

HEAVY = ("torch", "lightning", "transformers", "datasets", "sklearn", "scipy", "pandas")


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
        "kind": "classification",
        "labels": ["no", "yes"],
        "setting": f"{strategy}-{task}",
        "data": {"train_examples": 2000, "version": "v1"},
        "params": {"trainable_pct": 0.329},
        "metrics": metrics,
        "perf": {"wall_s": 60.75, "samples_s": 107.62, "peak_mem_mb": 1168.5},
        "test": {"latency_ms": 7.25, "collapsed": False, "not_finite": 0},
        "checkpoint_mb": 0.295,
        "status": "finished" if metrics else "failed",
    } | changes


@pytest.fixture
def runs(tmp_path):
    root = tmp_path / "runs"

    def add(name, content=None, right=None, **changes):
        """Right: which test examples the run has right; its accuracy follows."""
        if right is not None:
            changes = {"test": sum(right) / len(right), **changes}
        content = summary(**changes) if content is None else content
        folder = root / "any" / name
        folder.mkdir(parents=True)
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / "summary.json").write_text(text)
        if right is not None:
            lines = [{"id": n, "prediction": "yes" if r else "no", "label": "yes"} for n, r in enumerate(right)]
            (folder / "predictions").mkdir()
            (folder / "predictions" / "test.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n")
        return folder

    add.root = root
    return add


def as_csv(capsys, runs, *arguments, of=("--runs",)):
    compare.main([str(runs.root), "--format", "csv", *of, *arguments])
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
            "model_mb": "",
            "latency_ms": "7.25",
            "generated_tokens_s": "",
            "seconds_per_1000": "",
            "train_examples": "2000",
            "status": "finished",
            "faults": "",
            "setting": "lora-sst2",
            "data_version": "v1",
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
        compare.main([str(runs.root), "--runs", *arguments])


def test_no_runs_names_the_demo(tmp_path):
    with pytest.raises(TransferlabError, match="transferlab demo"):
        compare.main([str(tmp_path)])
    (tmp_path / "runs").mkdir()
    with pytest.raises(TransferlabError, match="did you mean 'runs'"):
        compare.main([str(tmp_path / "rums")])


def test_on_a_pipe_no_line_is_folded(runs, capsys):
    runs("a", experiment="a_long_name_" * 10)
    compare.main([str(runs.root), "--runs"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert "a_long_name_" * 10 in lines[2]
    assert all(column.title in lines[0] for column in RUN_COLUMNS if column.name not in OF_TEXTS)
    assert "0.9000" in lines[2]


def test_a_name_in_brackets_is_no_markup(runs, capsys):
    runs("a", experiment="[bold]x[/bold]")
    compare.main([str(runs.root)])
    assert "[bold]x[/bold]" in capsys.readouterr().out


def test_a_narrow_terminal_leaves_out_what_is_the_same_everywhere():
    sheet = sheets.run_sheet([summary(test=0.8), summary(test=0.9, protocol="official")])
    names = [column.name for column in render.fitting(sheet, 60)]
    assert "task" not in names
    assert {"experiment", "protocol", "primary", "val", "status"} <= set(names)
    assert render.fitting(sheet, render.WIDEST) == sheet.titled


def test_markdown_warns_of_different_protocols(runs, capsys):
    runs("a", experiment="x|y")
    runs("b", protocol="official")
    runs("c", task="mrpc")
    compare.main([str(runs.root), "--runs", "--format", "markdown"])
    text = capsys.readouterr().out
    assert "| x\\|y | sst2 |" in text
    assert "sst2: runs of different protocols (holdout, official)" in text
    assert "mrpc: runs" not in text


# settings ---------------------------------------------------------------------------------------------------------


def by_label(capsys, runs, *arguments):
    return {row["setting"]: row for row in as_csv(capsys, runs, *arguments, of=())}


def test_seeds_become_one_row(runs, capsys):
    for seed, test in enumerate((0.8, 0.9, 1.0)):
        runs(f"s{seed}", seed=seed, test=test, perf={"wall_s": 10 * (seed + 1)})
    row = by_label(capsys, runs)["lora"]
    assert (row["runs"], row["seeds"], row["wall_s"], row["latency_ms"]) == ("3", "0 1 2", "20.0", "7.25")
    assert float(row["primary"]) == pytest.approx(0.9)
    assert float(row["std"]) == pytest.approx(0.1)
    # t with 2 degrees of freedom: 4.303
    assert float(row["low"]) == pytest.approx(0.9 - 4.30265 * 0.1 / 3**0.5, abs=1e-5)


RIGHT = [True] * 90 + [False] * 10


def test_settings_are_tested_on_the_same_examples(runs, capsys):
    runs("a", right=RIGHT)
    runs("b", strategy="adapter", right=[False] * 3 + RIGHT[3:])
    runs("c", strategy="scratch", right=[False] * 30 + RIGHT[30:])
    rows = by_label(capsys, runs)
    assert [rows[name]["best"] for name in ("lora", "adapter", "scratch")] == ["1", "0", "0"]
    assert [rows[name]["not_worse_than_best"] for name in ("lora", "adapter", "scratch")] == ["1", "1", "0"]
    # McNemar 3 : 0, the second one of two by Holm
    assert [float(rows["adapter"][name]) for name in ("p_raw", "p_holm")] == pytest.approx([0.25, 0.25])
    assert rows["adapter"]["test_of"] == "McNemar"
    assert float(rows["scratch"]["p_holm"]) == pytest.approx(2 * 2 * 0.5**30)
    rows = by_label(capsys, runs, "--reference", "adapter")
    assert [rows[name]["reference"] for name in ("lora", "adapter", "scratch")] == ["adapter", "", "adapter"]
    assert float(rows["lora"]["difference"]) == pytest.approx(0.03)
    assert rows["lora"]["best"] == "1"
    assert by_label(capsys, runs, "--no-tests")["scratch"]["p_holm"] == ""
    with pytest.raises(TransferlabError, match="did you mean 'adapter'"):
        compare.main([str(runs.root), "--reference", "adaptr"])


def test_what_p_of_one_run_against_several_assumes_stands_beside_it(runs, capsys):
    for seed in range(3):
        runs(f"a{seed}", seed=seed, right=[False] * seed + RIGHT[seed:])
    runs("b", strategy="adapter", right=[False] * 30 + RIGHT[30:])
    rows = by_label(capsys, runs)
    assert (rows["adapter"]["test_of"], rows["adapter"]["spread_assumed"]) == ("seeds and examples", "1")
    compare.main([str(runs.root)])
    text = capsys.readouterr().out
    assert re.search(r"adapter .*[\d.]+ †", text)
    assert "† one run against several: p takes the single run to vary over seeds as much as the other setting" in text
    compare.main([str(runs.root), "--format", "latex"])
    assert r"$\dagger$" in capsys.readouterr().out


def test_one_run_against_two_has_a_difference_and_no_p(runs, capsys):
    for seed in range(2):
        runs(f"a{seed}", seed=seed, right=RIGHT)
    runs("b", strategy="adapter", right=[False] * 30 + RIGHT[30:])
    runs("c", strategy="scratch", right=[False] * 40 + RIGHT[40:])
    runs("d", strategy="scratch", seed=1, right=[False] * 50 + RIGHT[50:])
    rows = by_label(capsys, runs)
    assert float(rows["adapter"]["difference"]) == pytest.approx(-0.3)
    assert [rows["adapter"][name] for name in ("p_raw", "p_holm", "difference_low", "mark")] == ["", "", "", ""]
    # the comparison that is not made is not corrected for either
    assert rows["scratch"]["p_raw"] == rows["scratch"]["p_holm"] != ""
    assert rows["scratch"]["test_of"] == "paired seeds and examples"
    compare.main([str(runs.root)])
    assert "sst2: no p for adapter: of one run against two nobody knows" in capsys.readouterr().out


def test_test_examples_with_the_same_text_count_as_one(runs, capsys):
    runs("a", right=RIGHT)
    folder = runs("b", strategy="adapter", right=[False] * 6 + RIGHT[6:])
    assert float(by_label(capsys, runs)["adapter"]["p_raw"]) == pytest.approx(2 * 0.5**6)
    path = folder / "predictions" / "test.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    # of the six texts that only one has right three are the same; only one of the two runs says so
    told = [line | ({"repeats": 0} if line["id"] in {1, 2} else {}) for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in told))
    row = by_label(capsys, runs)["adapter"]
    # one cluster of three and three of one, all on one side: two of 2 ** 4 signs
    assert (float(row["p_raw"]), row["test_of"]) == (pytest.approx(2 / 16), "McNemar by text")
    assert float(row["difference"]) == pytest.approx(-0.06)
    compare.main([str(runs.root)])
    assert "Test examples with the same text count as one in p" in capsys.readouterr().out


def test_what_is_not_alike_is_neither_averaged_nor_tested(runs, capsys):
    runs("a", right=RIGHT)
    runs("b", seed=1, right=RIGHT, protocol="official")
    runs("c", seed=2, right=RIGHT, data={"train_examples": 2000, "version": "v2"})
    runs("d", seed=3, right=RIGHT, data={"train_examples": 200, "version": "v1"})
    rows = as_csv(capsys, runs, of=())
    assert [row["runs"] for row in rows] == ["1"] * 4
    assert sum(row["p_raw"] != "" for row in rows) == 1  # fewer rows of the same data
    compare.main([str(runs.root)])
    text = capsys.readouterr().out
    assert "different protocols (holdout, official)" in text
    assert "different data (v1, v2)" in text


def test_baselines_stay_and_what_is_below_them_is_marked(runs, capsys):
    runs("a", strategy="tfidf", encoder="-", test=0.92)
    runs("b", strategy="lora", test=0.9)
    runs("c", strategy="adapter", test=0.95)
    runs("d", strategy="tfidf", encoder="-", task="mrpc")
    assert {name: row["below_baseline"] for name, row in by_label(capsys, runs, "--strategy", "lora").items()} == {
        "tfidf": "",
        "lora": "tfidf",
    }
    sheet = sheets.group_sheet(read(runs.root))
    styles = {row.label: sheet.style(row) for row in sheet.rows if row.group.key.task == "sst2"}
    assert {name: style.strip() for name, style in styles.items()} == {"adapter": "bold", "tfidf": "", "lora": "red"}
    compare.main([str(runs.root), "--task", "sst2"])
    assert "▼ tfidf" in capsys.readouterr().out


def test_the_best_is_marked_in_every_format(runs, capsys):
    runs("a", right=RIGHT)
    runs("b", strategy="full_tuning", right=[False] * 2 + RIGHT[2:])
    found = {}
    for form in ("terminal", "markdown", "latex"):
        compare.main([str(runs.root), "--format", form])
        found[form] = capsys.readouterr().out
    stars = [line for line in found["terminal"].splitlines() if "★" in line]
    assert len(stars) == 3
    assert stars[-1] == "★ the best, or not shown to be worse than it at 5 %."
    assert "| **0.9000** |" in found["markdown"]
    assert "| 0.8800 |" in found["markdown"]
    assert r"\textbf{0.9000}" in found["latex"]
    assert r"full\_tuning" in found["latex"]
    assert found["latex"].count(r"$\star$") == 2
    assert found["latex"].count("% ★ the best, or not") == 1


def test_failed_runs_are_told_and_the_mean_without_them(runs, capsys):
    runs("a", test=0.9)
    runs(
        "b",
        seed=1,
        **{"test": 0.5, "per_class": {"no": {"recall": 0.0, "support": 5}, "yes": {"recall": 1.0, "support": 5}}},
    )
    runs("c", seed=2, test=None)
    folder = runs.root / "any" / "b" / "summary.json"
    folder.write_text(folder.read_text().replace('"collapsed": false', '"collapsed": true'))
    row = by_label(capsys, runs)["lora"]
    assert row["mark"] == "★, 1 of 3 collapsed, 1 of 3 failed"
    assert (float(row["primary"]), float(row["mean_without_failed"])) == (pytest.approx(0.7), 0.9)
    compare.main([str(runs.root)])
    text = capsys.readouterr().out
    assert "lora failed with seed 1, which is in its mean; without: 0.9000 over 1." in text
    # both of them sound: 0.8 squared
    assert (
        "lora fails now and then; if one run in five does, a 95 % interval over 2 seeds covers the mean in about 36 %"
        in text
    )


def test_equal_histories_of_different_seeds_are_told(runs, capsys):
    for seed in (0, 1, 2):
        folder = runs(f"s{seed}", seed=seed)
        (folder / "metrics.jsonl").write_text(
            '{"step": 1, "train/loss": 0.5}\n' if seed < 2 else '{"step": 1, "train/loss": 0.6}\n'
        )
    compare.main([str(runs.root)])
    text = capsys.readouterr().out
    assert "warning: lora_sst2/s0, lora_sst2/s1 have different seeds and the same history" in text


def test_settings_of_one_name_say_what_differs(runs, capsys):
    for name, rank in (("a", 8), ("b", 16)):
        folder = runs(name, setting=name)
        (folder / "config.yaml").write_text(f"model: {{init_args: {{r: {rank}, alpha: 16}}}}\n")
    assert set(by_label(capsys, runs)) == {"lora (r=8)", "lora (r=16)"}


def configured(runs, name, text, **changes):
    folder = runs(name, setting=name, **changes)
    (folder / "config.yaml").write_text(text)


def test_a_failed_run_is_in_no_name_but_its_own(runs, capsys):
    for name, rate in (("a", 0.1), ("b", 0.2)):
        configured(runs, name, f"model: {{lr: {rate}}}\ntrainer: {{accumulate_grad_batches: 1}}\n")
    configured(runs, "c", "model: {lr: 0.1}\ntrainer: {accumulate_grad_batches: 0}\n", test=None, status="failed")
    configured(runs, "d", "model: {lr: 0.1, odd: 7}\n", test=None, status="failed")
    found = by_label(capsys, runs)
    assert set(found) == {"lora (lr=0.1)", "lora (lr=0.2)", "lora (failed)", "lora (failed 2)"}
    assert found["lora (failed)"]["mark"] == "1 of 1 failed"


def test_names_have_neither_places_nor_the_inside_of_a_class(runs, capsys):
    adam = "{class_path: torch.optim.AdamW, init_args: {amsgrad: false, betas: [0.9, 0.999], eps: 1.0e-8}}"
    for name, optimizer, file in (
        ("a", adam, "/home/me/data/one.csv"),
        ("b", "{class_path: torch.optim.SGD, init_args: {momentum: 0.9}}", "/home/me/data/one.csv"),
        ("c", adam, "/home/me/data/two.csv"),
    ):
        tree = f"data: {{source: {{files: {{train: {file}}}}}}}\nmodel: {{init_args: {{optimizer: {optimizer}}}}}\n"
        configured(runs, name, tree)
    assert set(by_label(capsys, runs)) == {
        "lora (train=one.csv, optimizer=AdamW)",
        "lora (train=one.csv, optimizer=SGD)",
        "lora (train=two.csv, optimizer=AdamW)",
    }


def test_unfinished_runs_can_be_left_out_but_not_in_silence(runs, capsys):
    runs("a")
    runs("b", seed=1, test=None, status="failed")
    runs("c", strategy="adapter", test=None, status="running")
    for arguments in ((), ("--runs",)):
        compare.main([str(runs.root), "--finished", *arguments])
        text = capsys.readouterr().out
        assert "left out by --finished: 1 failed, 1 running." in text
        assert "adapter" not in text
    compare.main([str(runs.root)])
    text = capsys.readouterr().out
    assert "adapter" in text
    assert "left out" not in text
    with pytest.raises(TransferlabError, match="none of 2 runs is finished"):
        reading.finished([{"status": "failed"}, {"status": "running"}])


def test_the_number_of_test_examples_stays_where_it_differs():
    def shown(counts):
        found = [summary(strategy=f"s{n}", test=0.5 + n / 10) for n in range(len(counts))]
        tests = [one | {"test": {"examples": count}} for one, count in zip(found, counts, strict=True)]
        return [column.name for column in render.fitting(sheets.group_sheet(tests), 40)]

    assert "test_examples" in shown((40, 872))
    assert "test_examples" not in shown((872, 872))


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
