import math
from dataclasses import replace
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from conftest import logits_of
from torch import nn

from transferlab.adapters import IA3, AdaLoRA, BitFit, Bottleneck, LoRA, NormTuning, PromptTuning
from transferlab.encoders.layers import layer_groups, layer_list
from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import CacheConfig, Work
from transferlab.learning.heads import HeadConfig
from transferlab.learning.optim import Schedule
from transferlab.strategies import (
    Distillation,
    FeatureExtraction,
    FromScratch,
    FullFineTuning,
    ParameterEfficient,
    frozen,
)

KINDS = ("classification", "regression", "pairs", "tagging", "multilabel")
METHODS = {
    "lora": LoRA(r=2),
    "dora": LoRA(r=2, variant="dora"),
    "pissa": LoRA(r=2, variant="pissa"),
    "adalora": AdaLoRA(r=3, target_r=1, delta_t=1),
    "ia3": IA3(),
    "bitfit": BitFit(),
    "norm": NormTuning(),
    "prompt": PromptTuning(tokens=5),
    "bottleneck": Bottleneck(size=4),
}
STRATEGIES = {
    "linear": (FeatureExtraction, {"head": HeadConfig()}),
    "mlp": (FeatureExtraction, {"head": HeadConfig("mlp", hidden=8)}),
    "bilstm": (FeatureExtraction, {"head": HeadConfig("bilstm", hidden=8)}),
    "all": (FullFineTuning, {}),
    "top_layers": (FullFineTuning, {"top_layers": 1}),
    "unfreeze_every": (FullFineTuning, {"unfreeze_every": 1}),
    **{name: (ParameterEfficient, {"method": method}) for name, method in METHODS.items()},
    "distillation": (Distillation, {"alpha": 1.0}),
    "from_scratch": (FromScratch, {}),
}
MATRIX = [pytest.param((name, kind), id=f"{name}-{kind}") for name in STRATEGIES for kind in KINDS]


def adamw(parameters):
    return torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.01)


def build(name, module, encoder, **options):
    strategy, arguments = STRATEGIES[name]
    settings = {"optimizer": adamw, "schedule": Schedule("constant", warmup=0.0), **arguments, **options}
    return strategy(task=module.spec, encoder=encoder, **settings)


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, model):
    return {name for name, value in model.state_dict().items() if not torch.equal(before[name], value)}


def first_batch(module):
    return next(iter(module.whole_split("test")))


class Watch(L.Callback):
    """Keeps what a function of the model gives after each batch."""

    def __init__(self, look):
        self.look, self.seen = look, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(self.look(pl_module, outputs))


class Fitted:
    """A model fitted for a few steps, with what it was before."""

    def __init__(self, name, kind, data, encoder, fit):
        self.name, self.encoder = name, encoder
        self.module = data(kind)
        self.model = build(name, self.module, encoder)
        self.before = snapshot(self.model)
        self.watch = Watch(lambda _, outputs: float(outputs["loss"]))
        # one more layer each epoch: the head, two layers, the embeddings
        epochs = {"max_epochs": 4, "limit_train_batches": 1} if name == "unfreeze_every" else {}
        self.trainer = fit(self.model, self.model.wrap_data(self.module), callbacks=[self.watch], **epochs)


@pytest.fixture(scope="module", params=MATRIX)
def fitted(request, data, tiny_encoder, fit):
    torch.manual_seed(0)
    return Fitted(*request.param, data, tiny_encoder, fit)


def test_trains_with_a_finite_loss(fitted):
    assert len(fitted.watch.seen) == 4
    assert all(math.isfinite(loss) for loss in fitted.watch.seen)


def test_exactly_what_is_learned_changes(fitted):
    parameters = {name for name, _ in fitted.model.named_parameters()}
    moved = changed(fitted.before, fitted.model)
    assert moved <= fitted.model.kept()
    # of AdaLoRA: a matrix may lose all its ranks, and peft's count of them is a parameter that nothing updates
    may_stay = ("ranknum.default", "lora_E.default")
    assert {name for name in fitted.model.learned() & parameters if not name.endswith(may_stay)} <= moved


