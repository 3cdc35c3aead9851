"""Few labels: draws of so many examples a class, heads read off the training vectors, contrastive tuning."""

import numpy as np
import pytest
import torch
from conftest import logits_of
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from test_convex import EXACT, build

from transferlab.ground.errors import TransferlabError
from transferlab.learning.heads import HeadConfig
from transferlab.learning.nearby import Neighbours, class_means
from transferlab.strategies import Contrastive, solved
from transferlab.strategies.contrastive import pair_loss
from transferlab.tasks.selection import Protocol, carve, name_of, selecting
from transferlab.tasks.spec import TaskSpec

TASK = TaskSpec("toy", "classification", ("a", "b", "c"), ("accuracy",))
LABELS = np.repeat([0, 1, 2], [60, 30, 10])[np.random.default_rng(0).permutation(100)]


# draws ----------------------------------------------------------------------------------------------------------------


def test_a_draw_has_as_many_of_every_class_and_is_part_of_a_larger_one():
    small, held = carve(LABELS, 100, Protocol(per_class=2, seed=3), True)
    large, held_too = carve(LABELS, 100, Protocol(per_class=5, seed=3), True)
    other, _ = carve(LABELS, 100, Protocol(per_class=5, seed=4), True)
    assert np.bincount(LABELS[small]).tolist() == [2, 2, 2]
    assert np.bincount(LABELS[large]).tolist() == [5, 5, 5]
    assert np.isin(small, large).all()
    assert not np.array_equal(large, other)
    assert (held == held_too).all()
    assert not np.intersect1d(large, held).size


def test_a_class_with_too_few_examples_and_two_sizes_are_refused():
    with pytest.raises(TransferlabError, match=r"data.per_class: 12 .* class 2 has 9 "):
        carve(LABELS, 100, Protocol(per_class=12), True)
    with pytest.raises(TransferlabError, match=r"class 'rare' has 9 "):
        carve(LABELS, 100, Protocol(per_class=12), True, names=("often", "seldom", "rare"))
    with pytest.raises(TransferlabError, match=r"data.train_examples and data.per_class exclude each other"):
        carve(LABELS, 100, Protocol(per_class=2, train_examples=20), True)


def test_few_examples_select_where_few_train():
    rows = np.arange(1000, 3000)
    few, more = (selecting(rows, 50, Protocol(validation_examples=most, seed=3)) for most in (20, 200))
    assert (len(few), len(more)) == (20, 200)
    assert np.isin(few, more).all()
    assert np.isin(more, rows).all()
    assert not np.array_equal(few, selecting(rows, 50, Protocol(validation_examples=20, seed=4)))
    lengths = {
        trained: len(selecting(rows, trained, Protocol(validation_examples="training"))) for trained in (50, 400, 5000)
    }
    assert lengths == {50: 100, 400: 400, 5000: 2000}
    assert selecting(rows, 50, Protocol()) is rows
    assert name_of(Protocol(validation_examples=1500), "text") == "holdout by text, at most 1,500 select"


def test_the_training_examples_stay_where_fewer_select(data):
    whole, few = data(), data(validation_examples=2)
    assert np.array_equal(whole.part_rows("train")[1], few.part_rows("train")[1])
    assert len(few.part_rows("validation")[1]) == 2 < len(whole.part_rows("validation")[1])
    with pytest.raises(TransferlabError, match=r"data.validation_examples"):
        data(validation_examples=1)


def test_only_classes_are_drawn_by_class(data):
    module = data(per_class=3)
    assert np.bincount(module.part_labels()).tolist() == [3, 3]
    with pytest.raises(TransferlabError, match=r"data.per_class: examples of a tagging task"):
        data("tagging", per_class=3)


# heads ----------------------------------------------------------------------------------------------------------------


