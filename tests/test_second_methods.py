"""Every number that compare and curve print, computed a second time from the run directories by other code."""

import csv
import io
import json
import math
import shutil
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import f1_score

from transferlab.analysis.comparison import labels
from transferlab.analysis.comparison.command import main as compare
from transferlab.analysis.comparison.curve import main as curve
from transferlab.baselines import main as baseline
from transferlab.config.shipped import SHIPPED

SIZES = {"tfidf": (16, 40, 90), "nbsvm": (16, 90)}
SEEDS = (0, 1, 2)


@pytest.fixture(scope="module")
def root(session_environment, tmp_path_factory):
    """Real runs of two methods on the example project's texts, with several sizes and seeds."""
    place = tmp_path_factory.mktemp("second")
    lines = (SHIPPED / "project" / "data" / "train.csv").read_text().splitlines(keepends=True)
    # every sixth label is wrong, so that no method is right everywhere
    other = {"good\n": "bad\n", "bad\n": "good\n"}
    for number in range(3, len(lines), 6):
        text, comma, label = lines[number].rpartition(",")
        lines[number] = text + comma + other[label]
    (place / "train.csv").write_text("".join(lines[:101]))
    (place / "test.csv").write_text("".join([lines[0], *lines[101:]]))
    files = json.dumps({"train": str(place / "train.csv"), "test": str(place / "test.csv")})
    source = ["--data.source.files", files, "--data.source.text", "[text]", "--data.source.label", "label"]
    for method, sizes in SIZES.items():
        for size, seed in product(sizes, SEEDS):
            keys = ["--data.task", "mine", "--data.train_examples", str(size), "--seed_everything", str(seed)]
            baseline([*keys, *source, "--method", method, "--run.root", str(place / "runs")])
    return place / "runs"


def summaries(root):
    found = defaultdict(dict)
    for path in sorted(root.glob("*/*/summary.json")):
        summary = json.loads(path.read_text())
        lines = [json.loads(line) for line in (path.parent / "predictions" / "test.jsonl").read_text().splitlines()]
        found[summary["strategy"], summary["data"]["train_examples"]][summary["seed"]] = (summary, lines)
    return found


def rows_of(root, capsys, *arguments):
    capsys.readouterr()
    compare([str(root), "--format", "csv", *arguments])
    text = capsys.readouterr().out
    table = text[text.index("task,") :].split("\n\n")[0]
    return {(row["strategy"], int(row["train_examples"])): row for row in csv.DictReader(io.StringIO(table))}


def right(lines):
    return np.array([line["prediction"] == line["label"] for line in sorted(lines, key=lambda line: line["id"])], float)


def test_means_intervals_and_costs(root, capsys):
    rows = rows_of(root, capsys)
    found = summaries(root)
    assert set(rows) == set(found)
    for key, runs in found.items():
        scores = [right(lines).mean() for _, lines in runs.values()]
        assert float(rows[key]["primary"]) == pytest.approx(np.mean(scores))
        assert float(rows[key]["std"]) == pytest.approx(np.std(scores, ddof=1))
        low, high = stats.t.interval(0.95, len(scores) - 1, np.mean(scores), stats.sem(scores))
        assert (float(rows[key]["low"]), float(rows[key]["high"])) == pytest.approx((low, high))
        for column, path in {
            "wall_s": ("perf", "wall_s"),
            "samples_s": ("perf", "samples_s"),
            "peak_mem_mb": ("perf", "peak_mem_mb"),
            "latency_ms": ("test", "latency_ms"),
        }.items():
            values = [summary[path[0]][path[1]] for summary, _ in runs.values()]
            assert float(rows[key][column]) == pytest.approx(np.mean(values)), column


def jackknife(scores_without):
    """Deviations of the leave-one-out values, so that products of rows are covariances over samples of examples."""
    n = scores_without.shape[1]
    return (scores_without - scores_without.mean(1, keepdims=True)) * math.sqrt((n - 1) / n)


def over_seeds_and_examples(one, other):
    """Obuchowski and Rockette's test with Hillis's degrees of freedom, for accuracy, with paired seeds, loop by loop."""
    gains = one - other
    runs, n = gains.shape
    influence = jackknife(np.array([[np.delete(run, k).mean() for k in range(n)] for run in gains]))
    over_seeds = np.var(gains.mean(1), ddof=1) / runs
    pairs = [influence[a] @ influence[b] for a in range(runs) for b in range(runs) if a != b]
    total = over_seeds + max(0.0, np.mean(pairs))
    difference = gains.mean()
    if total <= 0:
        return difference, 1.0 if difference == 0 else 0.0
    freedom = total**2 / (over_seeds**2 / (runs - 1)) if over_seeds else math.inf
    return difference, 2 * stats.t.sf(abs(difference) / math.sqrt(total), freedom)


def sequentially_rejected(values):
    """Holm's adjusted p: the smallest level at which the step-down procedure rejects a hypothesis."""

    def rejected(level):
        left = sorted(range(len(values)), key=values.__getitem__)
        gone = set()
        while left and values[left[0]] * len(left) <= level * (1 + 1e-12):
            gone.add(left.pop(0))
        return gone

    levels = sorted({min(1.0, value * m) for value in values for m in range(1, len(values) + 1)} | {1.0})
    return [next((level for level in levels if n in rejected(level)), 1.0) for n in range(len(values))]