def test_a_checkpoint_holds_what_is_learned_and_restores_the_logits(fitted, tmp_path):
    fitted.trainer.save_checkpoint(tmp_path / "best.ckpt", weights_only=True)
    stored = torch.load(tmp_path / "best.ckpt", weights_only=True)
    assert set(stored["state_dict"]) == fitted.model.kept()
    torch.manual_seed(1)
    fresh = build(fitted.name, fitted.module, fitted.encoder)
    batch = first_batch(fitted.module)
    assert not torch.allclose(logits_of(fresh, batch), logits_of(fitted.model, batch), atol=1e-3)
    fresh.on_load_checkpoint(stored)
    fresh.load_state_dict(stored["state_dict"], strict=False)
    torch.testing.assert_close(logits_of(fresh, batch), logits_of(fitted.model, batch), atol=1e-6, rtol=0)


def test_test_and_predict_run(fitted):
    metrics = fitted.trainer.test(fitted.model, fitted.module, verbose=False)[0]
    assert set(metrics) == {f"test/{name}" for name in fitted.model.task.metrics}
    outputs = fitted.trainer.predict(fitted.model, fitted.module)
    assert len(outputs) == 1
    assert sorted(outputs[0]["index"].tolist()) == list(range(8))
    assert torch.isfinite(outputs[0]["logits"]).all()


# modes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["linear", "all", "lora", "distillation", "from_scratch"])
def test_dropout_is_on_in_training_save_for_a_frozen_encoder(name, data, tiny_encoder, fit):
    module = data()
    model = build(name, module, tiny_encoder)
    watch = Watch(lambda model, _: (model.encoder.backbone.training, model.head.training, model.head.dropout.training))
    fit(model, model.wrap_data(module), callbacks=[watch], limit_train_batches=2, max_epochs=2)
    assert set(watch.seen) == {(name != "linear", True, True)}
    layers = [m for m in model.encoder.backbone.modules() if isinstance(m, nn.Dropout)]
    assert layers
    assert all(layer.training == (name != "linear") for layer in layers)


@pytest.mark.parametrize("kind", KINDS)
def test_validation_before_training_does_not_bar_it(kind, data, tiny_encoder, fit):
    """The command line validates first, in inference mode, whose tensors cannot be updated in training."""
    model = build("all", data(kind), tiny_encoder)
    trainer = fit(model, data(kind), max_steps=0)
    before = trainer.validate(model, data(kind), verbose=False)[0]
    trainer.fit_loop.epoch_loop.max_steps = 2
    trainer.fit(model, data(kind))
    assert trainer.global_step == 2
    after = trainer.validate(model, data(kind), verbose=False)[0]
    assert before.keys() == after.keys() >= {"val/primary"}


# feature extraction ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("linear", "windows"),
        *((name, kind) for name in ("linear", "bilstm") for kind in ("classification", "pairs", "tagging")),
    ],
)
def test_cached_features_give_the_computed_logits(name, kind, data, tiny_encoder):
    module, plain = data(kind), data(kind)
    model = build(name, module, tiny_encoder)
    model.wrap_data(module, Work(CacheConfig(precision="32")))
    for loader, split in ((module.train_dataloader(), "train"), (module.val_dataloader(), "train")):
        cached = next(iter(loader))
        computed = plain.encoded(split).collate(cached.index.tolist())
        assert cached.features is not None
        assert computed.features is None
        real = slice(None) if cached.word_mask is None else cached.word_mask
        torch.testing.assert_close(logits_of(model, cached)[real], logits_of(model, computed)[real], atol=1e-5, rtol=0)


