import math

import pytest
import torch
from torch import nn

from transferlab.ground.errors import TransferlabError
from transferlab.learning.optim import Schedule, apply_scales, parameter_groups


def matrix(learns=True):
    return nn.Parameter(torch.randn(2, 2), requires_grad=learns)


def vector():
    return nn.Parameter(torch.randn(2))


def settings(groups, lr=0.1):
    """Rate and decay of each parameter, by identity."""
    optimizer = torch.optim.AdamW(groups, lr=lr, weight_decay=0.01)
    apply_scales(optimizer)
    return {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}


def test_rates_fall_from_layer_to_layer():
    layers, head = [[matrix()], [matrix()], [matrix()]], [matrix()]
    found = settings(parameter_groups(layers, head, layer_decay=0.5))
    rates = [found[id(p)][0] for (p,) in layers]
    assert rates == [pytest.approx(0.025), pytest.approx(0.05), pytest.approx(0.1)]
    assert found[id(head[0])][0] == pytest.approx(0.1)


def test_the_head_has_its_own_rate():
    layer, head = matrix(), matrix()
    found = settings(parameter_groups([[layer]], [head], head_lr=0.7, layer_decay=0.5))
    assert (found[id(layer)][0], found[id(head)][0]) == (0.1, 0.7)


def test_no_decay_on_vectors():
    layer, head = [matrix(), vector()], [matrix(), vector(), nn.Parameter(torch.ones(()))]
    found = settings(parameter_groups([layer], head))
    assert [found[id(p)][1] for p in (*layer, *head)] == [0.01, 0.0, 0.01, 0.0, 0.0]


def test_groups_of_equal_settings_are_one():
    layers = [[matrix(), vector()] for _ in range(3)]
    assert len(parameter_groups(layers, [matrix(), vector()])) == 2
    assert len(parameter_groups(layers, [matrix(), vector()], layer_decay=0.5)) == 6


def test_frozen_parameters_and_empty_groups_are_left_out():
    frozen, head = matrix(learns=False), matrix()
    assert [group["params"] for group in parameter_groups([[frozen], []], [head])] == [[head]]


def rates(schedule, steps):
    optimizer = torch.optim.SGD([matrix()], lr=1.0)
    scheduler = schedule.build(optimizer, steps)
    found = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


def test_linear_schedule():
    found = rates(Schedule("linear", 0.2), 10)
    assert found == pytest.approx([0, 0.5, *(1 - n / 8 for n in range(9))])


def test_cosine_schedule():
    found = rates(Schedule("cosine", 0.0), 10)
    assert found == pytest.approx([(1 + math.cos(math.pi * n / 10)) / 2 for n in range(11)], abs=1e-6)


def test_constant_schedule_with_warmup():
    assert rates(Schedule("constant", 0.2), 10) == pytest.approx([0, 0.5, *[1] * 9])


@pytest.mark.parametrize(
    ("kind", "name"), [("linear", "linear"), ("cosine", "cosine"), ("constant", "constant_with_warmup")]
)
@pytest.mark.parametrize("warmup", [0.0, 0.06, 0.3])
def test_schedules_are_those_of_transformers(kind, name, warmup):
    from transformers import get_scheduler

    optimizer, steps = torch.optim.SGD([matrix()], lr=0.3), 23
    theirs = get_scheduler(name, optimizer, num_warmup_steps=round(warmup * steps), num_training_steps=steps)
    (factor,) = theirs.lr_lambdas
    assert [Schedule(kind, warmup).factor(step, steps) for step in range(26)] == [factor(step) for step in range(26)]


def test_a_schedule_that_starts_later_or_again():
    schedule = Schedule("linear", 0.25)
    whole = [schedule.factor(step, 8) for step in range(8)]
    assert whole == pytest.approx([0, 0.5, 1, *(1 - n / 6 for n in range(1, 6))])
    # from step 4 of 12 over the rest
    assert [schedule.factor(step, 12, (4,)) for step in range(12)] == [0] * 4 + whole
    # anew at step 8, over the rest, which are 4: the warm-up is a step
    again = [0, 1, *(1 - n / 3 for n in (1, 2))]
    assert [schedule.factor(step, 12, (0, 8)) for step in range(12)] == pytest.approx(whole + again)
    # never
    assert [schedule.factor(step, 12, ()) for step in range(12)] == [0] * 12


def test_each_group_has_its_own_start():
    layers, head = [[matrix()], [matrix()]], [matrix()]
    optimizer = torch.optim.SGD(parameter_groups(layers, head, starts=[(4,), (2,), (0,)]), lr=1.0)
    apply_scales(optimizer)
    scheduler = Schedule("linear", 0.0).build(optimizer, 6)
    found = {id(p): [] for group in optimizer.param_groups for p in group["params"]}
    for _ in range(6):
        for group in optimizer.param_groups:
            found[id(group["params"][0])].append(group["lr"])
        optimizer.step()
        scheduler.step()
    assert found[id(head[0])] == pytest.approx([1 - n / 6 for n in range(6)])
    assert found[id(layers[1][0])] == pytest.approx([0, 0, 1, 0.75, 0.5, 0.25])
    assert found[id(layers[0][0])] == pytest.approx([0, 0, 0, 0, 1, 0.5])


@pytest.mark.parametrize("warmup", [-0.1, 1.0, 100])
def test_warmup_is_a_part_of_the_run(warmup):
    with pytest.raises(TransferlabError, match=r"model.schedule.warmup: .* is not in \[0, 1\)"):
        Schedule(warmup=warmup)
