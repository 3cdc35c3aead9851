"""The HTML report: its mathematics, what it says of old, broken and hostile folders, and that it stands alone."""

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

from transferlab.analysis.page import calibration, gather
from transferlab.analysis.page.command import main as report
from transferlab.analysis.page.entities import KINDS, classify, errors
from transferlab.analysis.page.lengths import by_length, cuts, wilson
from transferlab.analysis.page.markup import Html, table, tag
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
    assert re.search(r"tfidf_logreg</td><td[^>]*>0\.\d{4} ± 0\.\d{4}</td><td[^>]*>0, 1</td>", text)
    assert len(text) < 3e6


def test_the_temperature_in_the_page_is_that_of_the_predictions(runs):
    (task,) = [t for t in gather.tasks(summaries(runs)) if t.name == "demo_sentences"]
    (setting,) = [s for s in task.settings if s.group.key.strategy == "nbsvm"]
    found = [gather.tested(run) for run in setting.runs]
    values = [calibration.fit(*f.selection) for f in found]
    assert len(values) == 2
    assert f"{sum(values) / 2:.4f}" in page_of(runs)


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
        "so no temperature",
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