def test_differences_and_p_over_seeds_and_examples_with_holms_correction(root, capsys):
    rows = rows_of(root, capsys)
    found = summaries(root)
    best = next(key for key, row in rows.items() if row["best"] == "1")
    samples = {key: np.stack([right(lines) for _, lines in runs.values()]) for key, runs in found.items()}
    assert samples[best].mean() == max(sample.mean() for sample in samples.values())
    others = [key for key in rows if key != best]
    raw = [over_seeds_and_examples(samples[key], samples[best]) for key in others]
    adjusted = sequentially_rejected([p for _, p in raw])
    assert len({round(p, 6) for _, p in raw}) > 2
    for key, (difference, p), corrected in zip(others, raw, adjusted, strict=True):
        assert rows[key]["test_of"] == "paired seeds and examples"
        assert float(rows[key]["difference"]) == pytest.approx(difference, abs=1e-12)
        assert float(rows[key]["p_raw"]) == pytest.approx(p, rel=1e-6)
        assert float(rows[key]["p_holm"]) == pytest.approx(corrected, rel=1e-6)
        assert (rows[key]["not_worse_than_best"] == "1") == (corrected >= 0.05)


@pytest.fixture
def single(root, tmp_path):
    """One run of each setting only."""
    for path in root.glob("*/*/summary.json"):
        if json.loads(path.read_text())["seed"] == 0:
            shutil.copytree(path.parent, tmp_path / path.parent.parent.name / path.parent.name)
    return tmp_path


def test_p_of_single_runs_is_that_of_a_binomial_test(single, capsys):
    rows = rows_of(single, capsys)
    found = {key: right(runs[0][1]) for key, runs in summaries(single).items()}
    best = next(key for key, row in rows.items() if row["best"] == "1")
    for key in rows.keys() - {best}:
        wins, losses = ((found[key] > found[best]).sum(), (found[key] < found[best]).sum())
        wanted = stats.binomtest(int(wins), int(wins + losses)).pvalue if wins + losses else 1.0
        assert rows[key]["test_of"] == "McNemar"
        assert float(rows[key]["p_raw"]) == pytest.approx(wanted)


def test_p_of_another_metric_is_a_share_of_random_swaps(single, capsys):
    for path in single.glob("*/*/summary.json"):
        summary = json.loads(path.read_text())
        path.write_text(json.dumps(summary | {"primary": "f1_macro"}))
    rows = rows_of(single, capsys)
    best = next(key for key, row in rows.items() if row["best"] == "1")
    generator = np.random.default_rng(11)
    answers = {}
    for key, runs in summaries(single).items():
        lines = sorted(runs[0][1], key=lambda line: line["id"])
        answers[key] = np.array([line["prediction"] for line in lines])
        gold = np.array([line["label"] for line in lines])
    for key in rows.keys() - {best}:
        assert rows[key]["test_of"] == "randomisation"
        one, other = answers[key], answers[best]
        observed = f1_score(gold, one, average="macro") - f1_score(gold, other, average="macro")
        assert float(rows[key]["difference"]) == pytest.approx(observed)
        hits = 0
        for _ in range(400):
            swap = generator.random(len(gold)) < 0.5
            a, b = np.where(swap, other, one), np.where(swap, one, other)
            gap = f1_score(gold, a, average="macro") - f1_score(gold, b, average="macro")
            hits += abs(gap) >= abs(observed) - 1e-9
        # four standard errors of the share of 400
        p = float(rows[key]["p_raw"])
        assert abs((1 + hits) / 401 - p) <= 4 * math.sqrt(max(p * (1 - p), 0.0025) / 400) + 1 / 400


def test_the_saving_of_labels_is_that_of_all_draws_of_seeds(root, capsys):
    scores = defaultdict(dict)
    for (strategy, size), runs in summaries(root).items():
        scores[strategy][size] = {seed: right(lines).mean() for seed, (_, lines) in runs.items()}
    reference = next(curve for name, curve in scores.items() if name.startswith("tfidf"))
    method = scores["nbsvm"]
    sizes = sorted(reference)

    def needs(drawn):
        points = [np.mean([reference[n][seed] for seed in drawn]) for n in sizes]
        rising = IsotonicRegression().fit_transform(np.log(sizes), points)
        wanted = np.mean([method[90][seed] for seed in drawn])
        if wanted < rising[0]:
            return 0.0
        if wanted > rising[-1]:
            return math.inf
        # the first place where the broken line reaches it
        grid = np.linspace(math.log(sizes[0]), math.log(sizes[-1]), 200_001)
        values = np.interp(grid, np.log(sizes), rising)
        return float(np.exp(grid[np.argmax(values >= wanted - 1e-12)]))

    found = labels.equivalent(method, reference, 90, draws=6000)
    assert found.number == pytest.approx(needs(SEEDS), rel=1e-3)
    counts = sorted(needs(drawn) for drawn in product(SEEDS, repeat=3))
    ends = (counts[0], counts[-1])
    assert (found.low, found.high) == pytest.approx(ends, rel=1e-3)
    curve([str(root), "--task", "mine", "--reference", "tfidf_logreg"])
    assert labels.text(found, 90) in capsys.readouterr().out


def test_the_runs_are_where_the_fixture_says(root):
    assert len(list(Path(root).glob("*/*/summary.json"))) == sum(map(len, SIZES.values())) * len(SEEDS)