def test_features_are_computed_once(data, tiny_encoder, monkeypatch):
    build("linear", data(), tiny_encoder).wrap_data(data())
    monkeypatch.setattr(frozen, "_batches", lambda *_: pytest.fail("computed again"))
    model = build("linear", data(), tiny_encoder)
    model.wrap_data(data())
    assert "read from disk" in model.frozen_work[0]


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_features_of_examples_that_another_seed_had_are_taken_over(kind, data, tiny_encoder, monkeypatch):
    asked = []
    compute = frozen._batches
    monkeypatch.setattr(
        frozen, "_batches", lambda loader, *rest: asked.append(loader.dataset.rows) or compute(loader, *rest)
    )
    first, other = data(kind, seed=0), data(kind, seed=1, train_examples=20)
    exact = Work(CacheConfig(precision="32"))
    build("linear", first, tiny_encoder).wrap_data(first, exact)
    had = np.union1d(first.part_rows("train")[1], first.part_rows("validation")[1])
    asked.clear()
    # a part of what all seeds share, and of the test set nothing
    model = build("linear", other, tiny_encoder)
    model.wrap_data(other, exact)
    wanted = np.union1d(other.part_rows("train")[1], other.part_rows("validation")[1])
    assert not np.intersect1d(np.concatenate([*asked, []]), had).size
    assert len(np.setdiff1d(wanted, had)) == sum(map(len, asked))
    batch = next(iter(other.train_dataloader()))
    plain = data(kind).encoded("train").collate(batch.index.tolist())
    real = slice(None) if batch.word_mask is None else batch.word_mask
    torch.testing.assert_close(logits_of(model, batch)[real], logits_of(model, plain)[real], atol=1e-5, rtol=0)


def test_another_head_reads_the_same_features(data, tiny_encoder, monkeypatch):
    build("linear", data(), tiny_encoder).wrap_data(data())
    monkeypatch.setattr(frozen, "_batches", lambda *_: pytest.fail("computed again"))
    module = data()
    build("mlp", module, tiny_encoder).wrap_data(module)
    assert next(iter(module.train_dataloader())).features is not None


@pytest.mark.parametrize("change", ["pooling", "layers", "weights"])
def test_other_features_are_computed_anew(change, data, tiny_encoder, monkeypatch):
    encoder = {
        "pooling": replace(tiny_encoder, pooling="max"),
        "layers": replace(tiny_encoder, layers="second_to_last"),
        "weights": replace(tiny_encoder, architecture="random"),
    }[change]
    build("linear", data(), tiny_encoder).wrap_data(data())
    calls = []
    compute = frozen._batches
    monkeypatch.setattr(frozen, "_batches", lambda *a: calls.append(1) or compute(*a))
    build("linear", data(), encoder).wrap_data(data())
    assert calls


def test_a_learned_mix_is_not_cached_but_learned(data, tiny_encoder, fit):
    module = data()
    model = build("linear", module, replace(tiny_encoder, layers="mix"))
    before = snapshot(model)
    assert not model.wrap_data(module).attached
    fit(model, module)
    assert changed(before, model) == {"encoder.mix.scores", "encoder.mix.gamma", "head.out.weight", "head.out.bias"}


def test_token_features_of_windows_are_computed_on_the_way(data, tiny_encoder):
    module = data("windows")
    assert not build("bilstm", module, tiny_encoder).wrap_data(module).attached


def test_features_beyond_the_limit_are_computed_on_the_way(data, tiny_encoder):
    module = data()
    model = build("linear", module, tiny_encoder)
    assert not model.wrap_data(module, Work(CacheConfig(limit_gb=1e-9))).attached
    assert "exceed cache.limit_gb 1e-09" in model.frozen_work[0]


