import math
import random
import statistics

import pytest
import scipy.stats

from transferlab.analysis.comparison import distributions
from transferlab.analysis.comparison.groups import estimate, faults, group
from transferlab.record.setting import deciding, fingerprint


def summary(seed=0, score=0.9, **changes):
    return {
        "run": f"r{seed}",
        "task": "sst2",
        "strategy": "lora",
        "encoder": "minilm",
        "seed": seed,
        "primary": "accuracy",
        "protocol": "holdout",
        "kind": "classification",
        "setting": "abc",
        "data": {"train_examples": 2000, "version": "v1"},
        "metrics": {} if score is None else {"val/accuracy": score, "test/accuracy": score},
        "status": "running" if score is None else "finished",
    } | changes


@pytest.mark.parametrize("df", [1, 2, 2.7, 9, 31.5, 400, math.inf])
def test_the_t_distribution_is_that_of_scipy(df):
    for t in (0.0, 0.3, -1.7, 2.9, 40.0):
        assert distributions.t_tail(t, df) == pytest.approx(2 * scipy.stats.t.sf(abs(t), df), rel=1e-9, abs=1e-15)
    if math.isfinite(df):
        assert distributions.t_quantile(df, 0.9) == pytest.approx(scipy.stats.t.ppf(0.95, df), rel=1e-8)


@pytest.mark.parametrize(("wins", "losses"), [(0, 0), (1, 0), (7, 7), (3, 11), (40, 20), (812, 901)])
def test_the_sign_test_is_the_binomial_test_of_scipy(wins, losses):
    wanted = scipy.stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert distributions.sign_test(wins, losses) == pytest.approx(wanted, rel=1e-9)


def test_an_estimate_is_the_interval_of_scipy():
    generator = random.Random(3)
    for n in (2, 3, 5, 20):
        values = [generator.gauss(0.8, 0.03) for _ in range(n)]
        found = estimate(values)
        low, high = scipy.stats.t.interval(
            0.95, n - 1, statistics.fmean(values), statistics.stdev(values) / math.sqrt(n)
        )
        assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), n)
    assert estimate([0.5]) == (0.5, None, None, None, 1)
    assert estimate([]) is None


@pytest.mark.parametrize(
    "other",
    [
        {"task": "mrpc"},
        {"protocol": "official"},
        {"encoder": "bert"},
        {"strategy": "dora"},
        {"setting": "abd"},
        {"primary": "matthews"},
        {"data": {"train_examples": 200, "version": "v1"}},
        {"data": {"train_examples": 2000, "version": "v2"}},
    ],
)
def test_only_runs_of_one_setting_are_averaged(other):
    second = summary(2, 0.4, **other)
    second["metrics"][f"test/{second['primary']}"] = 0.4
    assert [g.seeds for g in group([summary(0, 0.8), second, summary(1, 0.9)])] == [(0, 1), (2,)]


def test_of_two_runs_with_one_seed_the_later_one_counts():
    found = group([summary(0, 0.9, run="20260102"), summary(0, 0.1, run="20260101"), summary(1, 0.7)])[0]
    assert (found.seeds, len(found.runs), found.score.n) == ((0, 1), 3, 2)
    assert found.score.mean == pytest.approx(0.8)


def test_failed_runs_are_kept_and_told():
    collapsed = summary(1, 0.5, test={"collapsed": True, "not_finite": 0})
    stopped = summary(2, None)
    broken = summary(3, 0.5, test={"collapsed": False, "not_finite": 4})
    found = group([summary(0, 0.9), collapsed, stopped, broken])[0]
    assert [faults(run) for run in found.runs] == [[], ["collapsed"], ["running"], ["NaN"]]
    assert (found.score.mean, found.sound.mean, found.seeds) == (pytest.approx(0.7), 0.9, (0, 1))
    assert faults(summary(0, None, status="failed", error="TransferlabError: The training loss is nan at step 3")) == [
        "NaN"
    ]


@pytest.mark.parametrize(
    ("kind", "rows", "wanted"),
    [
        ("classification", [(0.0, 30), (1.0, 70)], ["collapsed"]),
        ("classification", [(0.1, 30), (0.9, 70)], ["no better than the majority"]),
        ("classification", [(0.5, 30), (0.9, 70)], []),
        ("tagging", [(0.0, 30), (0.0, 70)], ["collapsed"]),
        ("tagging", [(0.0, 30), (0.1, 70)], []),
    ],
)
def test_an_older_run_is_judged_by_its_classes(kind, rows, wanted):
    per_class = {str(n): {"recall": recall, "support": count} for n, (recall, count) in enumerate(rows)}
    assert faults(summary(0, 0.7, kind=kind, per_class=per_class)) == wanted
    assert faults(summary(0, 0.7, kind=kind, per_class=per_class, encoder="-")) == []


def test_a_setting_is_what_decides_the_result(tmp_path):
    tree = {
        "seed_everything": 0,
        "run": {"root": "a", "experiment": "x"},
        "trainer": {"max_epochs": 3, "logger": {"class_path": "W"}, "max_time": None},
        "model": {"init_args": {"method": {"init_args": {"r": 8}}, "teacher": None}},
    }
    assert deciding(tree) == {"trainer.max_epochs": 3, "model.init_args.method.init_args.r": 8}
    other = {**tree, "seed_everything": 1, "run": {"root": "b"}, "trainer": {"max_epochs": 3, "logger": False}}
    assert fingerprint(other) == fingerprint(tree)
    assert fingerprint({**tree, "trainer": {"max_epochs": 4}}) != fingerprint(tree)


def test_a_teacher_stands_for_its_setting(tmp_path):
    names = {}
    for name, setting in (("s0", "abc"), ("s1", "abc"), ("larger", "xyz")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "summary.json").write_text(f'{{"setting": "{setting}"}}')
        names[name] = fingerprint({"model": {"init_args": {"teacher": str(folder)}}})
    assert names["s0"] == names["s1"] != names["larger"]


def test_an_older_run_is_known_by_its_configuration(tmp_path):
    for name, rank in (("a", 8), ("b", 8), ("c", 16)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(f"seed_everything: {ord(name)}\nmodel: {{r: {rank}}}\n")
    runs = [summary(n, 0.9, setting=None, folder=str(tmp_path / name)) for n, name in enumerate("abc")]
    assert [g.seeds for g in group(runs)] == [(0, 1), (2,)]
