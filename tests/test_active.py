"""Active learning: what is chosen by hand computation, a simulation, and the command."""

import csv
import json
from types import SimpleNamespace

import numpy as np
import pytest
from test_api import train

import transferlab as tl
from transferlab.analysis.page import robust
from transferlab.ground.errors import TransferlabError
from transferlab.use.active import command, options
from transferlab.use.active.choose import STRATEGIES, badge, choose, core_set
from transferlab.use.active.pool import new_texts
from transferlab.use.active.simulate import simulate

SCORES = np.array([[0.9, 0.05, 0.05], [0.5, 0.5, 0.0], [0.4, 0.3, 0.3], [0.6, 0.2, 0.2]])
VECTORS = np.eye(4)
NONE = np.zeros((0, 4))


def test_the_options_name_what_there_is():
    assert options.STRATEGIES == STRATEGIES


@pytest.mark.parametrize(
    ("strategy", "wanted"),
    [("least_confidence", [2, 1, 3, 0]), ("margin", [1, 2, 3, 0]), ("entropy", [2, 3, 1, 0])],
)
def test_uncertainty_by_hand(strategy, wanted):
    # entropies: 0.39, 0.69, 1.09, 0.95
    assert choose(strategy, SCORES, VECTORS, NONE, 4, 0).tolist() == wanted


def test_ties_are_broken_by_the_seed():
    even = np.full((40, 2), 0.5)
    first, again, other = (choose("margin", even, np.eye(40), NONE, 5, seed).tolist() for seed in (0, 0, 1))
    assert first == again != other


def test_a_core_set_is_farthest_first():
    angles = np.deg2rad([0, 10, 90, 180, 170])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1) * 3
    known = vectors[:1]
    found = core_set(vectors[1:], known, 4, np.random.default_rng(0))
    # 180 degrees from the labelled one, then 90, then both 10 from the nearest, in any order
    assert found[:2].tolist() == [2, 1]
    assert sorted(found[2:].tolist()) == [0, 3]


def test_badge_takes_the_longest_gradient_first_and_then_by_the_distance_of_laid_out_gradients():
    generator = np.random.default_rng(0)
    scores = generator.dirichlet(np.ones(3), size=30)
    vectors = generator.normal(size=(30, 5))
    residues = scores.copy()
    residues[np.arange(30), scores.argmax(1)] -= 1
    gradients = np.einsum("nc,nw->ncw", residues, vectors).reshape(30, -1)

    def by_hand(count, draw):
        chosen = [int((gradients**2).sum(1).argmax())]
        draw.permutation(30)
        while len(chosen) < count:
            squared = ((gradients[:, None] - gradients[chosen]) ** 2).sum(-1).min(1)
            chosen.append(int(draw.choice(30, p=squared / squared.sum())))
        return chosen

    assert badge(scores, vectors, 8, np.random.default_rng(5)).tolist() == by_hand(8, np.random.default_rng(5))
    # texts that are all the same are taken once each
    assert sorted(badge(np.full((3, 2), 0.5), np.ones((3, 4)), 3, generator).tolist()) == [0, 1, 2]


def test_what_a_task_does_not_have_is_refused():
    with pytest.raises(TransferlabError, match=r"--strategy: badge reads probabilities"):
        choose("badge", None, VECTORS, NONE, 2, 0)
    with pytest.raises(TransferlabError, match=r"--count: 5 texts are wanted, and the pool has 4"):
        choose("random", SCORES, VECTORS, NONE, 5, 0)


def test_texts_that_a_run_knows_are_left_out_by_content():
    rows = [{"text": text} for text in ("A  film", "new", "New ", "tested")]
    known = {'["a film"]': "training", '["tested"]': "test"}
    left, notes = new_texts(rows, ("text",), known)
    assert left == [{"text": "new"}]
    assert notes == [
        "1 texts stand in the training set of the run and are left out",
        "1 texts stand in the pool twice and are left out",
        "1 texts stand in the test set of the run and are left out",
    ]


def test_a_simulation_pairs_the_seeds_and_starts_alike():
    generator = np.random.default_rng(0)
    labels = generator.integers(2, size=300)
    vectors = generator.normal(size=(300, 8)) + labels[:, None] * 1.5
    curves = simulate(vectors, labels, (10, 30), 3, ("random", "margin", "core_set"))
    assert list(curves) == ["random", "margin", "core_set"]
    for curve in curves.values():
        # the first labels are the same ones
        assert (curve.scores[:, 0] == curves["random"].scores[:, 0]).all()
    assert curves["random"].gains is None
    gains = curves["margin"].scores - curves["random"].scores
    mean, low, high = curves["margin"].gains[1]
    assert mean == pytest.approx(gains[:, 1].mean())
    assert high - mean == pytest.approx(4.302653 * gains[:, 1].std(ddof=1) / 3**0.5, rel=1e-4)
    assert low <= mean <= high


