"""Regularisers against computations by hand, over batches of a step, and over a run that is resumed."""

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from test_step import batches, make, trained
from test_step import fit as fit_steps  # noqa: F401  a fixture
from test_strategies import first_batch
from torch import nn

from transferlab.adapters import AdaLoRA, PromptTuning
from transferlab.encoders.packing import Packing
from transferlab.ground.errors import TransferlabError
from transferlab.learning import steady
from transferlab.learning.averaging import Average
from transferlab.learning.heads import HeadConfig
from transferlab.learning.losses import task_loss
from transferlab.learning.optim import Schedule
from transferlab.learning.steady import Steady
from transferlab.strategies import FeatureExtraction, FromScratch, FullFineTuning, ParameterEfficient

KINDS = ("classification", "regression", "tagging", "multilabel")


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.05)


def build(module, encoder, strategy=FullFineTuning, dropout=False, **options):
    torch.manual_seed(3)
    model = strategy(
        task=module.spec, encoder=encoder, optimizer=sgd, schedule=Schedule("constant", warmup=0.0), **options
    )
    for part in model.modules():
        if isinstance(part, nn.Dropout) and not dropout:
            part.p = 0.0
    return model


# by hand -------------------------------------------------------------------------------------------------------------


def test_label_smoothing_is_that_of_torch_up_to_a_constant():
    logits, labels = torch.randn(6, 3), torch.tensor([0, 2, 1, 1, 0, 2])
    smooth = F.cross_entropy(logits, labels, label_smoothing=0.2)
    assert task_loss("classification", logits, labels, smoothing=0.2).item() == pytest.approx(
        (smooth - 0.2 * torch.tensor(3.0).log()).item()
    )
    words, tags = logits.view(2, 3, 3), torch.tensor([[0, 2, -100], [1, -100, -100]])
    smooth = F.cross_entropy(words.flatten(0, 1), tags.flatten(), label_smoothing=0.2)
    assert task_loss("tagging", words, tags, smoothing=0.2).item() == pytest.approx(
        (smooth - 0.2 * torch.tensor(3.0).log()).item()
    )
    flags = torch.tensor([[1, 0, 1]] * 6)
    smooth = F.binary_cross_entropy_with_logits(logits, flags * 0.8 + 0.1)
    assert task_loss("multilabel", logits, flags, smoothing=0.2).item() == pytest.approx(
        (smooth - 0.2 * torch.tensor(2.0).log()).item()
    )


def test_label_smoothing_with_weights_smooths_all_alike():
    logits, labels, weights = torch.randn(4, 2), torch.tensor([0, 1, 1, 1]), torch.tensor([2.0, 2 / 3])
    log_p = logits.log_softmax(-1)
    weighted = -(weights[labels] * log_p[range(4), labels]).mean()
    uniform = (-log_p.mean(-1) - torch.tensor(2.0).log()).mean()
    found = task_loss("classification", logits, labels, None, "weighted", weights, 0.1)
    assert found.item() == pytest.approx((0.9 * weighted + 0.1 * uniform).item(), rel=1e-5)


def test_mixout():
    weight, start = torch.full((200, 200), 3.0), torch.full((200, 200), 1.0)
    mixed = steady.mixed(weight, start, 0.25)
    # (u - p u) / (1 - p) = u where the pretrained one is taken, (w - p u) / (1 - p) elsewhere
    assert mixed.unique().tolist() == pytest.approx([1.0, (3 - 0.25) / 0.75])
    assert (mixed == 1).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert mixed.mean().item() == pytest.approx(3, abs=0.03)
    torch.testing.assert_close(steady.mixed(weight, weight, 0.9), weight)


def test_noise_and_fresh_layers():
    matrix = nn.Parameter(torch.randn(100, 50))
    before = matrix.detach().clone()
    steady.add_noise([matrix], 0.15, torch.Generator().manual_seed(0))
    moved = (matrix - before) / before.std()
    assert moved.abs().max().item() <= 0.075 + 1e-6
    assert moved.std().item() == pytest.approx(0.15 / 12**0.5, rel=0.05)
    layer = nn.Sequential(nn.Linear(80, 80), nn.LayerNorm(80))
    steady.reinitialise(layer, 0.5, torch.Generator().manual_seed(0))
    assert layer[0].weight.std().item() == pytest.approx(0.5, rel=0.05)
    assert torch.equal(layer[1].weight, torch.ones(80))
    assert not layer[0].bias.any()


