import json
import math
import re

import numpy as np
import pytest

from transferlab.analysis.comparison import curve, labels
from transferlab.ground.errors import TransferlabError

REFERENCE = {10: {0: 0.5, 1: 0.5}, 100: {0: 0.6, 1: 0.6}, 1000: {0: 0.8, 1: 0.8}}


@pytest.mark.parametrize(
    ("wanted", "count"),
    [(0.5, 10), (0.55, 10**1.5), (0.6, 100), (0.7, 10**2.5), (0.8, 1000), (0.81, math.inf), (0.49, 0)],
)
def test_labels_needed_are_linear_in_the_logarithm(wanted, count):
    assert labels.needed([10, 100, 1000], [0.5, 0.6, 0.8], wanted) == pytest.approx(count)


def test_the_first_of_equal_values_is_enough():
    assert labels.needed([10, 100, 1000], [0.5, 0.6, 0.6], 0.6) == pytest.approx(100)


def test_monotone_pools_what_falls():
    assert labels.monotone([1, 2, 3, 4], [0.1, 0.5, 0.3, 0.9], [1, 1, 1, 1]).tolist() == pytest.approx(
        [0.1, 0.4, 0.4, 0.9]
    )
    assert labels.monotone([1, 2, 3], [0.1, 0.5, 0.2], [1, 1, 2]).tolist() == pytest.approx([0.1, 0.3, 0.3])
    with pytest.raises(ValueError, match="ascend"):
        labels.monotone([2, 1], [0.1, 0.2], [1, 1])


def test_monotone_is_that_of_scikit_learn():
    from sklearn.isotonic import IsotonicRegression

    generator = np.random.default_rng(3)
    for _ in range(20):
        values, weights = generator.normal(size=9), generator.integers(1, 5, 9)
        expected = IsotonicRegression().fit(np.arange(9), values, weights).predict(np.arange(9))
        assert labels.monotone(range(9), values, weights) == pytest.approx(expected)


