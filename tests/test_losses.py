import numpy as np
import pytest
import torch

from transferlab.ground.errors import TransferlabError
from transferlab.learning.losses import distillation_loss, task_loss


def log_softmax(scores):
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def nll(logits, labels):
    return -np.take_along_axis(log_softmax(logits), labels[..., None], -1)[..., 0]


def kl(teacher, student, temperature):
    log_p, log_q = log_softmax(teacher / temperature), log_softmax(student / temperature)
    return (np.exp(log_p) * (log_p - log_q)).sum(-1)


def tensor(array, dtype=torch.float32):
    return torch.as_tensor(array).to(dtype)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def tagging(rng):
    logits, teacher = rng.normal(size=(2, 3, 4, 5)) * 2
    labels = rng.integers(0, 5, (3, 4))
    labels[0, 3] = labels[2, 1:] = -100
    mask = np.ones((3, 4), dtype=bool)
    mask[1, 2:] = False
    return logits, teacher, labels, mask


def test_classification(rng):
    logits, labels = rng.normal(size=(6, 3)) * 3, rng.integers(0, 3, 6)
    loss = task_loss("classification", tensor(logits), torch.as_tensor(labels))
    assert loss.item() == pytest.approx(nll(logits, labels).mean(), rel=1e-5)


def test_regression(rng):
    predictions, labels = rng.normal(size=(2, 6))
    loss = task_loss("regression", tensor(predictions), torch.as_tensor(labels))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(((predictions - labels) ** 2).mean(), rel=1e-5)


def test_regression_does_not_broadcast():
    with pytest.raises(ValueError, match="equal shapes"):
        task_loss("regression", torch.zeros(4, 1), torch.zeros(4))


@pytest.mark.parametrize("masked", [False, True])
def test_tagging_averages_over_real_words(tagging, masked):
    logits, _, labels, mask = tagging
    real = (labels != -100) & (mask if masked else True)
    loss = task_loss("tagging", tensor(logits), torch.as_tensor(labels), torch.as_tensor(mask) if masked else None)
    assert loss.item() == pytest.approx(nll(logits, labels.clip(0))[real].mean(), rel=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_no_real_word_gives_zero_with_a_graph(alpha):
    logits = torch.randn(2, 3, 4, requires_grad=True)
    labels = torch.full((2, 3), -100)
    loss = distillation_loss("tagging", logits, torch.randn(2, 3, 4), labels, alpha, 2.0)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
    kept = torch.zeros(2, 3, dtype=torch.long)
    assert task_loss("tagging", logits, kept, torch.zeros(2, 3, dtype=torch.bool)).item() == 0


def test_masked_words_get_no_gradient(tagging):
    logits, teacher, labels, mask = tagging
    student = tensor(logits).requires_grad_()
    distillation_loss(
        "tagging", student, tensor(teacher), torch.as_tensor(labels), 0.4, 2.0, torch.as_tensor(mask)
    ).backward()
    real = torch.as_tensor((labels != -100) & mask)
    assert (student.grad[~real] == 0).all()
    assert (student.grad[real] != 0).any(-1).all()


@pytest.mark.parametrize("kind", ["classification", "regression", "tagging"])
def test_half_precision_is_upcast(kind):
    logits = {"classification": torch.randn(4, 3), "regression": torch.randn(4), "tagging": torch.randn(4, 2, 3)}[kind]
    labels = {"classification": torch.ones(4), "regression": torch.ones(4), "tagging": torch.ones(4, 2)}[kind].long()
    half = logits.bfloat16()
    loss = distillation_loss(kind, half, half.flip(0), labels, 0.5, 2.0)
    assert loss.dtype == torch.float32
    assert loss == distillation_loss(kind, half.float(), half.float().flip(0), labels, 0.5, 2.0)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_distillation_of_classes(rng, alpha, temperature):
    student, teacher = rng.normal(size=(2, 6, 3)) * 2
    labels = rng.integers(0, 3, 6)
    loss = distillation_loss(
        "classification", tensor(student), tensor(teacher), torch.as_tensor(labels), alpha, temperature
    )
    soft = temperature**2 * kl(teacher, student, temperature).mean()
    assert loss.item() == pytest.approx(alpha * nll(student, labels).mean() + (1 - alpha) * soft, rel=1e-5)


def test_distillation_of_tags(tagging):
    logits, teacher, labels, mask = tagging
    real = (labels != -100) & mask
    loss = distillation_loss(
        "tagging", tensor(logits), tensor(teacher), torch.as_tensor(labels), 0.25, 3.0, torch.as_tensor(mask)
    )
    expected = 0.25 * nll(logits, labels.clip(0))[real].mean() + 0.75 * 9 * kl(teacher, logits, 3.0)[real].mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_distillation_of_regression(rng):
    student, teacher, labels = rng.normal(size=(3, 6))
    loss = distillation_loss("regression", tensor(student), tensor(teacher), tensor(labels), 0.25, 2.0)
    expected = 0.25 * ((student - labels) ** 2).mean() + 0.75 * ((student - teacher) ** 2).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_alpha_one_is_the_task_loss_without_a_teacher(tagging):
    logits, _, labels, mask = (torch.as_tensor(part) for part in tagging)
    assert torch.equal(
        distillation_loss("tagging", logits, None, labels, 1.0, 2.0, mask), task_loss("tagging", logits, labels, mask)
    )


def test_gradients_reach_the_student_only(rng):
    student, teacher = (tensor(part).requires_grad_() for part in rng.normal(size=(2, 6, 3)))
    distillation_loss("classification", student, teacher, torch.zeros(6, dtype=torch.long), 0.0, 4.0).backward()
    # d/dz T^2 mean KL = T (q - p) / batch
    expected = 4 * (torch.softmax(student / 4, -1) - torch.softmax(teacher / 4, -1)) / 6
    torch.testing.assert_close(student.grad, expected.detach())
    assert teacher.grad is None


def test_an_imitated_teacher_costs_nothing(rng):
    logits = tensor(rng.normal(size=(6, 3)))
    labels = torch.zeros(6, dtype=torch.long)
    assert distillation_loss("classification", logits, logits, labels, 0.0, 2.0).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("teacher", "alpha", "temperature", "message"),
    [
        (None, 0.5, 1.0, "needs a teacher"),
        (torch.zeros(2, 3), 1.5, 1.0, "alpha"),
        (torch.zeros(2, 3), 0.5, 0.0, "temperature"),
    ],
)
def test_senseless_arguments_are_refused(teacher, alpha, temperature, message):
    with pytest.raises(TransferlabError, match=message):
        distillation_loss(
            "classification", torch.zeros(2, 3), teacher, torch.zeros(2, dtype=torch.long), alpha, temperature
        )


def test_shapes_of_student_and_teacher_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        distillation_loss("classification", torch.zeros(4, 3), torch.zeros(1, 3), torch.zeros(4).long(), 0.5, 1.0)
