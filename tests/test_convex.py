"""Solved heads: the solution is scikit-learn's, and a run with one is a run like any other."""

import json
import signal
from dataclasses import replace
from functools import partial

import kills
import numpy as np
import pytest
import torch
from conftest import logits_of
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from transferlab.ground.errors import TransferlabError
from transferlab.learning import convex
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.imbalance import class_weights, flag_weights
from transferlab.learning.optim import Schedule
from transferlab.strategies import FeatureExtraction, FullFineTuning, solved

STRENGTHS = (1e-2, 1.0, 1e2)


def features(rows, width, seed=0):
    generator = np.random.default_rng(seed)
    # directions of very unequal size, far from the origin
    return generator.normal(size=(rows, width)) * np.logspace(0, -2, width) + generator.normal(size=width)


def noisy_labels(x, classes, seed=1):
    generator = np.random.default_rng(seed)
    x = x - x.mean(0)
    return (x @ generator.normal(size=(x.shape[1], classes)) + generator.gumbel(size=(len(x), classes))).argmax(1)


def logistic(strength, **options):
    return LogisticRegression(C=strength, tol=1e-9, max_iter=100_000, **options)


@pytest.mark.parametrize("strength", STRENGTHS)
@pytest.mark.parametrize(("rows", "width", "classes"), [(120, 6, 2), (120, 6, 3), (30, 50, 3)])
def test_multinomial_is_that_of_scikit_learn(rows, width, classes, strength):
    x = features(rows, width)
    y = noisy_labels(x, classes)
    found = convex.multinomial(convex.Basis(torch.from_numpy(x)), torch.from_numpy(y), classes, strength, None)
    known = logistic(strength).fit(x, y)
    np.testing.assert_allclose(found(torch.from_numpy(x)).softmax(-1), known.predict_proba(x), atol=1e-4)
    weight = found.weight.numpy()
    np.testing.assert_allclose(
        weight[1:] - weight[:1] if classes == 2 else weight, known.coef_, atol=1e-4 * np.abs(known.coef_).max()
    )


