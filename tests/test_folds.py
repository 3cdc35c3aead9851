"""Cross-validation: as cells of a sweep, averaged and tested as folds."""

import json
import math

import numpy as np
import pytest
import scipy.stats
import yaml

from transferlab import baselines
from transferlab.analysis.comparison import folds
from transferlab.analysis.comparison.groups import group
from transferlab.analysis.comparison.reading import read
from transferlab.analysis.comparison.sheets import group_sheet
from transferlab.analysis.comparison.standing import standing
from transferlab.config import grids
from transferlab.ground.errors import TransferlabError
from transferlab.launch.sweeps import cells


def test_the_corrected_t_test_by_hand():
    found = folds.corrected_t([0.1, 0.2, 0.3], 0.5)
    # mean 0.2, variance 0.01, so t = 0.2 / sqrt(0.01 (1/3 + 0.5)) with two degrees of freedom
    spread = math.sqrt(0.01 * (1 / 3 + 0.5))
    assert found.difference == pytest.approx(0.2)
    assert found.p == pytest.approx(2 * scipy.stats.t.sf(0.2 / spread, 2))
    assert found.half == pytest.approx(scipy.stats.t.ppf(0.975, 2) * spread)


def test_without_overlap_it_is_the_paired_t_test():
    gains = [0.03, -0.01, 0.02, 0.05, 0.0]
    assert folds.corrected_t(gains, 0.0).p == pytest.approx(scipy.stats.ttest_1samp(gains, 0).pvalue)


@pytest.mark.parametrize(("gains", "p"), [([0.0, 0.0], 1.0), ([0.1, 0.1], 0.0)])
def test_folds_that_do_not_differ(gains, p):
    assert folds.corrected_t(gains, 0.25).p == p


@pytest.mark.slow
def test_equal_settings_are_called_different_about_as_often_as_they_may_be():
    generator = np.random.default_rng(0)
    naive, corrected, trials = 0, 0, 1000
    for _ in range(trials):
        labels = generator.integers(0, 2, 100)
        # two views of the same worth, each with a learner of its own
        views = [generator.normal(labels[:, None] * 0.4, 1, (100, 5)) for _ in range(2)]
        place = generator.permutation(100) % 10
        gains = []
        for fold in range(10):
            held = place == fold
            rights = []
            for view in views:
                centers = np.stack([view[~held & (labels == c)].mean(0) for c in (0, 1)])
                guess = ((view[held][:, None] - centers) ** 2).sum(-1).argmin(1)
                rights.append((guess == labels[held]).mean())
            gains.append(rights[0] - rights[1])
        naive += scipy.stats.ttest_1samp(gains, 0).pvalue < 0.05 if np.std(gains) else 0
        corrected += folds.corrected_t([float(gain) for gain in gains], 1 / 9).p < 0.05
    assert corrected / trials < 0.06
    assert naive > corrected


# sweeps ---------------------------------------------------------------------------------------------------------------


def test_each_fold_is_a_cell(tmp_path):
    sweep = grids.parse(
        {"tasks": ["demo_sentences"], "strategies": ["lora"], "baselines": ["tfidf"], "seeds": 2, "folds": 3},
        "cv",
        "cv",
    )
    found = cells.build(sweep, tmp_path)
    assert len(found) == 12
    assert len({cell.folder for cell in found}) == 12
    assert "lora_demo_sentences/cv-minilm_l6-s1-k2" in {cell.label for cell in found}
    for cell in found:
        given = dict(zip(cell.arguments[1::2], cell.arguments[2::2], strict=True))
        assert given["--data.folds"] == "3"
        assert given["--data.fold"] == cell.label[-1]
    with pytest.raises(TransferlabError, match="folds must be a number of folds, 2 or more, not 1"):
        grids.parse({"tasks": ["demo_sentences"], "baselines": ["tfidf"], "folds": 1}, "cv", "cv")


# runs, compared -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Two baselines on all folds of a small task, of two seeds."""
    place = tmp_path_factory.mktemp("folds")
    words = {"good": ["fine", "great", "lovely", "warm"], "bad": ["dull", "cold", "poor", "grim"]}
    rows = [
        {"text": f"the {'abcdefghijklmnopqrstuvwxyz'[n % 26]} was {words[label][n % 4]} {n // 8}", "label": label}
        for n, label in enumerate(["good", "bad"] * 31)
    ]
    (place / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tree = {"data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": {"task": "small"}}}
    tree["data"]["init_args"]["source"] = {"files": {"train": str(place / "train.jsonl")}}
    (place / "small.yaml").write_text(yaml.safe_dump(tree))
    for method in ("tfidf", "majority"):
        for seed in (0, 1):
            for fold in range(4):
                options = ["--seed_everything", str(seed), "--data.folds", "4", "--data.fold", str(fold)]
                options += ["--run.root", str(place / "runs"), "--method", method]
                baselines.main(["--config", str(place / "small.yaml"), *options])
    return place / "runs"


def test_folds_of_a_setting_are_averaged_as_such(root):
    found = {one.key.strategy: one for one in group(read(root))}
    assert len(found) == 2
    one = next(one for one in found.values() if "tfidf" in one.key.strategy)
    assert one.key.protocol == "4 folds"
    assert len(one.counted) == 8
    assert one.seeds == (0, 1)
    scores = [run["metrics"]["test/accuracy"] for run in one.counted]
    assert one.score.mean == pytest.approx(np.mean(scores))
    tested = [run["test"]["examples"] for run in one.counted]
    assert sum(tested) == 2 * 62
    ratio = np.mean([n / run["data"]["train_examples"] for n, run in zip(tested, one.counted, strict=True)])
    half = scipy.stats.t.ppf(0.975, 7) * np.std(scores, ddof=1) * math.sqrt(1 / 8 + ratio)
    assert one.score.high - one.score.mean == pytest.approx(half)


def test_settings_are_tested_on_their_common_folds(root):
    rows = standing(group(read(root)))
    best, other = rows
    assert best.best
    gains = [
        one["metrics"]["test/accuracy"] - two["metrics"]["test/accuracy"]
        for one, two in zip(other.group.counted, best.group.counted, strict=True)
    ]
    assert other.difference == pytest.approx(np.mean(gains))
    assert other.method == "corrected resampled t"
    assert 0 <= other.p <= 1
    assert other.half > 0
    sheet = group_sheet(read(root))
    told = " ".join(sheet.notes)
    assert "p by corrected resampled t" in told
    assert "several runs with seed" not in told


def test_folds_and_other_protocols_are_never_compared(root, tmp_path):
    runs = read(root)
    single = {**runs[0], "fold": None, "protocol": "holdout", "setting": "x"}
    assert len({one.key.protocol for one in group([*runs, single])}) == 2