def test_features_that_the_disk_has_no_room_for(data, tiny_encoder, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    module = data()
    model = build("linear", module, replace(tiny_encoder, pooling="max"))
    assert not model.wrap_data(module, Work(CacheConfig(limit_gb=1))).attached
    assert "do not fit on the disk" in model.frozen_work[0]


def test_features_in_bf16_are_near_those_in_full_precision(data, tiny_encoder):
    module, other = data(), data()
    build("linear", module, tiny_encoder).wrap_data(module)
    build("linear", other, tiny_encoder).wrap_data(other, Work(autocast=torch.bfloat16))
    full, half = (next(iter(m.val_dataloader())).features for m in (module, other))
    assert not torch.equal(full, half)
    torch.testing.assert_close(full, half, atol=0.1, rtol=0.1)


def test_wrapping_leaves_trainable_tensors_out_of_inference_mode(data, tiny_encoder):
    model = build("linear", data(), tiny_encoder)
    model.double()
    model.wrap_data(data())
    assert not any(parameter.is_inference() for parameter in model.parameters())
    assert model.head.training


# frozen layers ---------------------------------------------------------------------------------------------------

TOP = {"top_1": {"top_layers": 1}, "lora_top": {"method": LoRA(targets=("all",), top_layers=1)}}


def top(name, module, encoder):
    strategy = ParameterEfficient if name == "lora_top" else FullFineTuning
    return strategy(task=module.spec, encoder=encoder, optimizer=adamw, **TOP[name])


@pytest.mark.parametrize("kind", ["classification", "pairs", "regression", "tagging"])
@pytest.mark.parametrize("name", list(TOP))
def test_kept_states_give_the_logits_and_gradients_of_the_whole_encoder(name, kind, data, tiny_encoder):
    module, plain = data(kind), data(kind)
    model = top(name, module, replace(tiny_encoder, dropout=0.0))
    model.wrap_data(module, Work(CacheConfig(precision="32"), epochs=10))
    assert "states of" in model.frozen_work[0]
    model.train()
    model.head.eval()
    results = []
    for batch in (next(iter(module.train_dataloader())), next(iter(plain.train_dataloader()))):
        assert (batch.states is None) == bool(results)
        loss = model.loss(model(batch), batch)
        loss.backward()
        results.append([loss.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)])
        model.zero_grad()
    assert len(results[0]) == len(results[1]) > 3
    for kept, computed in zip(*results, strict=True):
        torch.testing.assert_close(kept, computed, atol=1e-5, rtol=1e-4)


def test_frozen_layers_are_counted_from_the_bottom(data, tiny_encoder):
    module = data()
    assert top("top_1", module, tiny_encoder).frozen_layers == 1
    assert top("lora_top", module, tiny_encoder).frozen_layers == 1
    for name in ("all", "lora", "unfreeze_every", "prompt", "bitfit"):
        assert build(name, module, tiny_encoder).frozen_layers == 0, name


def test_frozen_layers_are_without_dropout_and_those_above_with(data, tiny_encoder, fit):
    module = data()
    model = top("top_1", module, tiny_encoder)
    watch = Watch(lambda model, _: [m.training for m in layer_list(model.encoder.backbone)[1]])
    fit(model, model.wrap_data(module, Work(epochs=2)), callbacks=[watch], limit_train_batches=2)
    assert set(map(tuple, watch.seen)) == {(False, True)}


def test_states_are_kept_only_where_that_pays(data, tiny_encoder):
    module = data()
    model = top("top_1", module, tiny_encoder)
    assert not model.wrap_data(module, Work(epochs=1)).attached
    assert frozen.pays(5, 6, 3)
    assert not frozen.pays(1, 6, 10)
    assert not frozen.pays(0, 6, 10)


# full fine-tuning ------------------------------------------------------------------------------------------------


def open_layers(model, _):
    """Layers that learn, from the top."""
    return sum(layer[0].requires_grad for layer in model.layers)


def test_unfreezing_by_epoch(data, deep_encoder, fit):
    module = data("classification", deep_encoder)
    model = build("all", module, deep_encoder, unfreeze_every=2)
    watch = Watch(open_layers)
    fit(model, module, callbacks=[watch], max_epochs=7, limit_train_batches=2)
    assert watch.seen == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 2
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_unfreezing_by_step(data, deep_encoder, fit):
    module = data("classification", deep_encoder)
    model = build("all", module, deep_encoder, unfreeze_at=(4, 2))
    watch = Watch(open_layers)
    before = snapshot(model)
    fit(model, module, callbacks=[watch], max_epochs=2, limit_train_batches=3)
    assert watch.seen == [0, 0, 1, 1, 2, 2]
    top = {f"encoder.backbone.{name}" for layer in layer_groups(model.encoder.backbone)[-2:] for name, _ in layer}
    assert changed(before, model) == top | {"head.out.weight", "head.out.bias"}


