"""Classes of unequal size: weighted and focal losses by hand, balanced sampling, and what is refused."""

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from sklearn.utils.class_weight import compute_class_weight
from test_step import batches, fit, make, trained  # noqa: F401  a fixture

from transferlab.ground.errors import TransferlabError
from transferlab.learning.imbalance import class_weights, flag_weights, in_words
from transferlab.learning.kinds import KINDS
from transferlab.learning.losses import distillation_loss, task_loss
from transferlab.strategies import Distillation, FullFineTuning
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batching import BucketBatchSampler


def test_class_weights_are_the_balanced_ones_of_sklearn():
    labels = np.array([0] * 7 + [1] * 2 + [3])
    found = class_weights(labels, 4)
    wanted = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    np.testing.assert_allclose(found, [wanted[0], wanted[1], 0, wanted[2]], rtol=1e-6)
    assert found[labels].mean() == pytest.approx(1)


def test_weights_of_several_labels_are_those_of_each():
    flags = np.array([[1, 0], [0, 0], [0, 0], [0, 0]])
    # 4 / (2 * 3) without and 4 / (2 * 1) with the first; the second is in none
    np.testing.assert_allclose(flag_weights(flags), [[2 / 3, 1], [2, 0]], rtol=1e-6)


def test_the_header_names_the_weights():
    assert in_words("weighted", torch.tensor([0.5, 2.0]), ("no", "yes")) == "weighted loss: no 0.5, yes 2"
    said = in_words("weighted", flag_weights(np.array([[1, 0], [0, 1], [0, 1], [0, 1]])), ("a", "b"))
    assert said == "weighted loss, an example with the label against one without: a 3, b 0.333"
    assert in_words("focal", None, ()) == "focal loss, gamma 2"
    assert in_words(None, None, ()) == ""


# losses by hand --------------------------------------------------------------------------------------------------


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def both(kind, logits, labels, weights, mask=None):
    tensor = torch.tensor(logits, dtype=torch.float32)
    return [
        task_loss(kind, tensor, torch.tensor(labels), mask, form, weights if form == "weighted" else None).item()
        for form in ("weighted", "focal")
    ]


def test_classification(rng):
    logits, labels = rng.normal(size=(8, 3)) * 2, rng.integers(0, 3, 8)
    weights = torch.tensor([0.5, 1.0, 4.0])
    log_p = log_softmax(logits, axis=-1)[np.arange(8), labels]
    wanted = [(weights.numpy()[labels] * -log_p).sum() / 8, ((1 - np.exp(log_p)) ** 2 * -log_p).sum() / 8]
    assert both("classification", logits, labels, weights) == pytest.approx(wanted, rel=1e-5)


def test_tagging_is_a_mean_over_the_words_that_were_read(rng):
    logits, labels = rng.normal(size=(2, 4, 3)) * 2, rng.integers(0, 3, (2, 4))
    labels[1, 2:] = -100
    mask = torch.ones(2, 4, dtype=torch.bool)
    mask[0, 3] = False
    weights = torch.tensor([0.2, 1.0, 4.0])
    real = (labels != -100) & mask.numpy()
    log_p = np.take_along_axis(log_softmax(logits, axis=-1), labels.clip(0)[..., None], -1)[..., 0]
    factors = (weights.numpy()[labels.clip(0)], (1 - np.exp(log_p)) ** 2)
    wanted = [(factor * -log_p)[real].sum() / real.sum() for factor in factors]
    assert both("tagging", logits, labels, weights, mask) == pytest.approx(wanted, rel=1e-5)


def test_multilabel(rng):
    logits, labels = rng.normal(size=(6, 3)) * 2, rng.integers(0, 2, (6, 3))
    weights = torch.tensor([[0.6, 1.0, 0.7], [3.0, 1.0, 2.0]])
    p = expit(logits)
    right = np.where(labels, p, 1 - p)
    table = np.where(labels, weights[1], weights[0])
    wanted = [(table * -np.log(right)).mean(), ((1 - right) ** 2 * -np.log(right)).mean()]
    assert both("multilabel", logits, labels, weights) == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("kind", ["classification", "tagging", "multilabel"])