def test_a_method_with_a_tenth_of_the_labels_counts_tenfold():
    method = {n // 10: runs for n, runs in REFERENCE.items()}
    for size in method:
        found = labels.equivalent(method, REFERENCE, size, draws=50)
        assert (found.number, found.low, found.high) == pytest.approx((10 * size,) * 3)
        assert labels.text(found, size) == f"{10 * size:,} (10x; 10x to 10x)"


def test_what_is_never_reached_is_more_than_the_largest():
    found = labels.equivalent({50: {0: 0.9, 1: 0.7}}, REFERENCE, 50)
    # 0.8 on average, reached at 1,000; with seed 0 twice never, with seed 1 twice at 10 ** 2.5
    assert found.number == pytest.approx(1000)
    assert (found.low, found.high) == (pytest.approx(10**2.5), math.inf)
    assert labels.text(found, 50) == "1,000 (20x; 6.3x to above 20x)"
    never = labels.equivalent({50: {0: 0.9, 1: 0.9}}, REFERENCE, 50)
    assert labels.text(never, 50) == "more than 1,000 (more than 20x)"
    always = labels.equivalent({50: {0: 0.4, 1: 0.4}}, REFERENCE, 50)
    assert labels.text(always, 50) == "fewer than 10 (less than 0.2x)"


def test_seeds_are_drawn_together():
    # both move with the seed, so that their ratio does not
    shifted = {n: {seed: value + 0.1 * seed for seed, value in runs.items()} for n, runs in REFERENCE.items()}
    found = labels.equivalent({5: {0: 0.55, 1: 0.65}}, shifted, 5)
    assert (found.low, found.high) == pytest.approx((10**1.5, 10**1.5))


def runs(root, strategy, encoder, results, tag="grid"):
    for size, values in results.items():
        for seed, value in enumerate(values):
            folder = root / f"{strategy}_t" / f"{tag}-n{size}-s{seed}"
            folder.mkdir(parents=True)
            summary = {
                "experiment": f"{strategy}_t",
                "task": "t",
                "strategy": strategy,
                "encoder": encoder,
                "seed": seed,
                "primary": "accuracy",
                "protocol": "holdout",
                "status": "finished",
                "setting": f"{strategy}{size}{tag}",
                "tags": [tag],
                "data": {"train_examples": size, "origin": "here"},
                "metrics": {"test/accuracy": value},
            }
            (folder / "summary.json").write_text(json.dumps(summary))


@pytest.fixture
def root(tmp_path):
    runs(tmp_path, "lora", "mini", {10: (0.6, 0.6), 100: (0.8, 0.8)})
    runs(tmp_path, "from_scratch", "mini-random", {10: (0.5, 0.5), 100: (0.6, 0.6), 1000: (0.7, 0.7)})
    runs(tmp_path, "tfidf_logreg", "-", {10: (0.5, 0.5), 1000: (0.7, 0.7)})
    return tmp_path


def test_the_tables(root, capsys):
    curve.main([str(root)])
    shown = capsys.readouterr().out
    assert "| lora | 0.600 ± 0.000 | 0.800 ± 0.000 |  |" in shown
    scratch, tfidf = re.findall(r"Labels that (\w+) needs.*?\n\n.*\n.*\n(\| lora .*)", shown)
    assert scratch == ("from_scratch", "| lora | 100 (10x; 10x to 10x) | more than 1,000 (more than 10x) |")
    assert tfidf == ("tfidf_logreg", "| lora | 100 (10x; 10x to 10x) | more than 1,000 (more than 10x) |")


def test_of_two_settings_that_with_more_seeds_is_shown_and_said(root, capsys):
    runs(root, "lora", "mini", {10: (0.9,)}, tag="other")
    curve.main([str(root)])
    shown = capsys.readouterr().out
    assert "| lora | 0.600" in shown
    assert "Of several settings" in shown
    assert "lora with 10 examples" in shown
    curve.main([str(root), "--tag", "grid"])
    assert "Of several settings" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--task", "tt"], "no run with task 'tt' .*'t'"),
        (["--tag", "gird"], "no run with tag 'gird' .*'grid'"),
        (["--tag", "sst2_labels"], "has not been run: make sweep SWEEP=sst2_labels$"),
        (["--tag", "demo_labels"], "several numbers of training examples: imdb_labels, .*sst2_labels"),
        (["--reference", "scratch"], "no 'scratch' .*'from_scratch'"),
        (["--picture", "x.jpg"], "must end in one of"),
    ],
)
def test_mistakes(root, arguments, message):
    with pytest.raises(TransferlabError, match=message):
        curve.main([str(root), *arguments])


def test_no_runs(tmp_path):
    with pytest.raises(TransferlabError, match="no runs under .*: .*sst2_labels, sst2_labels_small"):
        curve.main([str(tmp_path)])
    with pytest.raises(TransferlabError, match=r"no runs under .*examples: imdb_labels, imdb_labels_small\."):
        curve.main([str(tmp_path), "--task", "imdb"])


def test_runs_without_their_sweep(tmp_path):
    runs(tmp_path, "lora", "mini", {10: (0.5, 0.6)})
    with pytest.raises(
        TransferlabError, match="No sweep has several numbers of training examples of t; docs/sweeps.md"
    ):
        curve.main([str(tmp_path)])


def test_files(root, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    curve.main([str(root), "--output", str(tmp_path / "c.md"), "--picture", str(tmp_path / "c.svg")])
    assert "| lora |" in (tmp_path / "c.md").read_text()
    assert "<svg" in (tmp_path / "c.svg").read_text()


def test_one_seed_has_no_interval():
    import math

    from transferlab.analysis.comparison import labels

    curve, reference = {100: {0: 0.8}}, {50: {0: 0.6}, 200: {0: 0.8}, 800: {0: 0.9}}
    found = labels.equivalent(curve, reference, 100)
    assert found.number == pytest.approx(200)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert labels.text(found, 100) == "200 (2x; one seed, no interval)"
