"""Label shift and two-sample tests against hand and direct computation, and the command on real tiny runs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from scipy import stats
from test_api import train

import transferlab as tl
from transferlab.ground.errors import TransferlabError
from transferlab.tasks.schemes import Scheme
from transferlab.tasks.spec import TaskSpec
from transferlab.use.drift import inputs, measure, samples, shift
from transferlab.use.drift.options import main
from transferlab.use.prediction.inputs import Input, Wanted

# label shift -------------------------------------------------------------------------------------------------------


def of_counts(table):
    """Right labels and answers, one by one, of a confusion matrix ``[answer, label]``."""
    pairs = [(j, i) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return [np.array([gold]) for gold, _ in pairs], [np.array([found]) for _, found in pairs]


def test_shares_of_two_labels_by_hand():
    # half of each label; of label 0 80 % are answered 0, of label 1 90 % are answered 1; 45 % of the new answers are 0
    counts = np.array([[40, 5], [10, 45]])
    # 0.4 w0 + 0.05 w1 = 0.45 and 0.1 w0 + 0.45 w1 = 0.55
    assert shift.weights(counts, np.array([0.45, 0.55])) == pytest.approx([1.0, 1.0])
    # 0.4 w0 + 0.05 w1 = 0.66 and 0.1 w0 + 0.45 w1 = 0.34: w = (1.6, 0.4), so 80 % and 20 %
    assert shift.weights(counts, np.array([0.66, 0.34])) == pytest.approx([1.6, 0.4])
    found = shift.estimate(shift.cells(*of_counts(counts), 2), np.eye(2)[[0] * 66 + [1] * 34])
    assert found.known == pytest.approx([0.5, 0.5])
    assert found.shares == pytest.approx([0.8, 0.2])
    assert (found.low < found.shares).all()
    assert (found.shares < found.high).all()


def test_shares_of_three_labels_by_hand():
    # of each label of 10, 20 and 20 validation examples: 8 + 2 of the first, 18 + 2 of the second, all of the third
    counts = np.array([[8, 2, 0], [2, 18, 0], [0, 0, 20]])
    # shares 50 %, 20 %, 30 % give 0.8 * 0.5 + 0.1 * 0.2 = 42 % answers 0, 0.2 * 0.5 + 0.9 * 0.2 = 28 %, 30 %
    found = shift.estimate(shift.cells(*of_counts(counts), 3), np.eye(3)[[0] * 42 + [1] * 28 + [2] * 30])
    assert found.weights == pytest.approx([0.5 / 0.2, 0.2 / 0.4, 0.3 / 0.4])
    assert found.shares == pytest.approx([0.5, 0.2, 0.3])
    assert found.answered == pytest.approx([0.42, 0.28, 0.30])


def test_answers_that_fit_to_no_shares_have_a_weight_below_0_and_a_share_of_0():
    counts = np.array([[40, 10], [10, 40]])
    found = shift.estimate(shift.cells(*of_counts(counts), 2), np.eye(2)[[0] * 95 + [1] * 5])
    # 0.4 w0 + 0.1 w1 = 0.95 and 0.1 w0 + 0.4 w1 = 0.05
    assert found.weights == pytest.approx([2.5, -0.5])
    assert found.shares.tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("counts", "reason"),
    [([[25, 25], [25, 25]], "do not tell the labels apart"), ([[50, 0], [0, 0]], "a label has no validation example")],
)
def test_shares_are_not_told_where_they_cannot_be(counts, reason):
    with pytest.raises(TransferlabError, match=reason):
        shift.weights(np.array(counts), np.array([0.5, 0.5]))


@pytest.mark.slow
def test_intervals_of_shares_hold_the_truth_as_often_as_they_say():
    generator, inside = np.random.default_rng(0), 0
    truth, answer = np.array([0.3, 0.5, 0.2]), np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.2], [0.1, 0.1, 0.7]])
    for seed in range(300):
        known, now = generator.choice(3, 300), generator.choice(3, 300, p=truth)
        found, given = (np.array([generator.choice(3, p=answer[:, label]) for label in side]) for side in (known, now))
        cells = shift.cells(list(known[:, None]), list(found[:, None]), 3)
        one = shift.estimate(cells, np.eye(3)[given], 300, seed)
        inside += (one.low <= truth) & (truth <= one.high)
    assert (inside / 300 > 0.91).all()
    assert (inside / 300 < 0.985).all()


# two samples -------------------------------------------------------------------------------------------------------


def direct_mmd(x, y):
    """Equation 3 of Gretton et al., pair by pair."""
    pooled = np.concatenate([x, y])
    squares = [((a - b) ** 2).sum() for n, a in enumerate(pooled) for b in pooled[:n]]
    width = np.median(np.sqrt(squares))
    kernel = lambda a, b: np.exp(-((a - b) ** 2).sum() / (2 * width**2))  # noqa: E731
    within = [np.mean([kernel(a, b) for n, a in enumerate(s) for m, b in enumerate(s) if n != m]) for s in (x, y)]
    return sum(within) - 2 * np.mean([kernel(a, b) for a in x for b in y])


def test_mmd_is_that_of_all_pairs():
    generator = np.random.default_rng(1)
    # an odd number of distances, so that the median of squares is the square of the median
    x, y = generator.normal(size=(5, 3)), generator.normal(0.5, size=(6, 3))
    found = samples.mmd(x, y, permutations=19)
    assert found.value == pytest.approx(direct_mmd(x, y), abs=1e-12)
    # leave each one out, by hand
    squares = [((a - b) ** 2).sum() for n, a in enumerate(np.concatenate([x, y])) for b in np.concatenate([x, y])[:n]]
    kernel = np.exp(-((np.concatenate([x, y])[:, None] - np.concatenate([x, y])) ** 2).sum(-1) / 2 / np.median(squares))
    members = lambda rows: np.isin(np.arange(11), rows)  # noqa: E731
    value = lambda a, b: (  # noqa: E731
        (kernel[np.ix_(a, a)].sum() - a.sum()) / (a.sum() * (a.sum() - 1))
        + (kernel[np.ix_(b, b)].sum() - b.sum()) / (b.sum() * (b.sum() - 1))
        - 2 * kernel[np.ix_(a, b)].mean()
    )
    first, second = members(range(5)), members(range(5, 11))
    without = [np.array([value(first & (np.arange(11) != n), second) for n in range(5)])]
    without += [np.array([value(first, second & (np.arange(11) != n)) for n in range(5, 11)])]
    half = 1.959964 * sum((len(v) - 1) * v.var() for v in without) ** 0.5
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=1e-9)


def test_permutations_by_hand():
    # 20 divisions of 6 into 3 and 3; that of the two groups and its mirror are the farthest apart
    found = samples.mmd(np.array([[0.0], [0.1], [0.2]]), np.array([[9.0], [9.1], [9.2]]), permutations=4000)
    assert found.p == pytest.approx(0.1, abs=0.02)
    shares = samples.shares(np.eye(2)[[0, 0, 0]], np.eye(2)[[1, 1, 1]], permutations=4000)
    assert shares.p == pytest.approx(0.1, abs=0.02)
    assert shares.value == 1


def test_shares_agree_with_the_chi_squared_test():
    one, other = np.eye(3)[[0] * 50 + [1] * 30 + [2] * 20], np.eye(3)[[0] * 60 + [1] * 50 + [2] * 40]
    expected = stats.chi2_contingency([[50, 30, 20], [60, 50, 40]], correction=False).pvalue
    found = samples.shares(one, other, permutations=4000)
    assert found.p == pytest.approx(expected, abs=0.03)
    assert found.value == pytest.approx((abs(0.5 - 0.4) + abs(0.3 - 1 / 3) + abs(0.2 - 4 / 15)) / 2)


def test_numbers_agree_with_scipy():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=40), generator.normal(0.4, 2, size=70)
    found = samples.numbers(one, other)
    interval = stats.ttest_ind(other, one, equal_var=False).confidence_interval()
    assert (found.low, found.high) == pytest.approx(tuple(interval))
    assert found.p == stats.ks_2samp(one, other).pvalue
    assert samples.numbers(np.ones(5), np.ones(4)) == samples.Compared(0, 1, 0, 0)


def test_a_classifier_tells_apart_what_differs_only():
    generator = np.random.default_rng(0)
    one, other = generator.normal(size=(200, 5)), generator.normal(size=(300, 5))
    same, moved = samples.classifier(one, other), samples.classifier(one, other + 1)
    assert same.low < 0.5 < same.high
    assert same.p > 0.05
    assert moved.low > 0.7
    assert moved.p < 1e-6
    hits = round(moved.value * 200)
    assert moved.p == pytest.approx(stats.binom.sf(hits - 1, 200, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mmd", "classifier", "shares", "numbers"])
def test_equal_samples_differ_in_one_of_twenty_and_others_nearly_always(name):
    generator, trials = np.random.default_rng(2), 400
    options = {"mmd": {"permutations": 99}, "shares": {"permutations": 99}}.get(name, {})

    def draw(moved):
        if name == "shares":
            # sentences of four words, whose types go together
            types = generator.choice(3, 80, p=[0.5, 0.3, 0.2] if not moved else [0.2, 0.3, 0.5])
            return 4.0 * np.eye(3)[types]
        if name == "numbers":
            return generator.normal(0.8 * moved, size=80)
        return generator.normal(0.5 * moved, size=(80, 8))

    same = np.mean([getattr(samples, name)(draw(0), draw(0), **options).p <= 0.05 for _ in range(trials)])
    # four standard errors above 5 %
    assert same <= 0.05 + 4 * (0.05 * 0.95 / trials) ** 0.5
    power = np.mean([getattr(samples, name)(draw(0), draw(1), **options).p <= 0.05 for _ in range(50)])
    assert power > 0.9


# kinds -------------------------------------------------------------------------------------------------------------


def test_words_of_types_are_counted_in_any_scheme():
    scheme = Scheme("BIOES")
    task = TaskSpec("ner", "tagging", ("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), ("f1",), scheme=scheme)
    assert measure.classes(task) == ["O", "PER", "LOC"]
    found = measure.answers(task, [["B-PER", "E-PER", "O"], ["S-LOC"]])
    assert found.tolist() == [[1, 2, 0], [0, 0, 1]]
    tags = TaskSpec("pos", "tagging", ("NOUN", "VERB"), ("accuracy",), scheme=Scheme("tags"))
    assert measure.answers(tags, [["NOUN", "_", "VERB"]]).tolist() == [[1, 1]]


def test_each_of_several_labels_is_a_question_of_its_own():
    task = TaskSpec("topics", "multilabel", ("a", "b"), ("f1_micro",))
    assert measure.answers(task, [["a"], ["a", "b"], []]).tolist() == [[1, 0, 0, 1], [1, 1, 0, 0], [0, 0, 1, 1]]
    sides = [(["a"], ["a"])] * 30 + [([], [])] * 30 + [(["b"], ["b"])] * 30 + [([], ["b"])] * 10
    validation = [{"label": gold, "prediction": found} for gold, found in sides]
    new = [{"prediction": ["a"]}] * 60 + [{"prediction": ["b"]}] * 40
    shares, reason = measure.label_shares(task, validation, new)
    assert not reason
    assert shares["a"]["estimated"] == pytest.approx(0.6)
    # 10 of 70 texts without b are given it: 6/7 of the others and all with it, q + (1 - q) / 7 = 0.4
    assert shares["b"]["estimated"] == pytest.approx((0.4 - 1 / 7) / (6 / 7))


def test_rows_are_drawn_with_the_same_chance(tmp_path):
    (tmp_path / "in.txt").write_text("".join(f"{n}\n\n" for n in range(100)), encoding="utf-8")
    seen = np.zeros(100)
    for seed in range(300):
        drawn = inputs.draw(Input(str(tmp_path / "in.txt"), Wanted(("text",))), ("text",), 25, seed)
        assert drawn.read == 100
        assert len(drawn.cells) == 25
        assert drawn.lines == sorted(drawn.lines)
        seen[[int(row["text"]) for row in drawn.cells]] += 1
    # 75 of 300 expected; five standard deviations of a binomial
    assert abs(seen - 75).max() < 5 * (300 * 0.25 * 0.75) ** 0.5


# the command -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_encoder):
    """A finished run of each kind on enough examples, made when it is first asked for, and its files."""
    from transferlab.tasks.embedded import generate
    from transferlab.tasks.table import lookup

    root, known = tmp_path_factory.mktemp("drift"), {}

    def get(kind):
        if kind in known:
            return known[kind]
        folder = root / kind
        folder.mkdir()
        config = "entities" if kind == "tagging" else "sentences"
        rows = [generate(config, "train")[n] for n in range(160)]
        task = lookup("demo_entities" if kind == "tagging" else "demo_sentences")
        names, text = task.labels, task.text[0]
        for row in rows:
            if kind == "tagging":
                row["label"] = [names[tag] for tag in row["tags"]]
            elif kind == "multilabel":
                row["label"] = [name for n, name in enumerate("abc") if len(row["text"]) >> n & 1]
            else:
                row["label"] = len(row["text"]) / 100 if kind == "regression" else names[row["label"]]
        paths = {}
        for split, part in (("train", rows[:60]), ("validation", rows[60:110]), ("test", rows[110:])):
            paths[split] = str(folder / f"{split}.jsonl")
            lines = [json.dumps({text: row[text], "label": row["label"]}) + "\n" for row in part]
            (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
        source = tl.Source(files=paths, text=(text,), kind=kind)
        data = tl.TaskDataModule("tiny", tiny_encoder, source=source, batch_size=16, max_length=64)
        model = tl.FullFineTuning(data.spec, tiny_encoder)
        train(folder / "runs" / "py" / "one", model, data, max_epochs=1)
        known[kind] = folder / "runs" / "py" / "one", paths
        return known[kind]

    return get


def drift(run, *arguments):
    main(["--run", str(run), "--device", "cpu", *map(str, arguments)])


@pytest.mark.parametrize(
    "kind",
    ["classification", "tagging", *(pytest.param(k, marks=pytest.mark.slow) for k in ("multilabel", "regression"))],
)
def test_each_kind(kind, runs, tmp_path, capsys):
    run, paths = runs(kind)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    drift(run, paths["test"], "--output", tmp_path / "out.json", "--picture", tmp_path / "out.png")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["rows"] == {"validation": 50, "new": 50, "read": 50}
    names = [each["name"] for each in found["checks"]]
    first = "predicted values" if kind == "regression" else "predicted labels"
    sure = ["confidence"] if kind in ("classification", "multilabel") else []
    assert names == [first, *sure, "length in tokens", "features (MMD)", "features (classifier)"]
    assert bool(found["labels"]) != ("shares of right labels" in found["left_out"])
    said = capsys.readouterr().out
    assert all(name in said for name in names)
    assert found["verdict"][0] in said
    # the labels of the new texts are known here: the metric is that of the run's test
    recorded = json.loads((run / "summary.json").read_text())["metrics"]
    quality = found["quality"]["new texts"]
    assert quality["value"] == pytest.approx(recorded[f"test/{quality['metric']}"], abs=1e-4)
    assert (tmp_path / "out.png").stat().st_size > 5000


def test_other_texts_have_drifted_and_the_same_have_not(runs, tmp_path):
    run, paths = runs("classification")
    drift(run, paths["validation"], "--output", tmp_path / "same.json", "--fail")
    same = json.loads((tmp_path / "same.json").read_text())
    assert same["verdict"] == ["no drift was found"]
    # the texts of validation again: the very same answers
    assert [each["value"] for each in same["checks"][:3]] == pytest.approx([0, 0, 0], abs=1e-6)
    other = tmp_path / "other.txt"
    other.write_text("".join(f"{'x y z ' * 9}{n}\n" for n in range(60)), encoding="utf-8")
    with pytest.raises(SystemExit, match="1"):
        drift(run, other, "--output", tmp_path / "other.json", "--fail")
    drifted = {each["name"] for each in json.loads((tmp_path / "other.json").read_text())["checks"] if each["drift"]}
    assert {"length in tokens", "features (MMD)", "features (classifier)"} <= drifted


def test_validation_texts_out_of_reach_leave_the_features_out(runs, tmp_path, capsys):
    run, paths = runs("classification")
    text = Path(paths["validation"]).read_text()
    try:
        Path(paths["validation"]).write_text(text.replace("the", "this"), encoding="utf-8")
        drift(run, paths["test"])
    finally:
        Path(paths["validation"]).write_text(text, encoding="utf-8")
    said = capsys.readouterr().out
    assert "left out: features" in said
    assert "changed by content" in said
    assert "predicted labels" in said


def counted(path, task, answers):
    """What the service keeps of answers."""
    from transferlab.use.serving.batcher import Job
    from transferlab.use.serving.keeping import Kept
    from transferlab.use.serving.options import Keep

    kept = Kept(task, ("text",), Keep(counts=path))
    job = SimpleNamespace(model=SimpleNamespace(version="one"), characters=7)
    half = len(answers) // 2
    for part in (answers[:half], answers[half:]):
        kept.batch([cast(Job, job)] * len(part), part, 0.1)
        kept.flush()


@pytest.mark.parametrize("kind", ["classification", "multilabel", "regression"])
def test_counts_of_a_service(kind, tmp_path, capsys):
    labels = () if kind == "regression" else ("a", "b")
    task = TaskSpec("topics", kind, labels, ("accuracy",))
    run = tmp_path / "runs" / "x" / "one"
    (run / "predictions").mkdir(parents=True)
    summary = {"experiment": "x", "status": "finished", "kind": kind, "spec": task._asdict()}
    (run / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    if kind == "regression":
        lines = [{"id": n, "prediction": n % 5, "label": n % 5} for n in range(100)]
        answers = [{"prediction": float(n % 5 + 2)} for n in range(200)]
    else:
        pairs = [("a", "a")] * 40 + [("a", "b")] * 10 + [("b", "b")] * 45 + [("b", "a")] * 5
        lines = [{"id": n, "label": g, "prediction": f, "scores": [0.85, 0.15]} for n, (g, f) in enumerate(pairs)]
        answers = [{"prediction": "ab"[n >= 132], "probability": 0.95} for n in range(200)]
    if kind == "multilabel":
        lines = [{**line, "label": [line["label"]], "prediction": [line["prediction"]]} for line in lines]
        answers = [{"prediction": [answer["prediction"]]} for answer in answers]
    (run / "predictions" / "validation.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    counted(tmp_path / "counts.jsonl", task, answers)
    arguments = ["--run", str(run), "--counts", str(tmp_path / "counts.jsonl"), "--output", str(tmp_path / "out.json")]
    main(arguments)
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["rows"]["new"] == 200
    assert "drifted" in found["verdict"][0]
    if kind == "regression":
        one, other = np.arange(100) % 5, np.arange(200) % 5 + 2.0
        interval = stats.ttest_ind(other, one, equal_var=False).confidence_interval()
        assert [found["checks"][0][key] for key in ("low", "high")] == pytest.approx(list(interval))
        return
    # as by hand above: 66 % answers a come from 80 % texts of a
    assert found["labels"]["a"]["estimated"] == pytest.approx(0.8)
    assert found["labels"]["a"]["low"] < 0.8 < found["labels"]["a"]["high"]
    chi = stats.chi2_contingency([[45, 55], [132, 68]], correction=False).pvalue
    if kind == "classification":
        assert found["checks"][0]["p"] == pytest.approx(chi)
        assert found["checks"][1]["value"] == 1
    else:
        # two labels, so twice the p-value
        assert found["checks"][0]["p"] == pytest.approx(2 * chi)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either INPUT, a file of texts, or --counts FILE"),
        (["--counts", "few.txt"], "few.txt holds no counts"),
        (["few.txt"], r"few.txt: 2 row\(s\) with text; 20 are needed"),
        (["--rows", "3", "few.txt"], "--rows: 3 rows say nothing"),
        (["many.csv"], "there is no column 'text'"),
        (
            ["many.csv", "--text", "body", "--label", "nope"],
            "--label: many.csv has no column 'nope'; it has body, mood",
        ),
        (["many.csv", "--text", "body", "--label", "mood"], "many.csv, line 2: unknown label 'odd'"),
    ],
)
def test_what_cannot_be_compared(arguments, message, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "few.txt").write_text("a\nb\n", encoding="utf-8")
    (tmp_path / "many.csv").write_text("body,mood\n" + "some text,odd\n" * 30, encoding="utf-8")
    with pytest.raises(TransferlabError, match=message):
        drift(runs("classification")[0], *arguments)