def test_weights_of_rows_are_sample_weights():
    x = features(120, 6)
    y = noisy_labels(x, 3) * (np.arange(120) % 3 > 0)
    weights = class_weights(y, 3)[torch.from_numpy(y)]
    found = convex.multinomial(convex.Basis(torch.from_numpy(x)), torch.from_numpy(y), 3, 1.0, weights)
    known = logistic(1.0, class_weight="balanced").fit(x, y)
    np.testing.assert_allclose(found.weight, known.coef_, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_one_against_rest_is_that_of_scikit_learn(weighted):
    x = features(150, 5)
    flags = np.stack([noisy_labels(x, 2, seed) for seed in (2, 3)], 1)
    weights = None
    if weighted:
        pairs = flag_weights(flags)
        weights = torch.where(torch.from_numpy(flags) > 0, pairs[1], pairs[0])
    found = convex.one_against_rest(convex.Basis(torch.from_numpy(x)), torch.from_numpy(flags), 3.0, weights)
    known = OneVsRestClassifier(logistic(3.0, class_weight="balanced" if weighted else None)).fit(x, flags)
    np.testing.assert_allclose(found.weight, np.concatenate([one.coef_ for one in known.estimators_]), atol=1e-4)
    np.testing.assert_allclose(found.bias, np.concatenate([one.intercept_ for one in known.estimators_]), atol=1e-3)


@pytest.mark.parametrize("width", [5, 60])
def test_ridge_is_that_of_scikit_learn(width):
    x = features(40, width)
    y = x @ np.ones(width) + np.random.default_rng(5).normal(size=40)
    for strength in STRENGTHS:
        found = convex.ridge(convex.Basis(torch.from_numpy(x)), torch.from_numpy(y), strength)
        known = Ridge(alpha=1 / strength).fit(x, y)
        np.testing.assert_allclose(found.weight[0], known.coef_, atol=1e-6)
        np.testing.assert_allclose(found.bias[0], known.intercept_, atol=1e-6)


def test_a_start_elsewhere_ends_at_the_same_solution():
    x = torch.from_numpy(features(100, 8))
    y = torch.from_numpy(noisy_labels(x.numpy(), 3))
    basis = convex.Basis(x)
    begun = convex.multinomial(basis, y, 3, 1e-3, None)
    there, directly = (convex.multinomial(basis, y, 3, 10.0, None, start) for start in (begun, None))
    torch.testing.assert_close(there.weight, directly.weight, atol=1e-4, rtol=0)


def test_a_class_that_training_never_saw_has_a_finite_bias_and_no_probability():
    x = torch.from_numpy(features(60, 4))
    y = torch.from_numpy(noisy_labels(x.numpy(), 2))
    found = convex.multinomial(convex.Basis(x), y, 3, 1.0, None)
    assert torch.isfinite(found.bias).all()
    assert found(x).softmax(-1)[:, 2].max() < 1e-3
    known = logistic(2.0).fit(x, y)
    np.testing.assert_allclose(found.weight[1] - found.weight[0], known.coef_[0], atol=2e-3)


# in a run -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    """Few strengths, for speed."""
    monkeypatch.setattr(solved, "STRENGTHS", (1e-2, 0.1, 1.0))


def build(module, encoder, **options):
    return FeatureExtraction(module.spec, encoder, **{"head": HeadConfig(), "solver": "lbfgs", **options})


EXACT = Work(CacheConfig(precision="32"))


@pytest.mark.parametrize("kind", ["classification", "regression", "pairs", "tagging", "multilabel", "windows"])
def test_a_run_takes_one_step_to_the_solution(kind, data, tiny_encoder, fit, tmp_path, few):
    module = data(kind)
    model = build(module, tiny_encoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trainer = fit(model, model.wrap_data(module, EXACT), max_epochs=5, limit_val_batches=None)
    assert (trainer.global_step, trainer.current_epoch) == (1, 1)
    assert float(trainer.callback_metrics["train/loss"]) > 0
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved - {"thresholds"} == {"head.out.weight", "head.out.bias"}
    assert model.findings()["solver"].startswith("L-BFGS to convergence, C ")
    assert model.findings()["solver"].endswith("so trainer.max_epochs 5 has no effect")
    # the same on every start
    again = build(module, tiny_encoder)
    fit(again, again.wrap_data(module, EXACT))
    assert "no effect" not in again.findings()["solver"]
    torch.testing.assert_close(again.head.out.weight, model.head.out.weight, atol=0, rtol=0)
    trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    fresh, stored = build(module, tiny_encoder), torch.load(tmp_path / "best.ckpt", weights_only=True)
    fresh.on_load_checkpoint(stored)
    fresh.load_state_dict(stored["state_dict"], strict=False)
    assert fresh.findings() == model.findings()
    batch = next(iter(module.whole_split("test")))
    torch.testing.assert_close(logits_of(fresh, batch), logits_of(model, batch), atol=0, rtol=0)


@pytest.mark.parametrize("unit", [None, True])
def test_the_head_is_scikit_learns_at_the_strength_that_is_best_on_the_validation_set(
    unit, data, tiny_encoder, fit, few
):
    module = data("classification")
    model = build(module, tiny_encoder, head=HeadConfig(unit=unit))
    fit(model, model.wrap_data(module, EXACT))
    parts = {}
    for part in ("train", "validation"):
        (batch,) = solved.whole_batches(module, *module.part_rows(part))
        parts[part] = model.head.scaled(batch.features).double().numpy(), batch.labels.numpy()
    x, y = parts["validation"]
    losses = {}
    for strength in solved.STRENGTHS:
        one = logistic(strength).fit(*parts["train"])
        losses[strength] = -one.predict_log_proba(x)[np.arange(len(y)), y].mean()
    best = min(losses, key=losses.get)
    assert f"C {best:.3g} of" in model.findings()["solver"]
    assert f"loss {losses[best]:.4f} on" in model.findings()["solver"]
    known = logistic(best).fit(*parts["train"])
    found = logits_of(model, next(iter(module.whole_split("test")))).softmax(-1)
    fresh = module.loader("test", np.arange(8))
    vectors = model.head.scaled(next(iter(fresh)).features).double().numpy()
    assert (np.allclose(np.linalg.norm(vectors, axis=1), 1)) == bool(unit)
    np.testing.assert_allclose(found, known.predict_proba(vectors), atol=1e-4)


def test_rates_that_a_solved_head_does_not_read_are_told(data, tiny_encoder):
    module = data()
    assert not build(module, tiny_encoder).without_effect()
    options = {"optimizer": partial(torch.optim.AdamW, lr=0.5), "schedule": Schedule("cosine")}
    told = build(module, tiny_encoder, head=HeadConfig(lr=0.1), **options).without_effect()
    assert set(told) == {"model.head.lr", "model.optimizer", "model.schedule"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": HeadConfig("mlp")}, "model.head.kind: mlp is not"),
        ({"head": HeadConfig("bilstm")}, "model.head.kind: bilstm is not"),
        ({"loss": "focal"}, "model.loss: focal is not"),
    ],
)
def test_what_is_not_convex_is_refused(options, message, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=message):
        build(data(), tiny_encoder, **options)


def test_without_a_cache_or_with_drawn_classes_nothing_is_solved(files, data, tiny_encoder, fit):
    module = data()
    with pytest.raises(TransferlabError, match=r"needs cached features, but .*cache.enabled is false"):
        build(module, tiny_encoder).wrap_data(module, Work(CacheConfig(enabled=False)))
    with pytest.raises(TransferlabError, match="FrozenWork"):
        fit(build(module, tiny_encoder), module)
    drawn = data(sampling="balanced")
    with pytest.raises(TransferlabError, match="data.sampling: balanced draws"):
        build(drawn, tiny_encoder).wrap_data(drawn)


def test_data_that_a_head_was_solved_on_still_train_another_strategy_in_batches(data, tiny_encoder):
    module = data()
    build(module, tiny_encoder).wrap_data(module)
    assert len(module.train_dataloader()) == 1
    module.attached = {}
    FullFineTuning(module.spec, tiny_encoder).wrap_data(module)
    assert len(module.train_dataloader()) > 1


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_of_a_mix_the_layers_are_chosen_that_have_the_least_loss_on_the_validation_set(
    kind, data, tiny_encoder, fit, few
):
    module = data(kind)
    model = build(module, replace(tiny_encoder, layers="mix"))
    fit(model, model.wrap_data(module, EXACT))
    losses, heads = {}, {}
    for number in range(2, 0, -1):
        # the same layer as the top one of a shallower encoder
        encoder = replace(tiny_encoder, keep_layers=tuple(range(number)))
        single = data(kind, encoder=encoder)
        alone = build(single, encoder)
        fit(alone, alone.wrap_data(single, EXACT))
        losses[f"layer {number} of 2"] = float(alone.findings()["solver"].split("loss ")[1].split()[0])
        heads[f"layer {number} of 2"] = alone
    said = model.findings()
    assert float(said["solver"].split("loss ")[1].split()[0]) <= min(losses.values())
    assert "of 4 mixes" in said["layers"]
    chosen = said["layers"].split(", of")[0]
    if chosen in losses:
        torch.testing.assert_close(model.head.out.weight, heads[chosen].head.out.weight, atol=1e-3, rtol=1e-3)
    # the head reads what it was solved on, not the mix that was tried last
    torch.testing.assert_close(model.encoder.mix.weights.cpu(), solved.mixes(3)[chosen])
    batch = next(iter(module.whole_split("test")))
    plain = module.encoded("test").collate(batch.index.tolist())
    found, wanted = logits_of(model, batch), logits_of(model, plain)
    if kind == "tagging":
        # no prediction is read where there is no word, or none that was read
        found, wanted = found[batch.words >= 0], wanted[plain.words >= 0]
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)
    with pytest.raises(TransferlabError, match="encoder.pooling: max"):
        build(module, replace(tiny_encoder, layers="mix", pooling="max"))