def test_moves_of_a_packed_row_are_those_of_the_padded_rows():
    padded, mask = torch.randn(2, 3, 4), torch.tensor([[1, 1, 1], [1, 0, 0]]).bool()
    padded = padded * mask.unsqueeze(-1)
    packing = Packing(torch.tensor([0, 1, 2, 3]), torch.tensor([0, 3, 4], dtype=torch.int32), 3)
    row = packing.unpad(padded)[None]
    for change in (steady.along, steady.within):
        torch.testing.assert_close(packing.unpad(change(padded, 0.3, None))[None], change(row, 0.3, packing))
    assert steady.along(padded, 0.3, None).flatten(1).norm(dim=1).tolist() == pytest.approx([0.3, 0.3])
    assert steady.along(torch.zeros(1, 2, 3), 0.3, None).abs().max() == 0
    start = steady.random_move(padded, mask, 0.3, None)
    assert not start[~mask].any()
    assert start.flatten(1).norm(dim=1).max() <= 0.3


def test_adversarial_losses_of_a_square():
    """L(x) = (x^2).sum() at x = (3, 4): g / ||g|| = (0.6, 0.8), so L(x + r) = (5 + size)^2."""
    x = torch.tensor([[[3.0, 4.0]]])

    def loss_at(move):
        leaf = (torch.zeros_like(x) if move is None else move.detach()).requires_grad_()
        return (x + leaf).square().sum(), leaf

    assert steady.fgm(loss_at, 1.0, None).item() == pytest.approx((25 + 36) / 2)
    # steps of one half: moves of 0, 0.5, 1 and then no further than 1
    assert steady.freelb(loss_at, 1.0, 4, None).item() == pytest.approx((25 + 5.5**2 + 36 + 36) / 4)


@pytest.mark.parametrize("kind", ["classification", "tagging"])
def test_r_drop(kind, data, tiny_encoder):
    module = data(kind)
    model = build(module, tiny_encoder, dropout=True, steady=Steady(r_drop=2.0)).train()
    batch = first_batch(module)
    torch.manual_seed(5)
    found = model.steady_loss(batch)
    torch.manual_seed(5)
    one, other = model(batch), model(batch)
    real = torch.ones_like(batch.labels, dtype=torch.bool)
    if kind == "tagging":
        real = (batch.labels != -100) & (batch.words >= 0)
    p, q = one[real].softmax(-1), other[real].softmax(-1)
    assert not torch.equal(p, q)
    kl = ((p * (p / q).log()).sum(-1) + (q * (q / p).log()).sum(-1)).mean()
    expected = (model.loss(one, batch) + model.loss(other, batch)) / 2 + 2.0 / 4 * kl
    torch.testing.assert_close(found, expected)


def test_fgm_moves_each_row_along_its_own_gradient(data, tiny_encoder):
    module = data("classification")
    model = build(module, tiny_encoder, steady=Steady(fgm=0.5)).eval()
    batch = first_batch(module)
    words = model.encoder.backbone.get_input_embeddings()
    move = torch.zeros(*batch.input_ids.shape, 32, requires_grad=True)

    def loss(shift):
        handle = words.register_forward_hook(lambda module, inputs, output: output + shift)
        value = model.loss(model(batch), batch)
        handle.remove()
        return value

    clean = loss(move)
    (gradient,) = torch.autograd.grad(clean, move)
    step = 0.5 * gradient / gradient.flatten(1).norm(dim=1).view(-1, 1, 1)
    torch.testing.assert_close(model.steady_loss(batch), (clean + loss(step)) / 2)
    assert loss(step) > clean


def test_l2_sp_pulls_towards_the_start(data, tiny_encoder, fit):
    module = data("classification")
    plain, pulled = (build(module, tiny_encoder, steady=one) for one in (Steady(), Steady(l2_sp=5.0)))
    start = {name: value.clone() for name, value in plain.named_parameters()}
    for model in (plain, pulled):
        fit(model, module)
    body = [name for name in start if name.startswith("encoder.backbone.")]
    far = [sum((dict(m.named_parameters())[n] - start[n]).square().sum() for n in body).item() for m in (plain, pulled)]
    assert 0 < far[1] < far[0]
    batch = first_batch(module)
    pulled.eval()
    assert pulled.steady_loss(batch).item() == pytest.approx(
        pulled.loss(pulled(batch), batch).item() + 5.0 / 2 * far[1], rel=1e-4
    )