def test_weights_of_one_change_nothing(rng, kind):
    shape = (3, 4, 2) if kind == "tagging" else (3, 2)
    logits = torch.tensor(rng.normal(size=shape), dtype=torch.float32)
    labels = torch.tensor(rng.integers(0, 2, {"classification": (3,), "tagging": (3, 4), "multilabel": (3, 2)}[kind]))
    ones = torch.ones(2, 2) if kind == "multilabel" else torch.ones(2)
    plain = task_loss(kind, logits, labels)
    torch.testing.assert_close(task_loss(kind, logits, labels, None, "weighted", ones), plain)


def test_a_focal_loss_has_a_finite_gradient_where_the_answer_is_sure():
    logits = torch.tensor([[60.0, -60.0], [0.0, 0.0]], requires_grad=True)
    task_loss("classification", logits, torch.tensor([0, 0]), form="focal").backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0].abs().max() == 0


def test_in_distillation_the_term_with_the_labels_is_weighted(rng):
    logits, teacher = (torch.tensor(rng.normal(size=(5, 2)), dtype=torch.float32) for _ in range(2))
    labels, weights = torch.tensor([0, 1, 0, 0, 0]), torch.tensor([0.6, 2.5])
    parts = [
        distillation_loss("classification", logits, teacher, labels, alpha, 2.0, None, "weighted", weights)
        for alpha in (0.0, 0.3, 1.0)
    ]
    assert parts[0] == distillation_loss("classification", logits, teacher, labels, 0.0, 2.0)
    torch.testing.assert_close(parts[1], 0.7 * parts[0] + 0.3 * parts[2])


# in training -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["weighted", "focal"])
@pytest.mark.parametrize("kind", ["classification", "tagging", "multilabel"])
def test_accumulated_batches_are_one_batch(form, kind, data, tiny_encoder, fit):  # noqa: F811  the fixture
    module = data(kind)
    model = make("all", module, tiny_encoder)
    model.loss_form = form
    model.weigh(module)
    whole = trained(model, batches(module, [16, 12]), fit, 1)
    parts = trained(model, batches(module, [8, 8, 4, 8]), fit, 2)
    plain = make("all", module, tiny_encoder)
    usual = trained(plain, batches(module, [16, 12]), fit, 1)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=0, atol=1e-6)
    assert any(not torch.allclose(whole[key], usual[key], atol=1e-6) for key in whole)


def test_weights_come_from_the_examples_that_train(data, tiny_encoder):
    module = data("classification", train_examples=10)
    model = FullFineTuning(task=module.spec, encoder=tiny_encoder, loss="weighted")
    model.weigh(module)
    split, rows = module.part_rows("train")
    labels = np.asarray(module.encoded(split).labels)[rows]
    assert len(labels) == 10
    assert model.label_weights.tolist() == class_weights(labels, 2).tolist()
    assert "label_weights" not in model.state_dict()


def test_words_that_were_cut_off_weigh_nothing(data, tiny_encoder):
    long, short = data("tagging"), data("tagging", max_length=8)
    assert 0 < len(short.part_labels()) < len(long.part_labels())
    weights = KINDS["tagging"].weights(short.part_labels(), len(short.spec.labels))
    assert weights[short.part_labels()].mean() == pytest.approx(1, rel=1e-5)


def test_weights_that_were_not_taken_from_the_data_are_missed(data, tiny_encoder):
    module = data()
    model = FullFineTuning(task=module.spec, encoder=tiny_encoder, loss="weighted")
    batch = next(iter(module.train_dataloader()))
    with pytest.raises(TransferlabError, match=r"model\.loss: the weights of the labels are missing"):
        model.loss(model(batch), batch)


# balanced sampling -----------------------------------------------------------------------------------------------