def points(rows=30, width=4, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.arange(rows) % 3
    return generator.normal(size=(rows, width)) + labels[:, None], labels


def test_class_means_by_hand_and_by_scikit_learn():
    x = torch.tensor([[0.0, 0.0], [2.0, 0.0], [4.0, 2.0]])
    linear = class_means(x, torch.tensor([0, 0, 1]), 3, scale=2.0)
    assert linear.weight.tolist() == [[2.0, 0.0], [8.0, 4.0], [0.0, 0.0]]
    # -s |m|^2 / 2, and a class without an example is never answered
    assert linear.bias.tolist() == [-1.0, -20.0, -1e4]
    x, y = points()
    known = NearestCentroid().fit(x, y)
    asked = torch.from_numpy(points(seed=1)[0])
    for scale in (0.1, 10.0):
        found = class_means(torch.from_numpy(x), torch.from_numpy(y), 3, scale)(asked)
        assert (found.argmax(-1).numpy() == known.predict(asked.numpy())).all()


def test_neighbours_vote_as_those_of_scikit_learn():
    x, y = points()
    asked = points(seed=1)[0]
    head = Neighbours(TASK, 30, 4)
    head.remember(torch.from_numpy(x), torch.from_numpy(y))
    for k in (1, 5):
        head.k.fill_(k)
        found = head(torch.from_numpy(asked).float()).exp().detach().numpy()
        known = (KNeighborsClassifier(k).fit(x, y).predict_proba(asked) * k + 1 / 3) / (k + 1)
        np.testing.assert_allclose(found, known, atol=1.1e-3)
        np.testing.assert_allclose(found.sum(-1), 1, atol=1e-6)


def test_of_equal_votes_the_nearer_win_and_targets_are_averaged():
    x = torch.tensor([[0.0], [1.0], [3.0], [9.0]])
    head = Neighbours(TASK, 4, 1)
    head.remember(x, torch.tensor([0, 2, 2, 1]))
    head.k.fill_(2)
    assert head(torch.tensor([[0.4], [0.6]])).argmax(-1).tolist() == [0, 2]
    targets = Neighbours(TaskSpec("toy", "regression", (), ("mse",)), 4, 1)
    targets.remember(x, torch.tensor([1.0, 2.0, 4.0, 8.0]))
    targets.k.fill_(2)
    assert targets(torch.tensor([[0.4], [8.0]])).flatten().tolist() == [1.5, 6.0]
    flags = Neighbours(TaskSpec("toy", "multilabel", ("a", "b"), ("f1_micro",)), 4, 1)
    flags.remember(x, torch.tensor([[1, 0], [1, 1], [0, 1], [0, 1]]))
    flags.k.fill_(2)
    # both neighbours have the first label, one of them the second: (n + 1/2) / (k + 1)
    np.testing.assert_allclose(flags(torch.tensor([[0.4]])).sigmoid().tolist(), [[2.5 / 3, 0.5]], atol=1e-3)


@pytest.mark.parametrize(
    ("solver", "kind"),
    [("nearest_mean", "classification"), ("nearest_mean", "tagging"), ("knn", "pairs"), ("knn", "multilabel")],
)
def test_a_run_with_such_a_head_is_restored_as_it_was(solver, kind, data, tiny_encoder, fit, tmp_path):
    module = data(kind)
    model = build(module, tiny_encoder, solver=solver)
    trainer = fit(model, model.wrap_data(module, EXACT), limit_val_batches=None)
    assert trainer.global_step == 1
    said = {"nearest_mean": "the nearest of the class means, scale", "knn": "nearest of 36 training vectors of"}
    assert said[solver] in model.findings()["solver"]
    trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    fresh, stored = build(module, tiny_encoder, solver=solver), torch.load(tmp_path / "best.ckpt", weights_only=True)
    fresh.on_load_checkpoint(stored)
    fresh.load_state_dict(stored["state_dict"], strict=False)
    batch = next(iter(module.whole_split("test")))
    torch.testing.assert_close(logits_of(fresh, batch), logits_of(model, batch), atol=0, rtol=0)


def test_a_value_that_is_set_is_not_searched(data, tiny_encoder, fit):
    module = data("classification")
    for solver, options in (("lbfgs", {"strength": 1.0}), ("knn", {"neighbours": 3})):
        model = build(module, tiny_encoder, solver=solver, **options)
        fit(model, model.wrap_data(module, EXACT))
        assert "the only one" in model.findings()["solver"]
    many = build(module, tiny_encoder, solver="knn", neighbours=5000)
    fit(many, many.wrap_data(module, EXACT))
    rows = len(module.training_rows()[1])
    assert f"the {rows} nearest of {rows} training vectors (model.neighbours: 5000 is more" in many.findings()["solver"]
    assert many.head.out.k == rows
    told = build(module, tiny_encoder, solver="knn", strength=1.0).without_effect()
    assert told == {"model.strength": "knn has no penalty and no scale"}


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("tagging", {"solver": "knn"}, "model.solver: knn would keep the vector of every training word"),
        ("regression", {"solver": "nearest_mean"}, "nearest_mean needs one class"),
        ("classification", {"solver": "nearest_mean", "loss": "weighted"}, "which minimises no loss"),
    ],
)
def test_heads_that_do_not_fit_are_refused(kind, options, message, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=message):
        build(data(kind), tiny_encoder, **options)