@pytest.mark.slow
def test_a_solved_run_that_is_killed_anywhere_ends_as_one_left_alone(tmp_path, tiny_folder):
    options = {"data.init_args.task": "demo_pairs", "data.init_args.pairs": "apart", "encoder.layers": "mix"}
    options |= {kills.STEPS: 1, "trainer.max_epochs": 1}
    arguments = {"solver": "lbfgs", "head": {"kind": "linear"}}
    kills.write_experiment(tmp_path, tiny_folder, "FeatureExtraction", arguments, options)
    assert kills.transferlab(tmp_path, *kills.FIT, "runs/whole") == 0, kills.output(tmp_path)
    for moment in ("on_train_batch_start", "on_train_batch_end", "on_train_epoch_end", "on_train_end"):
        hook = kills.Hook(0, moment=moment)
        assert kills.transferlab(tmp_path, *kills.FIT, "runs/killed", hook=hook) == -signal.SIGKILL
    assert kills.transferlab(tmp_path, *kills.FIT, "runs/killed") == 0, kills.output(tmp_path)
    kills.check_equal(tmp_path / "runs" / "killed", tmp_path / "runs" / "whole")
    one, other = (json.loads((tmp_path / "runs" / name / "summary.json").read_text()) for name in ("killed", "whole"))
    assert one["findings"] == other["findings"]
    assert one["layer_mix"] == other["layer_mix"]


def test_a_weighted_loss_weighs_the_examples(data, tiny_encoder, fit, few):
    module = data("tagging")
    plain, weighted = build(module, tiny_encoder), build(module, tiny_encoder, loss="weighted")
    for model in (plain, weighted):
        model.weigh(module)
        fit(model, model.wrap_data(module, EXACT))
    assert not torch.allclose(plain.head.out.weight, weighted.head.out.weight, atol=1e-2)
