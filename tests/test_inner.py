"""Losses inside of student and teacher, and the mean of several teachers, against computations by hand."""

import numpy as np
import pytest
import torch
from test_distillation import runs, student  # noqa: F401  a fixture

from transferlab.adapters import LoRA, Tuner
from transferlab.encoders import build_encoder
from transferlab.encoders.taps import tapped
from transferlab.ground.errors import TransferlabError
from transferlab.learning import inner
from transferlab.learning.ensemble import mean_logits
from transferlab.learning.inner import layer_map
from transferlab.strategies.forward import encoder_inputs
from transferlab.tasks import TaskSpec

MASK = torch.tensor([[True, True, False], [True, True, True]])


# by hand ------------------------------------------------------------------------------------------------------------


def test_hidden_states_by_hand():
    one, other = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    real = [(0, 0), (0, 1), (1, 0), (1, 1), (1, 2)]
    squares = [((one[at] - other[at]) ** 2).mean() for at in real]
    torch.testing.assert_close(inner.hidden_loss(one, other, MASK), torch.stack(squares).mean())
    cosines = [one[at] @ other[at] / one[at].norm() / other[at].norm() for at in real]
    torch.testing.assert_close(inner.hidden_loss(one, other, MASK, "cosine"), 1 - torch.stack(cosines).mean())
    assert inner.hidden_loss(one, other, MASK & False) == 0


def test_cka_sees_no_turn_and_no_scale():
    x, y = torch.randn(20, 4), torch.randn(20, 6)
    turn = torch.linalg.qr(torch.randn(4, 4))[0]
    torch.testing.assert_close(inner.cka(x, 3 * x @ turn + 1), torch.tensor(1.0))
    # HSIC of linear kernels, by the centring matrix
    centre = torch.eye(20) - 1 / 20
    one, other = (centre @ part @ part.T @ centre for part in (x, y))
    torch.testing.assert_close(inner.cka(x, y), (one * other).sum() / one.norm() / other.norm())
    states = inner.hidden_loss(x.view(4, 5, 4), y.view(4, 5, 6), torch.ones(4, 5, dtype=torch.bool), "cka")
    torch.testing.assert_close(states, 1 - inner.cka(x, y))


def test_scores_and_their_distances_by_hand():
    q, k = torch.randn(2, 3, 8), torch.randn(2, 3, 8)
    found = inner.scores(q, k, 2)
    for row in range(2):
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            torch.testing.assert_close(found[row, head], q[row, :, part] @ k[row, :, part].T / 2)
    other = inner.scores(k, q, 2)
    pairs, kls = [], []
    for row, count in ((0, 2), (1, 3)):
        for head in range(2):
            s, t = found[row, head, :count, :count], other[row, head, :count, :count]
            pairs += ((s - t) ** 2).flatten().tolist()
            p, r = t.softmax(-1), s.softmax(-1)
            kls += (p * (p / r).log()).sum(-1).tolist()
    assert inner.attention_loss(found, other, MASK).item() == pytest.approx(np.mean(pairs), rel=1e-5)
    assert inner.relation_loss(found, other, MASK).item() == pytest.approx(np.mean(kls), rel=1e-4)
    # padding has no gradient
    leaf = found.clone().requires_grad_()
    inner.relation_loss(leaf, other, MASK).backward()
    assert torch.isfinite(leaf.grad).all()
    assert not leaf.grad[0, :, 2].any()
    assert not leaf.grad[0, :, :, 2].any()


def test_maps_of_layers():
    assert layer_map(None, 4, 12) == layer_map("even", 4, 12) == {1: 3, 2: 6, 3: 9, 4: 12}
    assert layer_map("even", 3, 4) == {1: 1, 2: 3, 3: 4}
    assert layer_map("even", 4, 2) == {1: 1, 2: 1, 3: 2, 4: 2}
    assert layer_map("last", 2, 6) == {1: 5, 2: 6}
    assert layer_map((2, 0, 6), 3, 6) == {1: 2, 3: 6}
    for how, of in (("last", 1), ((7,), 6), ((1, 2, 3), 6), ((0,), 6), ((-1,), 6)):
        with pytest.raises(TransferlabError, match=r"model\.inner\.layers"):
            layer_map(how, 2, of)


def test_the_mean_of_teachers_is_one_of_distributions():
    logits, weights = [torch.randn(5, 3) for _ in range(3)], (1.0, 2.0, 0.5)
    mean = sum(w * (one / 2).softmax(-1) for w, one in zip(weights, logits, strict=True)) / 3.5
    torch.testing.assert_close(
        (mean_logits(TaskSpec("t", "classification", tuple("abc"), ()), logits, weights, 2.0) / 2).softmax(-1), mean
    )
    several = sum(w * (one / 2).sigmoid() for w, one in zip(weights, logits, strict=True)) / 3.5
    torch.testing.assert_close(
        (mean_logits(TaskSpec("t", "multilabel", tuple("abc"), ()), logits, weights, 2.0) / 2).sigmoid(), several
    )
    plain = sum(w * one for w, one in zip(weights, logits, strict=True)) / 3.5
    torch.testing.assert_close(mean_logits(TaskSpec("t", "regression", (), ()), logits, weights, 2.0), plain)


def test_intents_and_slots_have_a_mean_of_distributions_each():
    task = TaskSpec("t", "slots", ("O", "B-x", "intent:a", "intent:b", "intent:c"), ())
    logits, weights = [5 * torch.randn(2, 3, 5) for _ in range(2)], (1.0, 3.0)
    found = mean_logits(task, logits, weights, 2.0)
    for part in (slice(0, 2), slice(2, 5)):
        mean = sum(w * (one[..., part] / 2).softmax(-1) for w, one in zip(weights, logits, strict=True)) / 4
        torch.testing.assert_close((found[..., part] / 2).softmax(-1), mean)


@pytest.mark.parametrize("method", [None, LoRA(r=2), LoRA(r=2, variant="dora"), Tuner("vera", {"r": 2})], ids=str)
def test_taps_see_what_transformers_gives(method, tiny_encoder, data):
    encoder = build_encoder(tiny_encoder).eval()
    if method is not None:
        # an adapter stands around the maps, and what it adds belongs to queries and values
        encoder.backbone = method.apply(encoder.backbone).eval()
        for parameter in encoder.backbone.parameters():
            if parameter.requires_grad:
                parameter.data.add_(0.1 * torch.randn_like(parameter))
    hooks = [len(module._forward_hooks) for module in encoder.modules()]
    batch = next(iter(data().train_dataloader()))
    with torch.no_grad(), tapped(encoder.backbone, True) as seen:
        encoder(**encoder_inputs(batch))
    assert hooks == [len(module._forward_hooks) for module in encoder.modules()]
    states = encoder.states(**encoder_inputs(batch))
    assert sorted(seen.states) == [0, 1, 2]
    for number, state in enumerate(states):
        torch.testing.assert_close(seen.states[number], state)
    encoder.backbone.set_attn_implementation("eager")
    maps = encoder.backbone(**encoder_inputs(batch), output_attentions=True).attentions
    mask = batch.attention_mask.bool()
    for number, own in enumerate(maps, 1):
        found = inner.scores(seen.queries[number], seen.keys[number], 4).masked_fill(~mask[:, None, None], -torch.inf)
        torch.testing.assert_close(
            found.softmax(-1)[mask[:, None].expand(-1, 4, -1)], own[mask[:, None].expand(-1, 4, -1)]
        )