@pytest.mark.parametrize("how", ["layer", "stage", None])
@pytest.mark.parametrize("when", [{"unfreeze_every": 1}, {"unfreeze_at": (3, 6, 9, 12)}])
def test_rates_follow_unfreezing(data, deep_encoder, fit, how, when):
    """15 steps in five epochs: the head alone, then a layer more from the top after each; the embeddings never."""
    module = data("classification", deep_encoder)
    schedule = Schedule("linear", warmup=0.0)
    options = {"schedule": schedule, "layer_decay": 0.5, "head": HeadConfig(lr=1e-2)}
    model = build("all", module, deep_encoder, unfreeze_schedule=how, **options, **when)
    seen = []

    def look(model, _):
        (optimizer,) = model.trainer.optimizers
        # the schedule has moved on already
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        watched = [model.layers[depth][0] for depth in range(5)] + [model.head.out.weight]
        seen.append([rates[id(parameter)] / 1e-2 for parameter in watched])

    fit(model, module, callbacks=[Watch(look)], max_epochs=5, limit_train_batches=6, accumulate_grad_batches=2)
    steps = {step: seen[2 * step - 1] for step in (2, 4, 8, 10, 14)}
    scales = [0.5 ** (4 - depth) for depth in range(5)] + [1]
    for step, rates in steps.items():
        if how is None:
            expected = [1 - step / 15] * 6
        elif how == "stage":
            begun = step - step % 3
            part = 1 - (step - begun) / (15 - begun if begun == 12 else 3)
            expected = [part if step >= start else 0 for start in (15, 12, 9, 6, 3, 0)]
        else:
            expected = [(15 - step) / (15 - start) if step >= start else 0 for start in (14.5, 12, 9, 6, 3, 0)]
        expected[0] = expected[0] if how is None else 0
        assert rates == pytest.approx([part * scale for part, scale in zip(expected, scales, strict=True)])


@pytest.mark.slow
def test_unfreezing_in_two_processes(data, deep_encoder, fit):
    model = build("all", data("classification", deep_encoder), deep_encoder, unfreeze_every=1)
    before = snapshot(model)
    module = data("classification", deep_encoder, train_examples=32)
    fit(model, module, max_epochs=3, limit_train_batches=2, strategy="ddp_fork", devices=2)
    top = {f"encoder.backbone.{name}" for layer in layer_groups(model.encoder.backbone)[-2:] for name, _ in layer}
    assert changed(before, model) == top | {"head.out.weight", "head.out.bias"}


def test_unfreezing_continues_in_a_resumed_run(data, deep_encoder, fit, tmp_path):
    module = data("classification", deep_encoder)
    model = build("all", module, deep_encoder, unfreeze_every=1)
    trainer = fit(model, module, max_epochs=2, limit_train_batches=1)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    again = build("all", module, deep_encoder, unfreeze_every=1)
    watch = Watch(open_layers)
    resumed = L.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_epochs=4,
        enable_checkpointing=False,
        limit_train_batches=1,
        limit_val_batches=0,
        use_distributed_sampler=False,
    )
    resumed.fit(again, module, ckpt_path=tmp_path / "last.ckpt", weights_only=False)
    assert watch.seen == []
    assert open_layers(again, None) == 5
    assert resumed.global_step == 4


def test_top_layers_that_are_not_there(data, tiny_encoder):
    for bad in (0, 3):
        with pytest.raises(TransferlabError, match=r"model.top_layers: (3 is not in 1 .. 2|0 is below 1)"):
            build("all", data(), tiny_encoder, top_layers=bad)


def test_two_schedules_of_unfreezing_are_refused(data, tiny_encoder):
    with pytest.raises(TransferlabError, match=r"unfreeze_every and .* exclude each other"):
        build("all", data(), tiny_encoder, unfreeze_every=1, unfreeze_at=(1,))


# optimizer and trainer -------------------------------------------------------------------------------------------


