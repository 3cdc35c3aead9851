"""Claims from hand-written run folders with known numbers."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
from scipy import stats

from transferlab.analysis.claims import command, effects, evidence, grid, page, rows, table
from transferlab.analysis.claims.effects import Effect, combine, judge
from transferlab.ground.errors import TransferlabError

ROOT = Path(__file__).parents[1]
FULL = ["--root", "runs", "--grid", "full"]
HEAVY = ("torch", "lightning", "transformers", "datasets", "sklearn", "numpy", "pandas", "scipy")


@pytest.fixture
def write(tmp_path):
    """Writes the folder of a run: strategy, seed, test score, and what else differs."""

    def add(strategy, seed, score, sweep="sst2", task="sst2", size=2000, log=(), predictions=(), probe=None, **changes):
        folder = tmp_path / "runs" / f"{strategy}_{task}" / f"{sweep}-n{size}-s{seed}"
        (folder / "predictions").mkdir(parents=True)
        summary = {
            "experiment": f"{strategy}_{task}",
            "task": task,
            "kind": "classification",
            "labels": ["bad", "good"],
            "strategy": strategy,
            "seed": seed,
            "tags": [sweep],
            "primary": "accuracy",
            "protocol": "holdout",
            "encoder": "all-MiniLM-L6-v2",
            "setting": f"{strategy}-{size}",
            "data": {"version": "1", "train_examples": size},
            "params": {"total": 1000, "trainable": 10, "trainable_pct": 1.0},
            "metrics": {} if score is None else {"test/accuracy": score},
            "perf": {"wall_s": 60.0, "steps": 50},
            "status": "failed" if score is None else "finished",
        } | changes
        (folder / "summary.json").write_text(json.dumps(summary))
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in log))
        (folder / "predictions" / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in predictions))
        if probe is not None:
            found = {"stsb": {"difference": {"mean": probe}, "drift": [{"cosine_distance": 0.0}]}}
            (folder / "forgetting.json").write_text(json.dumps({"probes": found}))

    add.root = tmp_path / "runs"
    return add


def row_of(name, *words):
    """The one row of a claim whose text has these words."""
    claim = next(claim for claim in table.CLAIMS if claim.name == name)
    found = [row for row in claim.rows if all(word in row.text for word in words)]
    assert len(found) == 1, [row.text for row in found]
    return found[0]


def measured(write, row):
    return rows.find(row, grid.load(write.root))


def test_a_difference_is_taken_seed_by_seed(write):
    # seeds differ by 10 points, strategies by 3, 4 and 5: unpaired, nothing would be seen
    for seed, base in enumerate((0.60, 0.70, 0.80)):
        write("feature_extraction", seed, base)
        write("full_finetuning", seed, base + 0.03 + 0.01 * seed)
    write("full_finetuning", 3, 0.99)
    found = measured(write, row_of("fine_tuning", "SST-2: `full_finetuning` over"))
    low, high = stats.t.interval(0.95, 2, 4, stats.sem([3, 4, 5]))
    assert found.effect[:4] == pytest.approx((4, low, high, 3))
    assert found.verdict == "supported"
    assert "3 of 5 seeds of feature_extraction" in found.note


def test_a_gain_is_taken_over_the_same_strategy_of_another_sweep(write):
    for seed, (plain, steady) in enumerate([(0.50, 0.60), (0.60, 0.61), (0.70, 0.62)]):
        write("full_finetuning", seed, plain, sweep="sst2_plain")
        write("full_finetuning", seed, steady, sweep="sst2_steady")
    found = measured(write, row_of("steady", "SST-2: gain of `full_finetuning` with R-Drop"))
    low, high = stats.t.interval(0.95, 2, 1, stats.sem([10, 1, -8]))
    assert found.effect[:4] == pytest.approx((1, low, high, 3))
    spread = measured(write, row_of("steady", "SST-2: spread over seeds without")).effect
    # distances from the median: 10, 0, 10 and 1, 0, 1
    assert spread.value == pytest.approx(20 / 3 - 2 / 3)
    assert "3 of 10 seeds of full_finetuning" in found.note


def test_a_gain_tells_which_sweep_is_missing(write):
    write("full_finetuning", 0, 0.6, sweep="sst2_steady")
    found = measured(write, row_of("steady", "SST-2: gain of `full_finetuning` with R-Drop"))
    assert (found.verdict, found.note) == ("not run", "no finished run of full_finetuning of `sst2_plain`")
    claim = next(claim for claim in table.CLAIMS if claim.name == "steady")
    assert claim.sweeps == ("sst2_steady", "sst2_plain")


def curve(steps, scores):
    """Lines of metrics.jsonl: the untrained head at step 0, a validation at each of the steps, the test behind them."""
    lines = [{"step": 0, "val/primary": 0.99}]
    lines += [{"step": step - 1, "val/primary": score} for step, score in zip(steps, scores, strict=True)]
    return [*lines, {"step": 50, "val/primary": 1.0, "test/accuracy": 0.5}]


def test_convergence_counts_steps_until_most_of_what_scratch_reaches(write):
    for seed in (0, 1):
        log = curve((10, 20, 30, 40, 50), (0.5, 0.6, 0.65, 0.79, 0.8))
        write("from_scratch", seed, 0.7, log=log, before={"val/primary": 0.5})
        write("full_finetuning", seed, 0.9, log=curve((5, 10, 20), (0.6, 0.7, 0.9) if seed else (0.6, 0.79, 0.9)))
    write("from_scratch", 2, 0.5, log=curve((10, 50), (0.5, 0.5)), before={"val/primary": 0.5})
    write("full_finetuning", 2, 0.9, log=curve((10, 50), (0.8, 0.9)))
    found = measured(write, row_of("convergence", "SST-2", "full_finetuning"))
    # 0.5 + 95 % of 0.3 is 0.785: after 40 steps, against 10 and 20; the third learned nothing from scratch
    assert found.effect.n == 2
    assert found.effect.bound == ""
    assert found.effect.value == pytest.approx(math.sqrt(4 * 2))
    low, high = stats.t.interval(0.95, 1, math.log(8) / 2, stats.sem([math.log(4), math.log(2)]))
    assert (found.effect.low, found.effect.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_where_the_first_validation_is_enough_the_speed_is_a_bound(write):
    for seed in range(3):
        write("from_scratch", seed, 0.7, log=curve((10, 20, 30), (0.5, 0.6, 0.8)))
        write("full_finetuning", seed, 0.9, log=curve((10, 20, 30), (0.85, 0.9, 0.9)))
    found = measured(write, row_of("convergence", "SST-2", "full_finetuning"))
    assert (found.effect.bound, found.effect.value, found.verdict) == (">=", pytest.approx(3), "supported")


def test_a_curve_that_never_gets_there_is_a_bound_and_cannot_support(write):
    for seed in range(3):
        write("from_scratch", seed, 0.7, log=curve((10, 50), (0.8, 0.8)))
        write("feature_extraction", seed, 0.6, log=curve((10, 50), (0.5, 0.6)))
    found = measured(write, row_of("convergence", "SST-2", "feature_extraction"))
    assert found.effect.bound == "<="
    assert found.effect.value == pytest.approx(10 / 50)
    assert found.verdict == "not supported"
    assert judge(Effect(3, 2, 4, 3, "<="), 1) == "undecided"


def test_the_label_multiplier(write):
    for seed in range(3):
        for size, pretrained, scratch in ((10, 0.5, 0.5), (100, 0.6, 0.5), (1000, 0.9, 0.5), (5000, 0.9, 0.7)):
            write("full_finetuning", seed, pretrained, "sst2_labels", size=size)
            write("feature_extraction", seed, pretrained + 0.2, "sst2_labels", size=size)
            write("from_scratch", seed, scratch, "sst2_labels", size=size)
    found = measured(write, row_of("label_efficiency", "SST-2", "`full_finetuning`", "with 100"))
    # 0.6 lies half-way between the scores of 1,000 and 5,000 labels, in logarithms
    assert found.effect[:3] == pytest.approx((math.sqrt(1000 * 5000) / 100,) * 3)
    assert (found.effect.n, found.effect.bound, found.verdict) == (3, "", "supported")
    found = measured(write, row_of("label_efficiency", "SST-2", "`feature_extraction`", "with 100"))
    assert (found.effect.value, found.effect.low, found.effect.bound) == (50, 50, ">=")
    assert (found.verdict, page.shown(found.effect, "times")) == ("supported", "≥ 50.0 times [50.0, ∞]")
    assert measured(write, row_of("label_efficiency", "SST-2", "`full_finetuning`", "with 50,")).verdict == "not run"


def test_overfitting_is_test_loss_less_training_loss(write):
    log = [{"step": n, "train/loss": loss} for n, loss in enumerate((1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1))]
    rows_ = [{"label": "good", "scores": [0.5, 0.5]}, {"label": "bad", "scores": [0.25, 0.75]}]
    for seed in (0, 1):
        write("full_finetuning", seed, 0.8, "sst2_labels", size=100, log=log, predictions=rows_)
        flat = [{"step": 1, "train/loss": 0.5}]
        write("full_finetuning", seed, 0.8, "sst2_labels", size=5000, log=flat, predictions=rows_)
    loss = (math.log(2) + math.log(4)) / 2
    found = measured(write, row_of("fine_tuning", "less its training loss"))
    assert found.effect.value == pytest.approx(loss - 0.15)
    found = measured(write, row_of("fine_tuning", "less that with the most labels"))
    assert found.effect.value == pytest.approx(0.35)
    assert measured(write, row_of("fine_tuning", "less that of `feature_extraction`")).verdict == "not run"


def test_cost_share_and_size(write):
    for seed, factor in enumerate((2.0, 8.0)):
        write("feature_extraction", seed, 0.8, perf={"wall_s": 10.0})
        perf, params = {"wall_s": 10 * factor}, {"total": 200, "trainable_pct": 100}
        write("full_finetuning", seed, 0.9, perf=perf, params=params)
        write("lora", seed, 0.9, params={"total": 200, "trainable_pct": 1.45})
        write("distillation", seed, 0.81, params={"total": 150, "trainable_pct": 100})
    assert measured(write, row_of("feature_extraction", "SST-2: time")).effect.value == pytest.approx(4)
    share = measured(write, row_of("peft", "parameters of `lora`"))
    assert (share.effect.value, share.verdict) == (1.45, "not supported")
    kept = measured(write, row_of("distillation", "score of the student"))
    assert kept.effect.value == pytest.approx(90)
    size = measured(write, row_of("distillation", "parameters of the student"))
    assert (size.effect.value, size.verdict) == (75, "not supported")


def test_features_that_another_seed_computed_are_paid_for_all_the_same(write):
    for seed in (0, 1):
        write("full_finetuning", seed, 0.8, perf={"wall_s": 60.0})
    first = ["features of 9 rows, computed in 20.0 s, 1 MB"]
    write("feature_extraction", 0, 0.8, perf={"wall_s": 30.0}, frozen_work=first)
    write("feature_extraction", 1, 0.8, perf={"wall_s": 10.0}, frozen_work=["features of 9 rows, read from disk, 1 MB"])
    assert measured(write, row_of("feature_extraction", "SST-2: time")).effect[:3] == pytest.approx((2, 2, 2))


def test_spread_is_that_of_brown_and_forsythe():
    wide, narrow = [0.70, 0.80, 0.95, 0.60, 0.75], [0.80, 0.81, 0.79, 0.80, 0.82]
    found = effects.spread_difference(wide, narrow)
    p = stats.levene(wide, narrow, center="median").pvalue
    half = found.high - found.value
    t = found.value / (half / stats.t.ppf(0.975, 8))
    assert 2 * stats.t.sf(t, 8) == pytest.approx(p, rel=1e-6)
    assert effects.spread_difference([1, 2], [1, 2, 3]) is None


def test_forgetting_is_read_from_the_run(write):
    for seed, lost in enumerate((-0.10, -0.12, -0.11)):
        write("feature_extraction", seed, 0.8, probe=0.0)
        write("full_finetuning", seed, 0.8, probe=lost)
    frozen = measured(write, row_of("feature_extraction", "loses by `feature_extraction`"))
    assert (frozen.effect, frozen.verdict) == (Effect(0, 0, 0, 3), "supported")
    tuned = measured(write, row_of("feature_extraction", "loses by `full_finetuning`"))
    assert tuned.effect.value == pytest.approx(11)
    assert tuned.verdict == "supported"


def test_what_was_not_probed_is_said(write):
    write("feature_extraction", 0, 0.8)
    found = measured(write, row_of("feature_extraction", "loses by `feature_extraction`"))
    assert (found.verdict, found.note) == ("not run", "`transferlab forgetting` was not run on them")


@pytest.mark.parametrize(
    ("effect", "threshold", "at_most", "verdict"),
    [
        (Effect(2, 1, 3, 5), 0, False, "supported"),
        (Effect(2, -1, 5, 5), 0, False, "undecided"),
        (Effect(-2, -3, -1, 5), 0, False, "not supported"),
        (Effect(0, 0, 0, 5), 0, False, "not supported"),
        (Effect(0, 0, 0, 5), 0, True, "supported"),
        (Effect(2, 1, 3, 5), 0, True, "not supported"),
        (Effect(9, None, None, 1), 0, False, "undecided"),
        (None, 0, False, "not run"),
    ],
)
def test_the_rule_for_a_number(effect, threshold, at_most, verdict):
    assert judge(effect, threshold, at_most) == verdict


def test_the_rule_for_a_claim():
    assert combine(["not run", "not run"]) == "not run"
    assert combine(["supported", "not run"]) == "supported"
    assert combine(["supported", "undecided"]) == "partly"
    assert combine(["supported", "not supported"]) == "partly"
    assert combine(["undecided", "not supported"]) == "not supported"
    assert combine(["undecided", "not run"]) == "undecided"


@pytest.fixture
def pages(tmp_path, monkeypatch):
    """A copy of the repository's pages, in a folder to run in."""
    (tmp_path / "docs").mkdir()
    for name in ("docs/claims.md", "docs/results.md", "README.md"):
        (tmp_path / name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_is_written_between_its_markers_and_the_same_again(write, pages, capsys):
    for seed in range(5):
        write("lora", seed, 0.89 + seed / 1000, params={"trainable_pct": 0.4, "total": 9})
        write("full_finetuning", seed, 0.89 + seed / 1000)
    write("bitfit", 0, None)
    prose = (pages / "docs" / "claims.md").read_text().partition("## Limits")[2].partition("## Conv")[0]
    command.main([*FULL, "--readme"])
    text = (pages / "docs" / "claims.md").read_text()
    assert prose in text
    assert "| SST-2: `lora` over `full_finetuning` | `sst2` | 0.0 points | > -1.0 | 5 | supported |" in text
    assert "| 0.40 % | ≤ 1.00 % | 5 | supported |" in text
    assert "- `sst2`: no finished run of bitfit." in text
    assert "under 1 % of the parameters. | **supported** (of 8 numbers: 2 supported, 6 not run) |" in text
    assert "peft: supported" in capsys.readouterr().out
    readme, results = (pages / "README.md").read_text(), (pages / "docs" / "results.md").read_text()
    best = "| SST-2 accuracy | `full_finetuning` | all-MiniLM-L6-v2 | 2,000 | 5 | 89.2 [89.0, 89.4] | best | 1.00 % | 60 s |"
    for text in (readme, results):
        assert "| Task | Strategy | Model | Training examples | Seeds | Test score [95 % interval] |" in text
        assert best in text
        assert "| `bitfit` | all-MiniLM-L6-v2 | 2,000 | 1 failed | no result |" in text
    assert "not run: `transferlab sweep mrpc`" in results
    assert "sweep mrpc`" not in readme
    written = (pages / "docs" / "claims.md").read_text()
    command.main([*FULL, "--readme"])
    assert (pages / "docs" / "claims.md").read_text() == written
    assert (pages / "README.md").read_text() == readme


def test_one_claim_leaves_the_others_alone(write, pages):
    write("lora", 0, 0.9)
    before = (pages / "docs" / "claims.md").read_text()
    command.main([*FULL, "--claim", "peft"])
    after = (pages / "docs" / "claims.md").read_text()
    name = "<!-- distillation: written"
    assert before.partition(name)[2] == after.partition(name)[2]
    assert "1.00 %" in after.partition("<!-- peft")[2].partition("<!-- end")[0]


def test_a_cell_with_two_settings_counts_the_fuller_one(write):
    for seed in range(3):
        write("lora", seed, 0.9)
    write("lora", 7, 0.1, setting="another")
    found = grid.load(write.root).group("sst2", "sst2", "lora")
    assert found.seeds == (0, 1, 2)


@pytest.mark.parametrize("size", grid.GRIDS)
def test_every_row_names_a_sweep_that_has_its_cells(size):
    from transferlab.config import grids as spec

    for claim in table.CLAIMS:
        for row in claim.rows:
            sweep = spec.read(ROOT / "configs" / "sweep" / f"{grid.Grid((), size).tag(row.sweep)}.yaml", ROOT)
            assert set(row.needs) <= set(sweep.strategies)
            assert row.task in sweep.tasks
            assert row.size is None or row.size in sweep.train_examples


def test_mistakes_are_one_line(write, pages):
    with pytest.raises(TransferlabError, match="no run of the sweeps conll2003, "):
        command.main(FULL)
    # runs of other sweeps say nothing of the claims
    before = (pages / "docs" / "claims.md").read_text()
    write("lora", 7, 0.9, sweep="demo")
    with pytest.raises(TransferlabError, match="no run of the sweeps"):
        command.main(FULL)
    assert (pages / "docs" / "claims.md").read_text() == before
    write("lora", 0, 0.9)
    with pytest.raises(TransferlabError, match="did you mean 'peft'"):
        command.main(["--claim", "pefd"])
    (pages / "docs" / "claims.md").write_text("nothing")
    with pytest.raises(TransferlabError, match="lacks the lines"):
        command.main(FULL)
    with pytest.raises(TransferlabError, match="cannot read"):
        command.main([*FULL, "--page", "elsewhere.md"])


def test_nothing_slow_is_imported():
    code = f"import sys, transferlab.analysis.claims.command; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_numbers_for_people():
    assert page.shown(None, "points") == "\N{EN DASH}"
    assert page.shown(Effect(4.04, 1, 7, 3), "points") == "+4.0 points [+1.0, +7.0]"
    assert (
        page.shown(
            Effect(4, None, None, 1),
            "times",
        )
        == "4.0 times (one seed)"
    )
    assert page.shown(Effect(0.2, 0.1, 0.3, 3, "<="), "times") == "≤ 0.2 times [0.1, 0.3]"
    assert page.number(-0.01, "points") == "0.0"


# the kept runs ------------------------------------------------------------------------------------------------------

PAGES = ("docs/claims.md", "docs/results.md", "README.md")


def rich(write, sweep="sst2"):
    """Runs with all that a page is made of, and with places of a machine that may not be kept."""
    for seed in range(3):
        log = [*curve((10, 20, 50), (0.6, 0.7, 0.7 + seed / 50)), {"step": 50, "train/loss": 0.25, "lr": 1.0}]
        for strategy, wrong in (("full_finetuning", 3), ("from_scratch", 8), ("feature_extraction", 5 + seed)):
            lines = [
                {"id": n, "label": "good" if n % 2 else "bad", "scores": [0.75, 0.25], "text": "/secret/text"}
                | {"prediction": "good" if (n % 2) != (n < wrong) else "bad", "loss": 0.5}
                for n in range(20)
            ]
            changes = {
                "log": log,
                "before": {"val/primary": 0.5},
                "weights": "local folder /secret/weights",
                "data": {"version": "1", "train_examples": 2000, "origin": "/secret/data"},
                "test": {"examples": 20, "collapsed": False},
                "predictions": lines,
                "probe": -seed / 100,
            }
            write(strategy, seed, 1 - wrong / 20, sweep, **changes)
    write("lora", 0, None, sweep, error="loss is nan in /secret/file.py")
    for folder in write.root.glob("*/*"):
        machine = {"python": "3", "packages": {"torch": "2"}, "command": ["/secret"], "hardware": {"processor": "P"}}
        (folder / "environment.json").write_text(json.dumps(machine))
        tree = "trainer: {max_epochs: 3}\ndata: {init_args: {batch_size: 8}}\nrun: {root: /secret/runs}\n"
        (folder / "config.yaml").write_text(tree)


def written(pages, *arguments):
    command.main([*arguments, "--readme"])
    return {name: (pages / name).read_text(encoding="utf-8") for name in PAGES}


def test_kept_runs_give_the_same_pages(write, pages, monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(pages / "cache"))
    rich(write)
    before = written(pages, *FULL)
    assert "| `sst2` | 10 | all-MiniLM-L6-v2 (0.0M) | 2,000 | 0, 1, 2 | 20 |" in before["docs/claims.md"]
    assert "| `lora` | all-MiniLM-L6-v2 | 2,000 | 1 failed | no result |" in before["README.md"]
    after = written(pages, "--pack", "runs", "--grid", "full")
    assert after == before
    kept = (pages / "docs" / "evidence" / "sst2.tar.xz").read_bytes()
    # without the runs, as in a fresh checkout; and the same runs give the same bytes
    write.root.rename(pages / "elsewhere")
    assert written(pages, "--grid", "full") == before
    command.main(["--pack", "elsewhere", "--grid", "full"])
    assert (pages / "docs" / "evidence" / "sst2.tar.xz").read_bytes() == kept
    (pages / "docs" / "evidence" / "sst2.tar.xz").write_bytes(kept[: len(kept) // 2])
    with pytest.raises(TransferlabError, match="sst2.tar.xz is damaged"):
        command.main(["--grid", "full"])


def test_kept_runs_are_run_directories_without_places(write, pages, capsys):
    from transferlab.analysis.comparison.command import main as compare
    from transferlab.record import setting

    rich(write)
    evidence.pack(write.root, pages / "kept", ["sst2"])
    command.main(["--unpack", "all", "--evidence", "kept"])
    files = [path for path in (pages / "all").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {
        *("summary.json", "config.yaml", "environment.json", "metrics.jsonl", "test.jsonl", "forgetting.json")
    }
    assert not [path for path in files if "secret" in path.read_text()]
    for folder in write.root.glob("*/*"):
        copy = pages / "all" / folder.relative_to(write.root)
        assert setting.deciding(setting.of_folder(copy)) == setting.deciding(setting.of_folder(folder)) != {}
    capsys.readouterr()
    for root in ("runs", "all"):
        compare([root, "--format", "csv"])
    printed = capsys.readouterr().out.splitlines()
    assert printed[: len(printed) // 2] == printed[len(printed) // 2 :]
    with pytest.raises(TransferlabError, match="is not empty"):
        command.main(["--unpack", "all", "--evidence", "kept"])
    with pytest.raises(TransferlabError, match="no archives of runs"):
        command.main(["--evidence", "nowhere"])
    with pytest.raises(TransferlabError, match="--pack: no run of sst2_small, "):
        command.main(["--pack", "docs"])


def test_the_pages_of_the_repository_are_what_its_kept_runs_say(pages, monkeypatch, session_environment):
    kept = evidence.archives(ROOT / "docs" / "evidence")
    assert 0 < sum(path.stat().st_size for path in kept) < 5e6
    command.main(["--evidence", str(ROOT / "docs" / "evidence"), "--readme"])
    for name in PAGES:
        assert (pages / name).read_text(encoding="utf-8") == (ROOT / name).read_text(encoding="utf-8"), name
    for path in evidence.opened(ROOT / "docs" / "evidence").rglob("*.*"):
        if path.suffix in {".json", ".yaml"}:
            assert not re.search(r'"(local folder )?/', path.read_text(encoding="utf-8")), path