@pytest.fixture
def unequal(rng):
    classes = np.repeat([0, 1, 2], [160, 30, 11])
    return rng.integers(4, 40, len(classes)), rng.permutation(classes)


def drawn(unequal, epoch, **options):
    lengths, classes = unequal
    sampler = BucketBatchSampler(lengths, 8, shuffle=True, seed=2, classes=classes, **options)
    sampler.set_epoch(epoch)
    return sampler, [row for batch in sampler for row in batch]


@pytest.mark.parametrize("options", [{}, {"packed": True}, {"max_tokens": 60}, {"max_tokens": 60, "packed": True}])
@pytest.mark.parametrize("epoch", [0, 1, 25])
def test_each_epoch_has_equal_numbers_of_every_class(unequal, options, epoch):
    sampler, rows = drawn(unequal, epoch, **options)
    assert len(rows) == 201
    assert np.bincount(unequal[1][rows]).tolist() == [67, 67, 67]
    # those of a class come equally often, give or take one
    times = np.bincount(rows, minlength=201)
    for name in range(3):
        assert np.ptp(times[unequal[1] == name]) <= 1
    assert rows == drawn(unequal, epoch, **options)[1]
    assert rows != drawn(unequal, epoch + 1, **options)[1]
    assert len(sampler) == len(list(sampler))


def test_a_resumed_epoch_goes_on_with_the_same_examples(unequal):
    whole = drawn(unequal, 3)[0]
    rest = drawn(unequal, 3)[0]
    rest.resume(3, 7)
    assert list(rest) == list(whole)[7:]


def test_two_processes_share_an_epoch(unequal):
    parts = [drawn(unequal, 1, rank=rank, world_size=2)[0] for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) == len(list(parts[0])) == len(list(parts[1]))
    rows = [row for part in parts for batch in part for row in batch]
    assert np.ptp(np.bincount(unequal[1][rows])) <= 8


def test_without_classes_the_order_is_what_it_was(unequal):
    lengths, _ = unequal
    generator = np.random.default_rng((2, 0))
    order = generator.permutation(len(lengths))
    sampler = BucketBatchSampler(lengths, 8, shuffle=True, seed=2, packed=True)
    assert [row for batch in sampler for row in batch] == order.tolist()


def test_training_draws_in_equal_numbers_and_evaluation_does_not(files, tiny_encoder):
    module = TaskDataModule("tiny", tiny_encoder, source=files["classification"], sampling="balanced", batch_size=4)
    module.setup("fit")
    labels = torch.cat([batch.labels for batch in module.train_dataloader()])
    assert torch.bincount(labels).tolist() == [18, 18]
    assert (
        sorted(torch.cat([b.index for b in module.val_dataloader()]).tolist())
        == module.part_rows("validation")[1].tolist()
    )


# refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["regression", "tagging", "multilabel"])
def test_sampling_is_refused_where_examples_have_no_single_class(kind, files, tiny_encoder):
    with pytest.raises(TransferlabError, match=rf"data\.sampling: balanced is not for {kind}: "):
        TaskDataModule("tiny", tiny_encoder, source=files[kind], sampling="balanced")


def test_a_regression_has_no_classes(data, tiny_encoder):
    with pytest.raises(TransferlabError, match=r"model\.loss: focal is not for regression: the targets"):
        FullFineTuning(task=data("regression").spec, encoder=tiny_encoder, loss="focal")


def test_weights_and_sampling_together_would_count_twice(files, tiny_encoder):
    module = TaskDataModule("tiny", tiny_encoder, source=files["classification"], sampling="balanced")
    model = FullFineTuning(task=module.spec, encoder=tiny_encoder, loss="weighted")
    with pytest.raises(TransferlabError, match="set one of them"):
        model.weigh(module)


def test_a_student_of_the_teacher_alone_has_no_labels_to_weigh(data, tiny_encoder):
    model = Distillation(task=data().spec, encoder=tiny_encoder, teacher="x", alpha=0.0, loss="focal")
    assert model.without_effect()["model.loss"] == "no term has the labels"