def test_rates_and_decay_of_every_parameter(data, tiny_encoder, fit):
    model = build("all", data(), tiny_encoder, layer_decay=0.5, head=HeadConfig(lr=0.3))
    trainer = fit(model, data(), max_steps=1)
    found = {
        id(p): (group["lr"], group["weight_decay"])
        for group in trainer.optimizers[0].param_groups
        for p in group["params"]
    }
    assert len(found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        if name.startswith("head"):
            rate = 0.3
        else:
            rate = 1e-2 * next(
                f for part, f in ((".layer.1.", 1), (".layer.0.", 0.5), ("embeddings", 0.25)) if part in name
            )
        decay = 0.0 if name.endswith("bias") or "LayerNorm" in name else 0.01
        assert found[id(parameter)] == (pytest.approx(rate), decay), name


def test_clipping_with_a_fused_optimizer_in_bf16(data, tiny_encoder, fit):
    def fused(parameters):
        return torch.optim.AdamW(parameters, lr=1e-3, fused=True)

    norms = []

    class Norms(L.Callback):
        def on_before_optimizer_step(self, trainer, pl_module, optimizer):
            grads = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norms.append(float(nn.utils.get_total_norm(grads)))

    model = build("all", data(), tiny_encoder, optimizer=fused)
    seen = Watch(lambda model, _: float(nn.utils.get_total_norm([p.grad for p in model.parameters()])))
    fit(model, data(), precision="bf16-mixed", gradient_clip_val=0.01, callbacks=[Norms(), seen])
    assert max(norms) > 0.01
    assert seen.seen == [pytest.approx(0.01, rel=1e-3)] * 4


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
@pytest.mark.parametrize(("name", "kind"), [("all", "regression"), ("bilstm", "tagging"), ("lora", "classification")])
def test_bf16(name, kind, precision, data, tiny_encoder, fit):
    model = build(name, data(kind), tiny_encoder)
    watch = Watch(lambda _, outputs: float(outputs["loss"]))
    trainer = fit(model, model.wrap_data(data(kind)), precision=precision, callbacks=[watch], limit_train_batches=2)
    assert all(math.isfinite(loss) for loss in watch.seen)
    outputs = trainer.predict(model, data(kind))
    assert outputs[0]["logits"].dtype == torch.float32


@pytest.mark.parametrize("name", ["lora", "dora", "pissa", "adalora", "ia3"])
def test_predictions_come_from_merged_updates(name, data, tiny_encoder, fit):
    module = data()
    model = build(name, module, tiny_encoder)
    trainer = fit(model, module)
    before = snapshot(model)
    plain = logits_of(model.eval(), first_batch(module))
    merged = []

    class Look(L.Callback):
        def on_predict_batch_end(self, trainer, pl_module, *_):
            merged.extend(m.merged for m in model.encoder.backbone.modules() if hasattr(m, "merged"))

    trainer.callbacks.append(Look())
    outputs = trainer.predict(model, module.whole_split("test"))
    assert merged
    assert all(merged)
    torch.testing.assert_close(outputs[0]["logits"], plain, atol=1e-4, rtol=1e-4)
    for key, value in model.state_dict().items():
        torch.testing.assert_close(value, before[key], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("batches", [4, 3])
def test_adalora_follows_optimizer_steps_when_gradients_accumulate(batches, data, tiny_encoder, fit, monkeypatch):
    steps = []
    follow = AdaLoRA.after_step
    monkeypatch.setattr(
        AdaLoRA, "after_step", lambda self, module, step: steps.append(step) or follow(self, module, step)
    )
    method = AdaLoRA(r=3, target_r=1, delta_t=1, tinit_fraction=0.0, tfinal_fraction=0.25)
    model = build("adalora", data(), tiny_encoder, method=method)
    fit(model, data(), accumulate_grad_batches=2, limit_train_batches=batches, max_epochs=2)
    assert steps == [1, 2, 3, 4]
    assert sum(method.ranks(model.encoder.backbone).values()) == 4


@pytest.mark.parametrize("name", ["all", "linear"])
def test_a_loss_that_is_no_number_stops_the_run(name, data, tiny_encoder, fit):
    model = build(name, data(), tiny_encoder)

    class Break(L.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 2:
                nn.init.constant_(pl_module.head.out.weight, math.nan)

    with pytest.raises(TransferlabError, match=r"loss is nan at step 2\. Lower the learning rate"):
        fit(model, model.wrap_data(data()), callbacks=[Break()])


def test_a_run_without_an_end_is_refused(data, tiny_encoder, fit):
    with pytest.raises(TransferlabError, match=r"trainer\.max_epochs"):
        fit(build("all", data(), tiny_encoder), data(), max_epochs=-1, limit_train_batches=1.0)


# checkpoints that do not fit -------------------------------------------------------------------------------------


def checkpoint_of(model):
    stored = {"state_dict": model.state_dict()}
    model.on_save_checkpoint(stored)
    return stored


def test_a_checkpoint_of_another_task(data, tiny_encoder):
    model = build("linear", data("tagging"), tiny_encoder)
    with pytest.raises(TransferlabError, match="num_labels 2 against 7"):
        model.on_load_checkpoint(checkpoint_of(build("linear", data(), tiny_encoder)))


def test_a_checkpoint_of_another_head(data, tiny_encoder):
    model = build("linear", data(), tiny_encoder)
    with pytest.raises(
        TransferlabError, match=r"head.out.weight \[2, 8\] against \[2, 32\].*head.inner.0.weight \(not part"
    ):
        model.on_load_checkpoint(checkpoint_of(build("mlp", data(), tiny_encoder)))


def test_a_checkpoint_of_another_strategy(data, tiny_encoder):
    with pytest.raises(TransferlabError, match=r"lora_A.default.weight \(missing\).* and \d+ more"):
        build("lora", data(), tiny_encoder).on_load_checkpoint(checkpoint_of(build("linear", data(), tiny_encoder)))


def test_a_checkpoint_of_another_encoder_of_the_same_width(data, tiny_encoder, deep_encoder):
    with pytest.raises(TransferlabError, match=r"belongs to encoder .*deep, not to .*tiny"):
        build("linear", data(), tiny_encoder).on_load_checkpoint(checkpoint_of(build("linear", data(), deep_encoder)))


# long texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("windows", ["even", "full"])
def test_windows_become_one_prediction(data, tiny_encoder, windows):
    module = data("windows", windows=windows)
    model = build("all", module, tiny_encoder).eval()
    batch = first_batch(module)
    assert len(batch.input_ids) > len(batch.index)
    logits = logits_of(model, batch)
    assert logits.shape == (8, 2)
    for position in range(8):
        own = batch.documents == position
        pooled, lengths = [], []
        for ids, mask in zip(batch.input_ids[own], batch.attention_mask[own], strict=True):
            length = int(mask.sum())
            with torch.no_grad():
                out = model.encoder.backbone(ids[None, :length], mask[None, :length]).last_hidden_state
            pooled.append(out[0].mean(0))
            lengths.append(length)
        weights = torch.tensor(lengths if windows == "even" else [1] * len(lengths))
        expected = model.head.out((torch.stack(pooled) * weights[:, None]).sum(0) / weights.sum())
        torch.testing.assert_close(logits[position], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["linear", "bilstm", "lora"])
def test_windows_train(name, data, tiny_encoder, fit):
    module = data("windows")
    model = build(name, module, tiny_encoder)
    trainer = fit(model, model.wrap_data(module), limit_train_batches=2)
    assert len(trainer.predict(model, module)[0]["logits"]) == 8


# the second layer from the top -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["all", "lora", "adalora", "bottleneck", "bitfit", "ia3"])
def test_nothing_that_learns_is_without_a_gradient_below_the_top(name, data, deep_encoder, fit):
    encoder = replace(deep_encoder, layers="second_to_last")
    module = data("classification", deep_encoder)
    model = build(name, module, encoder)
    watch = Watch(lambda model, _: [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None])
    fit(model, module, callbacks=[watch])
    assert watch.seen == [[]] * 4
