"""The HTML report: its mathematics, what it says of old, broken and hostile folders, and that it stands alone."""

import html
import json
import math
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import HANGS
from scipy.special import log_softmax, softmax
from scipy.stats import binomtest

from transferlab.analysis.page import answers as kept_answers
from transferlab.analysis.page import calibration, gather, overview, placing
from transferlab.analysis.page.command import main as report
from transferlab.analysis.page.entities import KINDS, classify, errors
from transferlab.analysis.page.lengths import by_length, cuts, wilson
from transferlab.analysis.page.markup import Html, escape, table, tag
from transferlab.analysis.page.scales import Scale, amount, around
from transferlab.baselines import main as baseline
from transferlab.ground.errors import TransferlabError
from transferlab.record import predictions
from transferlab.tasks.iob import spans


@pytest.fixture(scope="module")
def runs(session_environment, tmp_path_factory):
    """Real runs of baselines: two tasks, two seeds of one."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        arguments = ["--data.train_examples", "80", "--seed_everything", str(seed), "--run.root", str(root)]
        baseline(["--data.task", "demo_sentences", *arguments])
    baseline(["--data.task", "demo_entities", "--run.root", str(root)])
    return root


def page_of(root, *arguments):
    output = root / "page.html"
    report([str(root), "--output", str(output), *arguments])
    text = output.read_text(encoding="utf-8")
    output.unlink()
    return text


def write_run(root, name="one", lines=(), test=None, **summary):
    folder = root / "experiment" / name
    (folder / "predictions").mkdir(parents=True)
    facts = {
        "experiment": "experiment",
        "task": "mine",
        "kind": "classification",
        "labels": ["no", "yes"],
        "primary": "accuracy",
        "strategy": "lora",
        "encoder": "tiny",
        "protocol": "holdout",
        "seed": 0,
        "status": "finished",
        "metrics": {"test/accuracy": 0.5, "val/accuracy": 0.5},
        "data": {"train_examples": 10, "test": ["test"]},
    }
    (folder / "summary.json").write_text(json.dumps(facts | summary))
    for stem, content in {"hardest": lines, "test": test or ()}.items():
        if content:
            predictions.write(folder / "predictions" / f"{stem}.jsonl", list(content), ordered=True)
    return folder


# calibration -------------------------------------------------------------------------------------------------------


def test_calibration_error_by_hand():
    scores = np.array([[0.95, 0.05], [0.15, 0.85], [0.6, 0.4], [0.55, 0.45]])
    labels = np.array([0, 1, 1, 0])
    # five bins: (0.8, 1] has 0.95 and 0.85, both right; (0.4, 0.6] has 0.6 wrong and 0.55 right
    expected = 2 / 4 * abs(1 - 0.9) + 2 / 4 * abs(0.5 - 0.575)
    assert calibration.ece(scores, labels, 5) == pytest.approx(expected)
    assert [(b.low, b.high, b.examples) for b in calibration.bins(scores, labels, 5)] == [(0.4, 0.6, 2), (0.8, 1.0, 2)]


@pytest.mark.parametrize("classes", [2, 5])
def test_calibration_error_as_in_torchmetrics(classes):
    from torchmetrics.functional.classification import multiclass_calibration_error

    rng = np.random.default_rng(classes)
    scores = softmax(2 * rng.normal(size=(700, classes)), axis=1)
    labels = rng.integers(0, classes, 700)
    theirs = multiclass_calibration_error(torch.tensor(scores), torch.tensor(labels), classes, n_bins=15)
    assert calibration.ece(scores, labels) == pytest.approx(float(theirs), abs=1e-6)


def test_the_temperature_is_found_from_probabilities():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(8000, 3)) * 2
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits, axis=1)])
    sure = softmax(2.5 * logits, axis=1)
    half = slice(0, 4000), slice(4000, 8000)
    found = calibration.temperature(*((sure[part], labels[part]) for part in half))
    assert found.value == pytest.approx(2.5, rel=0.08)
    assert found.ece[1] < 0.3 * found.ece[0]
    # no other temperature of a fine grid has a better likelihood on the rows that it was fitted on
    at = {
        t: -log_softmax(2.5 * logits[half[0]] / t, axis=1)[np.arange(4000), labels[half[0]]].mean()
        for t in np.geomspace(0.5, 10, 400)
    }
    assert min(at, key=at.get) == pytest.approx(found.value, rel=0.01)
    after = softmax(2.5 * logits[half[1]] / found.value, axis=1)
    assert calibration.scaled(sure[half[1]], found.value) == pytest.approx(after, abs=1e-9)


def test_a_separable_validation_set_has_a_finite_temperature():
    scores, labels = np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 1])
    assert calibration.LIMITS[0] <= calibration.fit(scores, labels) < 0.1
    assert math.isfinite(calibration.nll(np.array([[1.0, 0.0]]), np.array([1])))


def held(right, wrong, sure=0.9):
    """Validation scores of two classes with a number of right and of wrong answers."""
    scores = np.tile([sure, 1 - sure], (right + wrong, 1))
    return scores, np.array([0] * right + [1] * wrong)


@pytest.mark.parametrize(
    ("right", "wrong", "doubt"),
    [
        (200, 0, "all 200 validation examples are right"),
        (40, 9, "only 49 validation examples"),
        (199, 1, "only 1 of 200 validation examples is wrong"),
        (3, 197, "only 3 of 200 validation examples are right"),
        (100, 100, "the fit ends at its bound, 20"),
        (160, 40, ""),
    ],
)
def test_a_temperature_says_why_it_is_not_trusted(right, wrong, doubt):
    scores, labels = held(right, wrong)
    assert calibration.doubt(scores, labels, calibration.fit(scores, labels)) == doubt
    found = calibration.temperature((scores, labels), held(80, 20))
    # 80 % right at a confidence of 0.9: the temperature that makes 0.8 of it, the log odds of 9 over those of 4
    assert found.is_remedy == (not doubt)
    if not doubt:
        assert found.value == pytest.approx(math.log(9) / math.log(4), rel=1e-3)


def test_a_temperature_that_harms_the_test_is_no_remedy(tmp_path):
    # validation is overconfident, the test is not
    assert not calibration.temperature(held(140, 60), held(95, 5)).is_remedy
    for name, test in (("harm", held(95, 5)), ("help", held(70, 30)), ("doubt", held(70, 30))):
        folder = write_run(tmp_path, name, test=records(*test), strategy=name, setting=name)
        rows = records(*(held(300, 1) if name == "doubt" else held(140, 60)))
        predictions.write(folder / "predictions" / "validation.jsonl", rows, ordered=True)
    text = page_of(tmp_path)
    value = math.log(9) / math.log(140 / 60)
    lost = [-(0.95 * math.log(p) + 0.05 * math.log(1 - p)) for p in (0.9, 0.7)]
    assert f"no remedy: {value:.2f} raises the NLL of the test from {lost[0]:.4f} to {lost[1]:.4f}" in text
    assert "not trusted: only 1 of 301 validation examples is wrong" in text
    assert len(re.findall(r"<title>scaled by the temperature", text)) == 1
    row = re.search(r"</span> help</td>(.*?)</tr>", text.partition("ECE scaled")[2]).group(1)
    gap = re.findall(r">([\d.]+)</td>", row)
    # 70 % right at a confidence of 0.9, then at one of 0.7
    before, after = (-(0.7 * math.log(p) + 0.3 * math.log(1 - p)) for p in (0.9, 0.7))
    assert [float(number) for number in gap] == pytest.approx([0.7, 0.9, 0.2, before, value, 0, after], abs=1e-3)


def records(scores, labels):
    names = ["no", "yes"]
    return [
        {"id": n, "label": names[label], "prediction": names[int(row.argmax())], "scores": row.tolist()}
        for n, (row, label) in enumerate(zip(scores, labels, strict=True))
    ]


# the verdict --------------------------------------------------------------------------------------------------------


def answers(wrong, count=200):
    return [{"id": n, "label": "yes", "prediction": "no" if n in wrong else "yes"} for n in range(count)]


def verdict_of(root):
    text = re.sub(r"<[^>]+>", "", page_of(root).partition('id="verdict"')[2].partition("<table")[0])
    return html.unescape(text).partition(">Verdict")[2]


def test_the_page_begins_with_the_verdict(tmp_path):
    for name, wrong, seconds in (("full", range(10), 90), ("lora", range(4, 16), 60), ("bitfit", range(60), 40)):
        write_run(
            tmp_path,
            name,
            test=answers(wrong),
            **{"strategy": name, "setting": name, "metrics": {"test/accuracy": 1 - len(wrong) / 200}},
            **{"perf": {"wall_s": seconds}, "params": {"trainable": 1000 * seconds}},
        )
    changes = {"encoder": "-", "setting": "nb", "metrics": {"test/accuracy": 0.8}}
    write_run(tmp_path, "nb", test=answers(range(40)), strategy="nbsvm", **changes)
    write_run(tmp_path, "bad", strategy="adapter", status="failed", metrics={}, setting="bad")
    text = verdict_of(tmp_path)
    assert "mine: 1 full has the best test accuracy, 0.9500 (1 run, seed 0; 90 s, 90k trainable parameters)." in text
    # 4 against 6 discordant examples of 200: the binomial test, and Wald's interval of the difference
    half = 1.959964 * math.sqrt((10 - 4 / 200) / 199 / 200)
    ends = f"[{-0.01 - half:+.3f}, {-0.01 + half:+.3f}]"
    p = binomtest(4, 10).pvalue
    assert f"Not shown to be worse: 2 lora (-0.0100 {ends}, p = {p:.4f}; 60 s, 60k trainable parameters)." in text
    assert re.search(r"Worse: 3 nbsvm \(-0\.1500 \[.*\], p <0\.0001\), 4 bitfit \(-0\.2500 ", text)
    assert "Below the baseline nbsvm: 4 bitfit." in text
    assert "Single runs: p speaks of these trained models only" in text


def test_where_nothing_can_be_said_the_verdict_says_that(tmp_path):
    per_class = {"no": {"recall": 1.0, "support": 5}, "yes": {"recall": 0.0, "support": 5}}
    write_run(tmp_path, "one", per_class=per_class, task="a")
    write_run(tmp_path, "two", status="failed", metrics={}, task="b")
    write_run(tmp_path, "three", task="c")
    text = verdict_of(tmp_path)
    assert "a: nothing can be said, since every one with a test result failed or collapsed." in text
    assert "b: nothing can be said, since no run has a test result." in text
    assert "There is nothing to compare it with." in text


def test_marks_and_p_stand_in_the_table_of_settings(tmp_path):
    for seed in range(3):
        for name, wrong in (("full", range(10 + seed)), ("lora", range(2, 14 + seed)), ("bitfit", range(60 + seed))):
            metrics = {"test/accuracy": 1 - len(wrong) / 200}
            changes = {"strategy": name, "setting": name, "metrics": metrics, "seed": seed}
            write_run(tmp_path, f"{name}{seed}", test=answers(wrong), **changes)
    (task,) = gather.tasks(summaries(tmp_path))
    rows = [setting.row for setting in task.settings]
    assert [row.group.key.strategy for row in rows] == ["full", "lora", "bitfit"]
    text = page_of(tmp_path).partition("<h3>Settings")[2]
    for row, star in zip(rows, ("★", "★", ""), strict=True):
        cells = re.search(rf"</span> {row.group.key.strategy}</td><td[^>]*>(.*?)</td>(.*?)</tr>", text)
        assert cells.group(1) == star
        assert (
            "3\N{NO-BREAK SPACE}runs, seeds\N{NO-BREAK SPACE}0\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}2" in cells.group(2)
        )
        if not row.best:
            assert f">{row.p:.4f}<" in cells.group(2) or (row.p < 1e-4 and "&lt;0.0001" in cells.group(2))
            assert f"[{row.difference - row.half:+.3f}, {row.difference + row.half:+.3f}]" in cells.group(2)
    assert "★ the best, or not shown to be worse than it at 5 %." in text


def test_what_may_not_be_compared_is_a_task_of_its_own(tmp_path):
    write_run(tmp_path, "a", strategy="a", protocol="holdout", metrics={"test/accuracy": 0.9})
    write_run(tmp_path, "b", strategy="b", protocol="official", metrics={"test/accuracy": 0.8})
    # it failed before its protocol was known
    write_run(tmp_path, "c", strategy="c", protocol=None, status="failed", metrics={}, data={})
    tasks = gather.tasks(summaries(tmp_path))
    assert [task.name for task in tasks] == ["mine (holdout)", "mine (official)"]
    assert sorted(s.name for task in tasks for s in task.settings) == ["a", "b", "c"]


def test_where_less_is_better_the_least_comes_first_and_makes_the_frontier(tmp_path):
    for name, error, seconds in (("slow", 0.1, 90), ("fast", 0.2, 30), ("bad", 0.3, 60)):
        changes = {"kind": "regression", "primary": "mse", "metrics": {"test/mse": error}, "perf": {"wall_s": seconds}}
        write_run(tmp_path, name, strategy=name, **changes)
    (task,) = gather.tasks(summaries(tmp_path))
    assert [s.name for s in task.settings] == ["slow", "fast", "bad"]
    points = overview._points([(s, {"slow": 90, "fast": 30, "bad": 60}[s.name]) for s in task.settings], "time")
    assert [point.fence for point in points] == [True, True, False]


def test_text_is_escaped_as_the_standard_library_does():
    for text in ("", "plain", "<a href=\"x\" title='y'>&amp; &lt;", "é ▼ \x00", "&&<<>>''\"\""):
        assert escape(text) == html.escape(text)


# pictures -----------------------------------------------------------------------------------------------------------


def test_no_disc_covers_another_disc_or_the_place_of_another():
    rng = np.random.default_rng(4)
    places = [(float(x), float(y)) for x, y in rng.normal((200, 150), (25, 20), (30, 2))]
    found = placing.apart(places, 8.5, 3.5, (52, 388, 12, 246))
    for number, at in enumerate(found):
        assert 52 <= at[0] <= 388
        assert 12 <= at[1] <= 246
        for other, (disc, place) in enumerate(zip(found, places, strict=True)):
            if other != number:
                assert math.dist(at, disc) >= 17
                assert math.dist(at, place) >= 12
    # alone it stays
    assert placing.apart([(100.0, 100.0)], 8.5, 3.5, (52, 388, 12, 246)) == [(100.0, 100.0)]


def plainly_apart(places, radius, dot, box):
    """Each disc at the first centre that keeps its distance from all else, one by one."""
    left, right, top, bottom = box
    taken = [(place, radius + dot) for place in places]
    for number, place in enumerate(places):
        others = taken[:number] + taken[number + 1 :]
        for across, down in [(0.0, 0.0), *placing.STEPS]:
            x, y = at = (place[0] + across, place[1] + down)
            inside = left + radius <= x <= right - radius and top + radius <= y <= bottom - radius
            if (inside or at == place) and all(math.dist(at, other) >= least for other, least in others):
                break
        else:
            at = place
        taken.append((at, 2 * radius))
    return [at for at, _ in taken[len(places) :]]


@pytest.mark.parametrize("radius", [8.5, 10.0])
@pytest.mark.parametrize(("middle", "spread"), [((60, 150), (25, 20)), ((220, 130), (60, 50)), ((380, 20), (90, 90))])
def test_discs_go_to_the_first_centre_that_keeps_its_distance(radius, middle, spread):
    rng = np.random.default_rng(5)
    box = (52, 388, 12, 246)
    places = [(float(x), float(y)) for x, y in rng.normal(middle, spread, (90, 2))]
    # on pixels, and several at one place
    places += [(float(round(x)), float(round(y))) for x, y in places[:20]] + places[:3]
    assert placing.apart(places, radius, 3.5, box) == plainly_apart(places, radius, 3.5, box)


def test_the_majority_is_drawn_or_told(tmp_path):
    def left_out(majority):
        (task,) = gather.tasks(summaries(tmp_path / majority))
        return {s.name for s in task.settings} - {s.name for s in task.judged}

    for folder, scores in (("near", (0.5, 0.7, 0.9)), ("far", (0.5, 0.89, 0.9))):
        for name, score in zip(("majority", "lora", "full"), scores, strict=True):
            encoder = "-" if name == "majority" else "tiny"
            changes = {"strategy": name, "encoder": encoder, "metrics": {"test/accuracy": score}}
            write_run(tmp_path / folder, name, **changes)
    assert left_out("near") == set()
    assert left_out("far") == {"majority"}
    assert "Not drawn, as it would take most of the axis: 3 majority (0.5000)." in page_of(tmp_path / "far")
    assert "Not drawn" not in page_of(tmp_path / "near")


def test_what_was_validated_last_is_no_point_of_the_curve(tmp_path):
    folder = write_run(tmp_path, perf={"steps": 20})
    lines = [{"step": 0, "val/primary": 0.4}, {"step": 9, "val/primary": 0.6}, {"step": 19, "val/primary": 0.5}]
    # the checkpoint of step 10 was selected, and is validated and tested at the end
    lines.append({"step": 20, "val/primary": 0.6, "test/accuracy": 0.6})
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert gather.curves(summaries(tmp_path)[0])["val/primary"] == [(0, 0.4), (9, 0.6), (19, 0.5)]


def test_a_long_page_is_folded_and_any_setting_can_be_hidden(tmp_path):
    for number in range(12):
        write_run(tmp_path, f"s{number}", strategy=f"s{number:02}", metrics={"test/accuracy": 0.5 + number / 100})
    text = page_of(tmp_path)
    parts = re.findall(r'<details class="part"( open="")?>', text)
    assert len(parts) == 10
    assert sum(map(bool, parts)) == 2
    # a link to a section leads inside of what is folded
    for name in re.findall(r'href="#(task-mine-\w+)"', text):
        assert re.search(rf'<summary><h3>[^<]*</h3></summary><div id="{name}">', text)
    for number in range(1, 13):
        assert f".task:has(.t{number}:not(:checked)) svg .s{number}{{display:none}}" in text
        assert f'<input type="checkbox" class="t{number}"' in text
        assert len(re.findall(rf'class="[\w ]* s{number}"', text)) >= 1
    small = tmp_path / "small"
    write_run(small, "a")
    assert all(re.findall(r'<details class="part"( open="")?>', page_of(small)))


def test_runs_that_did_not_finish_can_be_left_out_of_the_page(tmp_path):
    write_run(tmp_path, "good")
    write_run(tmp_path, "failed", strategy="adapter", status="failed", metrics={})
    assert "</span> adapter" in page_of(tmp_path)
    text = page_of(tmp_path, "--finished")
    assert "adapter" not in text
    assert "Left out by --finished: 1 failed." in text


# lengths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (3, 7), (40, 40), (870, 1000)])
def test_wilson_as_in_scipy(successes, count):
    share = wilson(successes, count)
    expected = binomtest(successes, count).proportion_ci(method="wilson")
    assert (share.low, share.high) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_buckets_cover_all_lengths_once():
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, 500).tolist()
    ranges = cuts(lengths)
    right = (rng.random(500) < 0.7).tolist()
    shares = by_length(lengths, right, ranges)
    assert sum(share.trials for share in shares) == 500
    assert sum(share.value * share.trials for share in shares) == pytest.approx(sum(right))
    assert max(share.trials for share in shares) < 150
    assert cuts([4, 4, 4]) == [(4, 4)]


# entities ----------------------------------------------------------------------------------------------------------


def test_kinds_of_entity_errors_by_hand():
    gold = {("PER", 0, 2), ("LOC", 3, 4), ("ORG", 5, 8), ("PER", 10, 12), ("LOC", 14, 15)}
    found = {("PER", 0, 2), ("ORG", 3, 4), ("ORG", 5, 7), ("LOC", 11, 13), ("MISC", 20, 21)}
    counts = classify(gold, found)
    assert {kind: counts[kind] for kind in KINDS} == {
        "correct": 1,
        "boundary": 1,
        "type": 1,
        "boundary and type": 1,
        "split": 0,
        "merged": 0,
        "missed": 1,
        "spurious": 1,
    }


def test_pieces_of_a_split_entity_are_not_spurious_and_a_merged_one_is_not_missed():
    counts = classify({("PER", 0, 4), ("LOC", 6, 7), ("ORG", 8, 9)}, {("PER", 0, 1), ("PER", 2, 4), ("LOC", 6, 9)})
    assert +counts == {"split": 1, "merged": 2}


def direct_count(gold, found):
    """The definitions of the legend, word by word."""
    touched = {span: {g for g in found if set(range(*span[1:])) & set(range(*g[1:]))} for span in gold}
    touching = {g: {span for span in gold if g in touched[span]} for g in found}
    alone = {span: next(iter(gs)) for span, gs in touched.items() if len(gs) == 1}
    exact = {span: g for span, g in alone.items() if span[1:] == g[1:]}
    rest = {span: g for span, g in alone.items() if span not in exact}
    single = {span: g for span, g in rest.items() if len(touching[g]) == 1}
    return {
        "correct": sum(span[0] == g[0] for span, g in exact.items()),
        "type": sum(span[0] != g[0] for span, g in exact.items()),
        "boundary": sum(span[0] == g[0] for span, g in single.items()),
        "boundary and type": sum(span[0] != g[0] for span, g in single.items()),
        "split": sum(len(gs) > 1 for gs in touched.values()),
        "merged": len(rest) - len(single),
        "missed": sum(not gs for gs in touched.values()),
        "spurious": sum(not spans for spans in touching.values()),
    }


def sentences_with_entities(count):
    """Tags of real sentences where CoNLL-2003 is at hand, else of generated ones."""
    folder = os.environ.get("TRANSFERLAB_DATA")
    if folder and (Path(folder) / "conll2003").is_dir():
        from transferlab.tasks.sources import read_split
        from transferlab.tasks.table import lookup

        source = lookup("conll2003")
        rows = read_split(source, source.train).rows
    else:
        from transferlab.tasks.embedded import generate
        from transferlab.tasks.table import lookup

        source = lookup("demo_entities")
        rows = generate(source.config, "train")
    return [[source.labels[tag] for tag in rows[n][source.label]] for n in range(count)], source.labels


def test_the_table_equals_a_direct_count_of_its_definitions_on_400_sentences():
    rng = np.random.default_rng(7)
    sentences, labels = sentences_with_entities(400)
    lines, total = [], Counter()
    for tags in sentences:
        # every sixth tag is another one, as a weak model has it
        guess = [labels[rng.integers(len(labels))] if rng.random() < 1 / 6 else tag for tag in tags]
        if rng.random() < 0.1:
            guess = [labels[1], *[labels[2]] * (len(tags) - 1)]
        lines.append({"label": tags, "prediction": guess})
        total.update(direct_count(spans(tags), spans(guess)))
    assert errors(lines).counts == {kind: total[kind] for kind in KINDS}
    assert all(total[kind] for kind in KINDS), total
    assert sum(total[kind] for kind in KINDS[:-1]) == sum(len(spans(tags)) for tags in sentences)


def random_tags(rng, length=12):
    return rng.choice(["O", "O", "B-A", "I-A", "B-B", "I-B"], length).tolist()


def test_every_entity_is_counted_once():
    rng = np.random.default_rng(0)
    for _ in range(200):
        gold, found = spans(random_tags(rng)), spans(random_tags(rng))
        counts = classify(gold, found)
        assert sum(counts[kind] for kind in KINDS[:-1]) == len(gold)
        assert counts["correct"] == len(gold & found)
        assert {kind: counts[kind] for kind in KINDS} == direct_count(gold, found)


def test_errors_as_nervaluate_counts_them():
    from nervaluate import Evaluator

    rng = np.random.default_rng(5)
    gold, found = [], []
    for _ in range(300):
        # entities three words apart that are left alone, moved, retyped, dropped or made up: one partner at most,
        # where the definitions of both agree
        tags, guess = ["O"] * 24, ["O"] * 24
        for start in range(0, 24, 4):
            kind, other = rng.permutation(["A", "B"])
            match rng.integers(0, 6):
                case 0:
                    tags[start : start + 2] = guess[start : start + 2] = [f"B-{kind}", f"I-{kind}"]
                case 1:
                    tags[start : start + 2], guess[start : start + 3] = (
                        [f"B-{kind}", f"I-{kind}"],
                        [f"B-{kind}", f"I-{kind}", f"I-{kind}"],
                    )
                case 2:
                    tags[start : start + 2], guess[start : start + 2] = (
                        [f"B-{kind}", f"I-{kind}"],
                        [f"B-{other}", f"I-{other}"],
                    )
                case 3:
                    tags[start] = f"B-{kind}"
                case 4:
                    guess[start] = f"B-{kind}"
        gold.append(tags)
        found.append(guess)
    ours = errors([{"label": a, "prediction": b} for a, b in zip(gold, found, strict=True)]).counts
    theirs = Evaluator(gold, found, tags=["A", "B"], loader="list").evaluate()["overall"]
    assert ours["correct"] == theirs["strict"].correct
    assert ours["missed"] == theirs["strict"].missed
    assert ours["spurious"] == theirs["strict"].spurious
    # the right words, whatever the type; and the words in part
    assert ours["correct"] + ours["type"] == theirs["partial"].correct
    assert ours["boundary"] + ours["boundary and type"] == theirs["partial"].partial
    assert ours["type"] == theirs["ent_type"].incorrect


def test_recall_of_seen_and_unseen_entities():
    line = {"label": ["B-A", "O", "B-B", "B-A"], "prediction": ["B-A", "O", "O", "B-A"], "seen": [True, False, False]}
    found = errors([line, line])
    assert (found.seen.value, found.seen.trials) == (1, 2)
    assert (found.unseen.value, found.unseen.trials) == (0.5, 4)
    assert errors([{k: v for k, v in line.items() if k != "seen"}]).seen is None


# markup and axes ---------------------------------------------------------------------------------------------------


def test_texts_and_attributes_are_escaped():
    assert tag("td", "<b>", title='"<') == '<td title="&quot;&lt;">&lt;b&gt;</td>'
    assert tag("p", Html("<b>x</b>"), None, ["<", "y"]) == "<p><b>x</b>&lt;y</p>"
    assert "&lt;script&gt;" in table(["<script>"], [["<script>"]])


@pytest.mark.parametrize(
    "axis", [Scale(0.31, 0.97, 0, 300), Scale(3, 4000, 10, 300, True), Scale(80, 130, 0, 1, True), Scale(0, 1e7, 0, 9)]
)
def test_ticks_lie_inside_the_axis(axis):
    ticks = axis.ticks()
    assert 2 <= len(ticks) <= 12
    assert ticks == sorted(ticks)
    assert all(axis.start - 1e-6 <= axis(tick) <= axis.end + 1e-6 for tick in ticks)


def test_axes_of_equal_values_and_numbers_for_people():
    assert around([0.5], 0, 100)(0.5) == pytest.approx(50)
    assert around([0.0, 0.0], 0, 100).low < 0
    assert [amount(v) for v in (22_713_216, 0.0321, 1500, 12)] == ["22.7M", "0.0321", "1.5k", "12"]


# the page ----------------------------------------------------------------------------------------------------------


def test_all_sections_of_real_runs(runs):
    text = page_of(runs)
    for title in ("demo_sentences", "demo_entities", "Quality against cost", "Calibration", "Hardest examples"):
        assert title in text
    assert text.count("<svg") > 6
    # two seeds are one setting, with an interval
    row = re.search(r"<tr><td[^>]*><span[^>]*>\d</span> tfidf_logreg</td>(.*?)</tr>", text).group(1)
    assert re.search(r">0\.\d{4} ± 0\.\d{4}</td>", row)
    assert "2\N{NO-BREAK SPACE}runs, seeds\N{NO-BREAK SPACE}0,\N{NO-BREAK SPACE}1</td>" in row
    assert len(text) < 3e6


def test_the_temperature_in_the_page_is_that_of_the_predictions(runs):
    (task,) = [t for t in gather.tasks(summaries(runs)) if t.name == "demo_sentences"]
    (setting,) = [s for s in task.settings if s.group.key.strategy == "nbsvm"]
    found = [kept_answers.examples(run) for run in setting.runs]
    fits = [calibration.temperature(f.selection, (f.scores, f.gold)) for f in found]
    assert len(fits) == 2
    told = [fit.doubt or f"no remedy: {fit.value:.2f} raises" for fit in fits if not fit.is_remedy]
    text = page_of(runs)
    # where nothing is scaled it says why
    assert all(words in text for words in told or [f"{sum(fit.value for fit in fits) / 2:.4f}"])


def summaries(root):
    from transferlab.analysis.comparison.reading import read

    return read(root)


def test_nothing_is_loaded_and_nothing_runs(runs):
    text = page_of(runs)
    assert not re.search(r"<(script|link|img|iframe|object|embed|base)\b", text)
    assert not re.search(r"(src|xlink:href|srcset)=", text)
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', text))
    assert not re.search(r"url\(|@import", text)
    assert "default-src 'none'" in text or "default-src &#x27;none&#x27;" in text


def test_a_hostile_text_is_shown_not_run(tmp_path):
    evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)>"
    line = {"id": 0, "prediction": evil, "label": "yes", "loss": 3.0, "scores": [0.9, 0.1], "text": [evil]}
    write_run(tmp_path, lines=[line], test=[line], strategy=evil, task=evil, labels=["yes", evil])
    text = page_of(tmp_path)
    assert "<script" not in text
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_an_old_folder_still_gives_a_page(tmp_path):
    # scores, no losses, no validation predictions, metrics as CSV
    rng = np.random.default_rng(0)
    rows = []
    for number in range(30):
        p = round(float(rng.random()), 6)
        guess = "yes" if p > 0.5 else "no"
        rows.append({"id": number, "prediction": guess, "label": rng.choice(["no", "yes"]), "scores": [1 - p, p]})
    folder = write_run(tmp_path, test=rows)
    (folder / "metrics.csv").write_text("epoch,step,train/loss,val/primary\n0,1,0.7,\n0,2,0.6,\n0,2,,0.5\n0,3,,0.6\n")
    text = page_of(tmp_path)
    for reason in (
        "older runs did not keep texts",
        "no validation predictions of 1 of 1 runs",
        "how long its test examples are",
        "learned mix",
    ):
        assert reason in text
    assert "Training loss" in text


def test_broken_folders_leave_the_others_alone(tmp_path):
    write_run(tmp_path, "good")
    broken = write_run(tmp_path, "broken", seed=1)
    (broken / "predictions" / "test.jsonl").write_text('{"id": 0, "predic')
    (broken / "predictions" / "hardest.jsonl").write_text("17\n")
    (broken / "metrics.jsonl").write_text("[1]\n{")
    (broken / "environment.json").write_text("[]")
    write_run(tmp_path, "failed", status="failed", metrics={}, strategy="adapter")
    (tmp_path / "experiment" / "cut").mkdir()
    (tmp_path / "experiment" / "cut" / "summary.json").write_text('{"task": "mi')
    text = page_of(tmp_path)
    assert "failed" in text
    assert "unreadable" in text


def test_the_learning_curve_of_a_run_that_still_writes(tmp_path):
    folder = write_run(tmp_path)
    (folder / "metrics.jsonl").write_text(
        '{"step": 0, "train/loss": 1.0}\n{"step": 1, "train/loss": null}\n{"step": 2, "train/lo'
    )
    (run,) = summaries(tmp_path)
    assert gather.curves(run) == {"train/loss": [(0.0, 1.0)]}


def test_a_long_curve_is_thinned_by_means(tmp_path):
    folder = write_run(tmp_path)
    rows = [json.dumps({"step": step, "train/loss": step / 10}) for step in range(1000)]
    (folder / "metrics.jsonl").write_text("\n".join(rows) + "\n")
    curve = gather.curves(summaries(tmp_path)[0])["train/loss"]
    assert len(curve) == gather.LONGEST
    assert all(loss == pytest.approx(step / 10) for step, loss in curve)


def test_the_mean_over_seeds_is_drawn_as_far_as_all_go(tmp_path):
    assert gather.mean_curve([[(0, 1.0), (5, 2.0), (9, 3.0)], [(0, 3.0), (5, 0.0)]]) == [(0, 2.0), (5, 1.0)]
    assert gather.mean_curve([[(0, 1.0), (5, 2.0)], [(5, 2.0), (7, 1.0)]]) == []
    for seed in range(2):
        folder = write_run(tmp_path, f"run{seed}", seed=seed)
        (folder / "metrics.jsonl").write_text("".join(f'{{"step": {s}, "train/loss": {s + seed}}}\n' for s in range(3)))
    assert (text := page_of(tmp_path)).count("lora, seed ") == text.count('faint"') == 2
    assert text.count("lora, mean of 2 seeds") == 1


def test_an_encoder_is_named_where_it_tells_something(tmp_path):
    for name, encoder in (("full", "mini"), ("lora", "mini"), ("scratch", "mini-random"), ("adapter", "large")):
        write_run(tmp_path, name, strategy=name, encoder=encoder)
    (task,) = gather.tasks(summaries(tmp_path))
    assert {s.name for s in task.settings} == {"full", "lora", "scratch", "adapter · large"}


def test_settings_of_one_strategy_get_different_names(tmp_path):
    for number, rate in enumerate(("1e-4", "2e-4")):
        folder = write_run(tmp_path, f"run{number}")
        tree = f"model: {{init_args: {{optimizer: {{init_args: {{lr: {rate}, weight_decay: {rate}}}}}}}}}\n"
        (folder / "config.yaml").write_text(tree)
    (task,) = gather.tasks(summaries(tmp_path))
    assert Counter(s.name for s in task.settings) == {"lora, lr=1e-4": 1, "lora, lr=2e-4": 1}
    assert "weight_decay" in page_of(tmp_path)


def test_it_says_that_only_the_best_settings_are_drawn(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("transferlab.analysis.page.predicted.MOST", 1)
    assert page_of(runs).count("Drawn are the 1 best of ") >= 3
    monkeypatch.setattr("transferlab.analysis.page.predicted.MOST", 50)
    # nothing on disk has changed: the page of before would be shown
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "another"))
    assert "Drawn are" not in page_of(runs)


def test_filters_and_mistakes(runs, tmp_path):
    assert "demo_entities" not in page_of(runs, "--task", "demo_sentences").replace(str(runs), "")
    with pytest.raises(TransferlabError, match="demo_sentences"):
        report([str(runs), "--task", "demo_sentence"])
    with pytest.raises(TransferlabError, match="no runs under"):
        report([str(tmp_path)])
    (tmp_path / "file").write_text("")
    with pytest.raises(TransferlabError, match="--output: cannot write"):
        report([str(runs), "--output", str(tmp_path / "file" / "page.html")])


def test_it_needs_no_torch(runs, tmp_path):
    code = (
        "import sys; from transferlab.analysis.page.command import main; main(sys.argv[1:]); "
        "print([m for m in ('torch', 'lightning', 'transformers', 'datasets', 'sklearn') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(runs), "--output", str(tmp_path / "page.html")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_in_a_browser(runs, tmp_path):
    browser = shutil.which("chromium") or shutil.which("google-chrome") or shutil.which("chromium-browser")
    sync_api = pytest.importorskip("playwright.sync_api")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    place = tmp_path / "page.html"
    report([str(runs), "--output", str(place)])
    with sync_api.sync_playwright() as player:
        window = player.chromium.launch(executable_path=browser, args=["--no-sandbox"], timeout=1000 * HANGS)
        for width, scheme in ((1400, "light"), (390, "dark")):
            page = window.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            page.set_default_timeout(1000 * HANGS)
            check_in_browser(page, place.as_uri(), width, scheme)
            page.close()
        window.close()


def check_in_browser(page, address, width, scheme):
    """No complaint, no request but for the page itself, nothing wider than the window, charts that can be read."""
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(address)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    boxes = page.evaluate(
        "[...document.querySelectorAll('svg')].map(s => [s.getBoundingClientRect(), "
        "s.querySelectorAll('circle, rect, path, polyline').length]).map(([r, n]) => [r.width, r.height, n])"
    )
    size = page.evaluate("parseFloat(getComputedStyle(document.querySelector('svg text')).fontSize)")
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert said == []
    assert asked == [address]
    assert len(boxes) > 6
    assert all(wide > 250 and tall > 50 and marks for wide, tall, marks in boxes)
    # texts are scaled with the drawing, which is 400 wide
    assert min(wide for wide, _, _ in boxes) / 400 * size >= 9
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 380) == (scheme == "light")


def test_a_report_from_what_is_kept_is_the_same(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "runs")
    for kept in (tmp_path / "runs").rglob(".read"):
        shutil.rmtree(kept)

    def text():
        return re.sub(r"written [\d: -]+", "", page_of(tmp_path / "runs"))

    fresh = text()
    assert len(list((tmp_path / "runs").rglob(".read/answers"))) == len(list((tmp_path / "runs").rglob("test.jsonl")))
    assert text() == fresh
    (path, *_) = (tmp_path / "runs").glob("baseline_nbsvm_demo_sentences/*/predictions/test.jsonl")
    path.write_text(path.read_text().replace('"negative", "label": "positive"', '"positive", "label": "positive"'))
    assert text() != fresh


# questions ---------------------------------------------------------------------------------------------------------


def answered(number, said, right, margin=0.0, **further):
    best = [{"text": "Ada", "start": 8, "end": 11, "score": 0.9}]
    line = {"id": number, "prediction": said, "label": right, "margin": margin, "n_best": best, "tokens": 9 + number}
    return line | ({"start": 8, "end": 11} if said else {"start": None, "end": None}) | further


def test_the_curve_of_a_threshold_by_hand():
    lines = [answered(0, "Ada", ["Ada"], -2.0), answered(1, "Ada", [], -1.0), answered(2, "Ada", ["Ada Bo"], 1.0)]
    curve = dict(kept_answers.curve_of(lines))
    # an answer where the margin is at most the threshold: to the first, to two, to all
    assert curve[-2.0] == pytest.approx((1 + 1 + 0) / 3)
    assert curve[-1.0] == pytest.approx((1 + 0 + 0) / 3)
    assert curve[1.0] == pytest.approx((1 + 0 + 2 / 3) / 3)
    assert kept_answers.curve_of([line for line in lines if line["label"]]) == []
    # no token of the context was read
    assert len(kept_answers.curve_of([*lines, answered(3, "", [], None, n_best=[])])) == len(curve)


def test_the_page_of_questions(tmp_path):
    evil = "<img src=x>Ada met Bo & <b>Cid</b>. " + "More of it. " * 60
    start = evil.index("Ada")
    hard = [
        answered(0, "Ada", ["Ada", "Ada met Bo"], loss=3.0, text=["Who?", evil], golds=[[start, start + 10]])
        | {"start": start, "end": start + 3},
        answered(1, "", ["Bo"], loss=2.0, text=["<i>Whom?</i>", evil], golds=[[start + 8, start + 10]]),
        answered(2, "", [], loss=1.0, text=["Where?", evil], golds=[]),
    ]
    folder = write_run(
        tmp_path,
        lines=hard,
        test=hard,
        kind="qa",
        labels=[],
        primary="f1",
        metrics={"test/f1": 0.5, "val/f1": 0.5},
        thresholds={"no answer": {"threshold": -1.5, "positives": 1}},
    )
    facts = json.loads((folder / "summary.json").read_text())
    facts["test"] = {"parts": {"has an answer": {"exact_match": 0.25, "f1": 0.375, "questions": 2}}}
    (folder / "summary.json").write_text(json.dumps(facts))
    held_out = [answered(0, "Ada", ["Ada"], -2.0), answered(1, "", [], 1.0)]
    predictions.write(folder / "predictions" / "validation.jsonl", held_out, ordered=True)
    text = page_of(tmp_path)
    assert "<img" not in text
    assert "<i>" not in text
    assert '<mark class="gold said">Ada</mark>\N{NO-BREAK SPACE}<span class="mark c0">1</span>' in text
    assert '<mark class="gold"> met Bo</mark> &amp; &lt;b&gt;Cid' in text
    # far from any answer nothing is shown, and what has no answer is shown from its beginning
    assert text.count(" … ") == 3
    assert "Threshold of no answer" in text
    assert "1 lora: fitted, -1.500" in text
    assert ">0.375</td>" in text
    assert ">no answer</td>" in text
    # exact match by the rules of SQuAD: the first and the third are right
    (setting,) = gather.tasks(summaries(tmp_path))[0].settings
    assert kept_answers.examples(setting.runs[0]).right.tolist() == [True, False, True]
    assert not kept_answers.tested(setting.runs[0]).confusion
