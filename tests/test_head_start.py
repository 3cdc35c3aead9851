"""A head that is solved before training is that of frozen features, and the encoder then learns."""

import pytest
import torch
from conftest import logits_of
from test_strategies import STRATEGIES, build, first_batch

from transferlab.encoders.config import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.heads import HeadConfig
from transferlab.several.model import MultiTask
from transferlab.strategies import Contrastive, FeatureExtraction

SOLVED = HeadConfig(start="solved", dropout=0.0)


@pytest.mark.parametrize("kind", ["classification", "regression", "pairs", "tagging", "multilabel"])
@pytest.mark.parametrize("name", ["all", "lora", "bottleneck", "top_layers"])
def test_it_is_the_head_of_frozen_features(name, kind, data, tiny_encoder, fit):
    options = {"pairs": "apart"} if kind == "pairs" else {}
    module = data(kind, **options)
    frozen = build("linear", module, tiny_encoder, head=HeadConfig(dropout=0.0), solver="lbfgs")
    frozen.take_data(module)
    fit(frozen, module, limit_val_batches=1.0)
    module = data(kind, **options)
    model = build(name, module, tiny_encoder, head=SOLVED)
    model.take_data(module)
    assert "features" not in module.attached
    assert "of which the head was solved first (L-BFGS to convergence, C " in model.frozen_work[0]
    torch.testing.assert_close(model.head.out.weight, frozen.head.out.weight, rtol=1e-4, atol=1e-5)
    batch = first_batch(module)
    torch.testing.assert_close(logits_of(model, batch), logits_of(frozen, batch), rtol=1e-3, atol=1e-4)
    start = {key: value.clone() for key, value in model.state_dict().items()}
    fit(model, module)
    learned = {key for key, value in model.state_dict().items() if not torch.equal(value, start[key])}
    assert any(key.startswith("encoder.") for key in learned)
    assert "head.out.weight" in learned


def test_it_is_the_same_for_every_seed_and_is_not_drawn(data, tiny_encoder):
    heads, drawn = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        module = data("classification")
        model = build("all", module, tiny_encoder, head=SOLVED)
        before = torch.get_rng_state()
        model.take_data(module)
        heads.append(model.head.out.weight.detach().clone())
        drawn.append(torch.equal(before, torch.get_rng_state()))
    assert torch.equal(*heads)
    assert all(drawn)


def test_a_weighted_loss_weighs_the_start_too(data, tiny_encoder):
    heads = []
    for loss in (None, "weighted"):
        module = data("classification")
        model = build("all", module, tiny_encoder, head=SOLVED, loss=loss)
        model.take_data(module)
        heads.append(model.head.out.bias.detach().clone())
    assert not torch.allclose(*heads)


@pytest.mark.parametrize(
    ("options", "encoder", "message"),
    [
        ({"head": HeadConfig("mlp", start="solved")}, {}, "model.head.kind: mlp is no convex problem; leave it out"),
        ({"head": SOLVED, "loss": "focal"}, {}, "model.loss: focal is no convex problem"),
        ({"head": SOLVED}, {"layers": "mix"}, "encoder.layers: mix is learned along with the head"),
        ({"head": SOLVED}, {"architecture": "random"}, "no weights of the encoder are pretrained"),
    ],
)
def test_what_cannot_be_solved_is_refused(options, encoder, message, data, tiny_encoder):
    with pytest.raises(TransferlabError, match=f"model.head.start: solved, but {message}"):
        build("all", data("classification"), EncoderConfig(tiny_encoder.name, **encoder), **options)


def test_without_a_cache_it_says_so(data, tiny_encoder):
    module = data("classification")
    model = build("all", module, tiny_encoder, head=SOLVED)
    with pytest.raises(TransferlabError, match=r"needs cached features, but .*cache.enabled is false"):
        model.take_data(module, Work(CacheConfig(enabled=False)))


def test_a_trainer_that_does_not_solve_it_is_told(data, tiny_encoder, fit):
    module = data("classification")
    with pytest.raises(TransferlabError, match=r"model.head.start: the head was not solved: train with callbacks="):
        fit(build("all", module, tiny_encoder, head=SOLVED), module)


def test_several_tasks_refuse_it(data, tiny_encoder):
    spec = data("classification").spec
    with pytest.raises(TransferlabError, match="model.head.start: solved, but no head of several tasks is solved"):
        MultiTask({spec.name: spec}, tiny_encoder, head=SOLVED)


def test_where_the_head_is_solved_anyway_it_has_no_effect(data, tiny_encoder):
    module = data("classification")
    solved = build("linear", module, tiny_encoder, head=SOLVED, solver="lbfgs")
    assert isinstance(solved, FeatureExtraction)
    assert solved.without_effect()["model.head.start"] == "the head is solved anyway"
    contrastive = Contrastive(module.spec, tiny_encoder, SOLVED)
    assert contrastive.without_effect()["model.head.start"] == "the head is solved before each validation"
    assert "model.head.start" not in build("all", module, tiny_encoder, head=SOLVED).without_effect()
    assert set(STRATEGIES) >= {"all", "lora", "bottleneck", "top_layers"}