def test_averages():
    weight = nn.Parameter(torch.zeros(1))
    mean, moving = Average({"w": weight}, None), Average({"w": weight}, 0.5)
    mean.show()
    assert mean.live is None
    for value in (1.0, 3.0, 8.0):
        weight.data.fill_(value)
        mean.update()
        moving.update()
    assert mean.values["w"].item() == 4.0
    # d' is 2/11 and 3/12
    after = 2 / 11 * 1 + 9 / 11 * 3
    assert moving.values["w"].item() == pytest.approx(0.25 * after + 0.75 * 8)
    for _ in range(2):
        mean.show()
    assert weight.item() == 4.0
    state = {"w": weight.detach()}
    assert mean.save(state)["w"].item() == 8.0
    mean.hide()
    assert weight.item() == 8.0
    state = {"w": weight.detach()}
    assert (mean.save(state)["w"].item(), state["w"].item()) == (8.0, 4.0)


# in a run --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on", [{"fgm": 0.5}, {"r_drop": 1.0, "l2_sp": 1.0}], ids=lambda on: next(iter(on)))
def test_accumulated_batches_are_one_batch(on, kind, data, tiny_encoder, fit_steps):  # noqa: F811
    module = data(kind)
    smooth = {} if kind == "regression" else {"label_smoothing": 0.1}
    model = make("all", module, tiny_encoder)
    model.begin(Steady(**on, **smooth))
    whole = trained(model, batches(module, [8, 12]), fit_steps, 1)
    parts = trained(model, batches(module, [4, 4, 8, 4]), fit_steps, 2)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=0, atol=2e-6, msg=key)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("strategy", "on"),
    [
        (FullFineTuning, {"freelb": 0.3, "mixout": 0.5, "noise": 0.15, "reinit_layers": 1, "swa": 0.5}),
        (ParameterEfficient, {"fgm": 0.5, "ema": 0.9}),
        (FromScratch, {"r_drop": 1.0, "ema": 0.9}),
        (FeatureExtraction, {"r_drop": 1.0, "ema": 0.9}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_kind_trains(strategy, on, kind, data, tiny_encoder, fit):
    module = data(kind)
    model = build(module, tiny_encoder, strategy, dropout=True, steady=Steady(**on))
    module = model.wrap_data(module)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, module)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert torch.isfinite(parameter).all()
            assert not torch.equal(parameter, before[name]), name


def test_a_prompt_and_packed_rows(data, tiny_encoder, fit):
    module = data("classification")
    model = build(module, tiny_encoder, ParameterEfficient, method=PromptTuning(tokens=3), steady=Steady(fgm=0.5))
    fit(model, module)
    padded, packed = (
        build(module, tiny_encoder, steady=Steady(fgm=0.5)).eval().steady_loss(first_batch(one))
        for one in (module, data("classification", packed=True))
    )
    torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-5)


def test_off_costs_and_changes_nothing(data, tiny_encoder, fit):
    module = data("classification")
    model = build(module, tiny_encoder)
    fit(model, module)
    assert model._average is None
    assert not model._anchor
    assert Steady().chosen == []


class Steps(L.Callback):
    """Keeps the weights after each step, and those that are validated."""

    def __init__(self):
        self.live, self.validated = [], []

    def on_train_batch_end(self, trainer, pl_module, *_):
        self.live.append(pl_module.head.out.weight.detach().clone())

    def on_validation_batch_end(self, trainer, pl_module, *_):
        self.validated.append(pl_module.head.out.weight.detach().clone())


