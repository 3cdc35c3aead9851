import pytest
import torch
from torch import nn

from transferlab.encoders.recurrent import run_lstm
from transferlab.learning.heads import Head, HeadConfig
from transferlab.tasks import TaskSpec

TEXTS = TaskSpec("texts", "classification", ("a", "b", "c"), ("accuracy",))
NUMBERS = TaskSpec("numbers", "regression", (), ("pearson",))
WORDS = TaskSpec("words", "tagging", ("O", "B-X", "I-X"), ("f1",))


@pytest.mark.parametrize("kind", ["linear", "mlp", "bilstm"])
@pytest.mark.parametrize(("task", "shape"), [(TEXTS, (2, 3)), (NUMBERS, (2,)), (WORDS, (2, 5, 3))])
def test_shapes(kind, task, shape):
    head = Head(HeadConfig(kind, hidden=4), 8, task)
    tokens = task.kind == "tagging" or head.reads_tokens
    vectors = torch.randn(2, 5, 8) if tokens else torch.randn(2, 8)
    assert head(vectors, torch.ones(2, 5, dtype=torch.long)).shape == shape


def test_linear_by_hand():
    head = Head(HeadConfig(), 8, TEXTS).eval()
    vectors = torch.randn(2, 8)
    torch.testing.assert_close(head(vectors), vectors @ head.out.weight.T + head.out.bias)


def test_mlp_by_hand():
    head = Head(HeadConfig("mlp", hidden=4), 8, TEXTS).eval()
    vectors = torch.randn(2, 8)
    expected = torch.tanh(vectors @ head.inner[0].weight.T) @ head.out.weight.T + head.out.bias
    torch.testing.assert_close(head(vectors), expected)
    assert {name for name, _ in head.named_parameters()} == {"inner.0.weight", "out.weight", "out.bias"}


def test_hidden_zero_is_as_wide_as_the_encoder():
    assert Head(HeadConfig("mlp"), 8, TEXTS).out.in_features == 8
    assert Head(HeadConfig("bilstm"), 8, TEXTS).out.in_features == 16


@pytest.mark.parametrize("task", [TEXTS, WORDS])
def test_bilstm_does_not_see_padding(task):
    head = Head(HeadConfig("bilstm", hidden=4, layers=2), 8, task).eval()
    vectors, mask = torch.randn(2, 6, 8), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    alone = head(vectors[1:, :4], mask[1:, :4])
    noisy = vectors.clone()
    noisy[1, 4:] = 100.0
    together = head(noisy, mask)[1:]
    torch.testing.assert_close(together[:, :4] if task is WORDS else together, alone)


def test_bilstm_takes_the_maximum_over_real_tokens():
    head = Head(HeadConfig("bilstm", hidden=4), 8, TEXTS).eval()
    vectors, mask = torch.randn(2, 6, 8), torch.tensor([[1] * 6, [1] * 2 + [0] * 4])
    states = run_lstm(head.lstm, vectors, mask)
    expected = head.out(torch.stack([states[0].amax(0), states[1, :2].amax(0)]))
    torch.testing.assert_close(head(vectors, mask), expected)


def test_lstm_gives_zeros_at_padding_and_reads_both_ways():
    lstm = nn.LSTM(3, 2, batch_first=True, bidirectional=True)
    inputs, mask = torch.randn(2, 5, 3), torch.tensor([[1] * 5, [1] * 3 + [0] * 2])
    states = run_lstm(lstm, inputs, mask)
    assert states.shape == (2, 5, 4)
    assert not states[1, 3:].any()
    torch.testing.assert_close(states[1, :3], lstm(inputs[1:, :3])[0][0])


@pytest.mark.parametrize("kind", ["linear", "mlp", "bilstm"])
def test_logits_are_full_precision_under_autocast(kind):
    head = Head(HeadConfig(kind), 8, TEXTS).eval()
    vectors = torch.randn(2, 5, 8) if head.reads_tokens else torch.randn(2, 8)
    mask = torch.ones(2, 5, dtype=torch.long)
    exact = head(vectors, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = head(vectors, mask)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, exact)


@pytest.mark.parametrize("kind", ["linear", "mlp", "bilstm"])
def test_a_head_in_bf16_gives_float32(kind):
    head = Head(HeadConfig(kind), 8, TEXTS).bfloat16()
    vectors = torch.randn(2, 5, 8) if head.reads_tokens else torch.randn(2, 8)
    assert head(vectors.bfloat16(), torch.ones(2, 5, dtype=torch.long)).dtype == torch.float32