# contrastive tuning ---------------------------------------------------------------------------------------------------


def test_the_pair_loss_by_hand():
    vectors = torch.tensor([[3.0, 0.0], [3.0, 4.0], [0.0, 2.0]])
    # cosines: 0.6 of the pair of one class, 0 and 0.8 of the others
    labels = torch.tensor([0, 0, 1])
    assert float(pair_loss(vectors, labels)) == pytest.approx((0.4**2 + (0 + 0.8**2) / 2) / 2)
    assert float(pair_loss(vectors, torch.zeros(3))) == pytest.approx((0.4**2 + 1 + 0.2**2) / 3)
    assert float(pair_loss(vectors[:1], labels[:1])) == 0


def contrastive(module, encoder, **options):
    return Contrastive(module.spec, encoder, **options)


def test_pairs_move_the_encoder_and_the_head_is_solved_on_what_it_then_gives(data, tiny_encoder, fit, tmp_path):
    module = data("classification")
    model = contrastive(module, tiny_encoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = fit(model, module, max_epochs=2, limit_train_batches=None)
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved <= model.learned()
    assert {"head.out.weight", "head.out.bias"} <= moved
    assert not any("embeddings" in name for name in moved)
    assert any("encoder.backbone" in name for name in moved)
    split, rows = module.part_rows("train")
    batch = module.encoded(split).collate(rows.tolist())
    model.eval()
    with torch.no_grad():
        part = solved.Part(model.head.scaled(model.represent(batch)[0]), batch.labels)
    known = solved.solve(module.spec, part, None, None, solved.Ask("lbfgs", 1.0))
    torch.testing.assert_close(model.head.out.weight, known.out.weight.float(), atol=1e-4, rtol=1e-4)
    trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    stored = torch.load(tmp_path / "best.ckpt", weights_only=True)
    fresh = contrastive(module, tiny_encoder)
    fresh.on_load_checkpoint(stored)
    fresh.load_state_dict(stored["state_dict"], strict=False)
    assert fresh.findings() == model.findings()
    asked = next(iter(module.whole_split("test")))
    torch.testing.assert_close(logits_of(fresh, asked), logits_of(model, asked), atol=0, rtol=0)


@pytest.mark.parametrize("solver", ["knn", "nearest_mean"])
def test_other_heads_stand_on_the_tuned_encoder_too(solver, data, tiny_encoder, fit, tmp_path):
    module = data("pairs")
    model = contrastive(module, tiny_encoder, solver=solver, neighbours=3)
    trainer = fit(model, module)
    trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    stored = torch.load(tmp_path / "best.ckpt", weights_only=True)
    fresh = contrastive(module, tiny_encoder, solver=solver, neighbours=3)
    fresh.on_load_checkpoint(stored)
    fresh.load_state_dict(stored["state_dict"], strict=False)
    asked = next(iter(module.whole_split("test")))
    torch.testing.assert_close(logits_of(fresh, asked), logits_of(model, asked), atol=0, rtol=0)
    assert "on the vectors of 36 training examples" in model.findings()["solver"]


def test_what_has_no_single_label_is_refused(data, tiny_encoder):
    for kind, options, message in (
        ("tagging", {}, "examples of a tagging task"),
        ("classification", {"solver": "sgd"}, "model.solver: sgd"),
        ("classification", {"head": HeadConfig("mlp")}, "model.head.kind: mlp"),
    ):
        with pytest.raises(TransferlabError, match=message):
            contrastive(data(kind), tiny_encoder, **options)
    apart = data("pairs", pairs="apart")
    with pytest.raises(TransferlabError, match="data.pairs: apart"):
        contrastive(apart, tiny_encoder)
