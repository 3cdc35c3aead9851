"""Any method of the installed peft: trains what it says, reloads equally, merges where it can."""

import copy

import pytest
import torch
from test_adapters import MODELS, batch, build, states, train

from benchmarks.methods import ARGUMENTS, arguments_of, facts_of
from transferlab.adapters import AdaLoRA, Tuner
from transferlab.adapters.plain import without_layers
from transferlab.adapters.tuner import methods
from transferlab.ground.errors import TransferlabError
from transferlab.strategies import ParameterEfficient
from transferlab.tasks import TaskDataModule

NOT_AT_THE_BASE = {"c3a", "fourierft", "unilora", "vblora"}
"""Methods that change the outputs before the first step, with peft's own defaults."""
CANNOT_MERGE = {"lily"}
SMALL = ARGUMENTS | {"vblora": {"vector_length": 8, "num_vectors": 16}, "c3a": {"block_size": 8}}


@pytest.fixture(scope="module")
def base():
    return build("bert")


def check(name, base):
    arguments = arguments_of(name, {"r": 4}, SMALL)
    method = Tuner(name, arguments)
    torch.manual_seed(1)
    module = method.apply(copy.deepcopy(base))
    start = float((states(module) - states(base)).abs().max())
    assert (start < 1e-5) == (name not in NOT_AT_THE_BASE), f"{name} starts {start} from the base"
    frozen = {n: p.clone() for n, p in module.named_parameters() if not p.requires_grad}
    module.train()
    train(method, module, 3)
    assert all(torch.equal(value, dict(module.named_parameters())[n]) for n, value in frozen.items())
    out, learned = states(module), method.learned(module)
    assert {n for n, p in module.named_parameters() if p.requires_grad} <= learned
    assert (out - states(base)).abs().max() > 0
    kept = {n: value.clone() for n, value in module.state_dict().items() if n in learned}
    torch.manual_seed(99)
    again = method.apply(copy.deepcopy(base))
    assert method.learned(again) == learned
    again.load_state_dict(kept, strict=False)
    assert torch.equal(states(again), out), f"{name} is not equal after a reload"
    tolerance = 1e-4 * max(1.0, float(out.abs().max()))
    method.merge(again)
    assert (states(again) - out).abs().max() < tolerance
    merged = copy.deepcopy(again)
    if name in CANNOT_MERGE:
        with pytest.raises(TransferlabError, match=f"{name} cannot be merged into the weights"):
            without_layers(merged)
    else:
        # what is exported, merged with other runs or started from has all that was learned
        assert (states(without_layers(merged)) - out).abs().max() < tolerance
        assert merged.state_dict().keys() == base.state_dict().keys()
    method.unmerge(again)
    assert (states(again) - out).abs().max() < tolerance


@pytest.mark.parametrize("name", sorted(methods()))
def test_every_method_of_peft_trains_reloads_and_merges(name, base):
    check(name, base)


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in MODELS if family != "bert"])
def test_every_method_in_every_family(family):
    base, refused = build(family), {}
    for name in sorted(methods()):
        try:
            check(name, base)
        except TransferlabError as error:
            refused[name] = str(error)
    assert not refused, refused


KINDS = {
    "classification": "demo_sentences",
    "pairs": "demo_pairs",
    "multilabel": "demo_topics",
    "tagging": "demo_entities",
    "slots": "demo_slots",
    "qa": "demo_answers",
    "relation": "demo_relations",
    "regression": "",
}
"""Kinds of run to a task of the package; numbers come from a file of the test."""


def one_step(kind, name, data, encoder):
    """A step of a method on a kind of run: the loss is finite, and every trained parameter has a gradient."""
    size = {"max_length": 64, "batch_size": 8, "train_examples": 8, "max_unknown": 1.0}
    module = data("regression") if kind == "regression" else TaskDataModule(KINDS[kind], encoder, **size)
    module.setup("fit")
    model = ParameterEfficient(module.spec, encoder, Tuner(name, arguments_of(name, {"r": 4}, SMALL)))
    rows = module.encoded("train")
    examples = rows.collate(list(range(4)))
    # what starts at zero hands no gradient on in the first step
    optimizer = torch.optim.SGD([weight for weight in model.parameters() if weight.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        loss = model.loss(model(examples), examples)
        loss.backward()
        optimizer.step()
    assert loss.isfinite()
    return [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None]


# each method that starts in another way once, and each kind
@pytest.mark.parametrize(
    ("kind", "name"), list(zip(KINDS, ["vera", "oft", "loha", "shira", "road", "hra", "miss", "delora"], strict=True))
)
def test_each_kind_trains_with_a_method(kind, name, data, tiny_encoder):
    assert not one_step(kind, name, data, tiny_encoder)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_trains_on_every_kind(kind, data, tiny_encoder):
    without = {name: left for name in sorted(methods()) if (left := one_step(kind, name, data, tiny_encoder))}
    assert not without


def test_what_follows_from_something_else_is_refused():
    for name, arguments, text in (
        ("adalora", {}, "transferlab.adapters.AdaLoRA"),
        ("poly", {}, "task number"),
        ("veraa", {}, "vera"),
        ("vera", {"rank": 8}, "not of vera, which takes"),
        ("vera", {"target_modules": ["query"]}, "model.method.targets"),
        ("vera", {"layers_to_transform": [0]}, "model.method.top_layers"),
    ):
        with pytest.raises(TransferlabError, match=text):
            Tuner(name, arguments)


def test_arguments_that_peft_refuses_and_layers_that_are_not_there_name_the_key(base):
    with pytest.raises(TransferlabError, match="model.method.arguments: road of peft .* refuses: .*group_size"):
        Tuner("road", {"group_size": 7}).apply(copy.deepcopy(base))
    with pytest.raises(TransferlabError, match="model.method.top_layers: 9"):
        Tuner("vera", {"r": 4}, top_layers=9).apply(copy.deepcopy(base))


def test_weights_that_the_start_changes_by_chance_are_in_the_checkpoint(base):
    """The start of PiSSA by a random decomposition takes another part off the weights each time."""
    method = Tuner("lora", {"r": 2, "init_lora_weights": "pissa_niter_1"})
    torch.manual_seed(1)
    module = method.apply(copy.deepcopy(base))
    train(method, module, 2)
    changed = [name for name in method.learned(module) if name.endswith("base_layer.weight")]
    assert len(changed) == 4
    kept = {name: value.clone() for name, value in module.state_dict().items() if name in method.learned(module)}
    torch.manual_seed(2)
    again = method.apply(copy.deepcopy(base))
    again.load_state_dict(kept, strict=False)
    assert torch.equal(states(again), states(module))


def test_the_measured_columns_are_those_of_a_count_by_hand(base):
    facts = facts_of("vera", {"r": 4}, copy.deepcopy(base), batch(), ("query", "value"))
    # two layers, two maps of 32 by 32: lambda_d has r, lambda_b the outputs; A [4, 32] and B [32, 4] are shared
    assert (facts.trainable, facts.fixed) == (2 * 2 * (4 + 32), 2 * 4 * 32)
    assert facts.start == 0
    assert facts.merged < 1e-5
    assert not facts.without_gradient


def test_the_penalty_of_adalora_is_no_part_of_the_validation_loss(data, tiny_encoder, fit):
    module = data()
    model = ParameterEfficient(module.spec, tiny_encoder, AdaLoRA(r=3, target_r=1, orthogonality=1e6))
    metrics = fit(model, module).callback_metrics
    assert metrics["val/loss"] < 10
    assert metrics["train/loss"] > 1e3