def test_the_average_is_validated_kept_and_resumed(data, tiny_encoder, fit, tmp_path):
    module = data("classification")
    on = Steady(ema=0.5, l2_sp=0.5, noise=0.1)
    whole, seen = build(module, tiny_encoder, steady=on), Steps()
    trainer = fit(whole, module, max_epochs=2, limit_train_batches=3, callbacks=[seen])
    value, averages = None, []
    for count, weight in enumerate(seen.live):
        share = 1 if value is None else 1 - min(0.5, (1 + count) / (10 + count))
        value = weight if value is None else value + share * (weight - value)
        averages.append(value)
    torch.testing.assert_close(seen.validated[0], averages[2])
    torch.testing.assert_close(seen.validated[1], averages[5])
    assert not torch.equal(seen.live[3], averages[3])
    # after training the model is the average, and a file that is written now resumes from the live weights
    torch.testing.assert_close(whole.head.out.weight.detach(), averages[5])
    trainer.save_checkpoint(tmp_path / "after.ckpt")
    written = torch.load(tmp_path / "after.ckpt", weights_only=True)
    torch.testing.assert_close(written["state_dict"]["head.out.weight"], averages[5])
    torch.testing.assert_close(written["steady"]["live"]["head.out.weight"], seen.live[5])
    trainer.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    assert "steady" not in torch.load(tmp_path / "weights.ckpt", weights_only=True)


def test_resumed_is_uninterrupted(data, tiny_encoder, tmp_path):
    module = data("classification")
    loader = batches(module, [8, 8, 8])
    on = Steady(ema=0.5, l2_sp=0.5, noise=0.1, reinit_layers=1)

    def run(epochs, resume=None):
        model = build(module, tiny_encoder, steady=on)
        trainer = L.Trainer(
            accelerator="cpu",
            devices=1,
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            max_epochs=epochs,
            limit_val_batches=0,
        )
        whole = torch.utils.data.DataLoader(loader, batch_size=None)
        trainer.fit(model, whole, ckpt_path=resume, weights_only=True)
        return model, trainer

    _, first = run(2)
    first.save_checkpoint(tmp_path / "half.ckpt")
    resumed, _ = run(4, tmp_path / "half.ckpt")
    straight, _ = run(4)
    for (name, one), other in zip(straight.named_parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other), name
    assert torch.equal(straight._average.live["head.out.weight"], resumed._average.live["head.out.weight"])


# what cannot work --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "kind", "options", "on", "message"),
    [
        (
            FeatureExtraction,
            "classification",
            {"solver": "lbfgs", "head": HeadConfig()},
            {"ema": 0.9},
            "a solved head is not trained in steps",
        ),
        (FeatureExtraction, "classification", {}, {"fgm": 1.0}, "fgm: the frozen encoder is not run"),
        (ParameterEfficient, "classification", {}, {"mixout": 0.5}, "mixout: the pretrained matrices stay"),
        (ParameterEfficient, "classification", {}, {"reinit_layers": 1}, "reinit_layers: the pretrained matrices stay"),
        (ParameterEfficient, "classification", {"method": AdaLoRA()}, {"ema": 0.9}, "AdaLoRA changes its ranks"),
        (FromScratch, "classification", {}, {"l2_sp": 0.1}, "l2_sp: nothing is pretrained"),
        (FullFineTuning, "regression", {}, {"label_smoothing": 0.1}, "label_smoothing: the targets of a regression"),
        (FullFineTuning, "classification", {}, {"reinit_layers": 3}, "3 is not in 1 .. 2"),
        (FullFineTuning, "classification", {"top_layers": 1}, {"reinit_layers": 2}, "would not be trained"),
    ],
)
def test_what_cannot_work_is_refused(strategy, kind, options, on, message, data, tiny_encoder):
    module = data(kind)
    with pytest.raises(TransferlabError, match=message):
        build(module, tiny_encoder, strategy, steady=Steady(**on), **options).wrap_data(module)


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ({"mixout": 1.0}, "model.steady.mixout: 1.0 is not in"),
        ({"r_drop": 0.0}, "model.steady.r_drop: 0.0 is not above 0"),
        ({"r_drop": 1.0, "fgm": 1.0}, "r_drop and fgm exclude each other"),
        ({"ema": 0.9, "swa": 0.5}, "ema and swa exclude each other"),
        ({"reinit_layers": 0}, "reinit_layers: 0 is below 1"),
    ],
)
def test_wrong_numbers(on, message):
    with pytest.raises(TransferlabError, match=message):
        Steady(**on)


def test_mixout_and_layers_that_are_computed_again(data, tiny_encoder):
    from dataclasses import replace

    module = data("classification")
    model = build(module, tiny_encoder, steady=Steady(mixout=0.5))
    model.encoder_config = replace(model.encoder_config, activation_checkpointing=True)
    with pytest.raises(TransferlabError, match="computes a layer again"):
        model.check_steady()