@pytest.fixture(scope="module")
def a_run(tmp_path_factory, tiny_encoder):
    """A finished run on files, and its training texts."""
    from transferlab.tasks.embedded import generate

    folder = tmp_path_factory.mktemp("active")
    rows = [generate("sentences", "train")[number] for number in range(80)]
    for split, part in (("train", rows[:40]), ("validation", rows[40:60]), ("test", rows[60:])):
        lines = [json.dumps({"text": row["text"], "label": "ab"[row["label"]]}) + "\n" for row in part]
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "validation", "test")}
    data = tl.TaskDataModule("tiny", tiny_encoder, source=tl.Source(files=files), batch_size=16, max_length=64)
    model = tl.FeatureExtraction(data.spec, tiny_encoder, tl.HeadConfig(), solver="nearest_mean")
    train(folder / "runs" / "py" / "one", model, data, max_epochs=1)
    return folder / "runs" / "py" / "one", [row["text"] for row in rows[:40]]


def test_the_command_writes_new_texts_with_an_empty_label(a_run, tmp_path, capsys):
    root, known = a_run
    pool = tmp_path / "pool.csv"
    texts = [*known[:3], *(f"a film number {number} that was said" for number in range(30))]
    with pool.open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in texts)])
    for strategy in ("badge", "core_set"):
        output = tmp_path / f"{strategy}.csv"
        options.main([str(pool), "--run", str(root), "--strategy", strategy, "--count", "4", "--output", str(output)])
        rows = list(csv.DictReader(output.open()))
        assert len({row["text"] for row in rows}) == 4
        assert not {row["text"] for row in rows} & set(known)
        assert {row["label"] for row in rows} == {""}
        assert all(0.5 <= float(row["probability"]) <= 1 for row in rows)
    assert "3 texts stand in the training set of the run" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--count", "0"], "--count: 0 is below 1"),
        (["--rows", "0"], "--rows: 0 is below 1"),
        (["--simulate", "0"], "--simulate: 0 is below 2"),
        (["--simulate", "1"], "--simulate: 1 is below 2"),
        (["--simulate", "3", "--sizes", "0", "10"], "--sizes: 0 is below 1"),
        (["--simulate", "3", "--output", "curves.csv"], "end curves.csv in .json"),
        (["--simulate", "3", "--sizes", "4"], "all labels of .* are 'a'; a simulation needs two classes"),
        (["--simulate", "3", "--sizes", "40"], "40 labels are wanted, but .* has 20 texts"),
    ],
)
def test_numbers_that_ask_for_nothing_are_refused(given, message, a_run, tmp_path):
    pool, labels = tmp_path / "pool.csv", "aa" if "4" in given else "ab"
    with pool.open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([f"film {at}", labels[at % 2]] for at in range(20))])
    with pytest.raises(TransferlabError, match=message):
        options.main([str(pool), "--run", str(a_run[0]), *given])


def test_a_simulation_is_written_where_it_is_asked_for(a_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("pool.csv", "w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([f"film {at}", "ab"[at % 2]] for at in range(20))])
    asked = ["pool.csv", "--run", str(a_run[0]), "--simulate", "2", "--sizes", "4", "2", "4"]
    options.main(asked)
    assert [path.name for path in tmp_path.glob("*.*")] == ["pool.csv"]
    options.main([*asked, "--output", "curves.json"])
    assert json.loads((tmp_path / "curves.json").read_text())["sizes"] == [2, 4]


def test_a_small_pool_is_read_and_an_empty_one_refused(a_run, tmp_path):
    pool, output = tmp_path / "pool.csv", tmp_path / "next.csv"
    asked = [str(pool), "--run", str(a_run[0]), "--count", "1", "--output", str(output)]
    pool.write_text("text\na film that nobody has seen\na book\n", encoding="utf-8")
    options.main(asked)
    assert len(list(csv.DictReader(output.open()))) == 1
    pool.write_text('text\n" "\n', encoding="utf-8")
    with pytest.raises(TransferlabError, match="pool.csv has no row with text"):
        options.main(asked)


def test_words_and_answers_to_them_are_written_as_json(tmp_path):
    output = tmp_path / "next.csv"
    answer = {"intent": "ask", "slots": ["O", "B-city"]}
    asked = SimpleNamespace(output=output, label=None)
    command._write(asked, [{"tokens": ["to", "Rome"]}], [{"prediction": answer}], "tags")
    (row,) = csv.DictReader(output.open())
    assert json.loads(row["tokens"]) == ["to", "Rome"]
    assert json.loads(row["predicted"]) == answer
    assert robust._prediction(answer) == "ask (O B-city)"
