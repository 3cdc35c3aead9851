import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from transferlab.errors import TransferlabError
from transferlab.tasks.batching import BucketBatchSampler

SIZES = [*range(1, 20), 31, 32, 33, 97, 100, 257]
WORLDS = [1, 2, 3, 4, 8]
GRID = list(itertools.product(SIZES, WORLDS, [1, 3, 8], [1, 2, 50]))


def lengths_of(size, seed=0):
    return np.random.default_rng(seed).integers(3, 128, size)


def samplers(size, world, *, shuffle, batch_size=8, window=50, seed=0, epoch=0):
    made = [
        BucketBatchSampler(
            lengths_of(size), batch_size, shuffle=shuffle, seed=seed, window=window, rank=rank, world_size=world
        )
        for rank in range(world)
    ]
    for sampler in made:
        sampler.set_epoch(epoch)
    return made


def padding(batches, lengths):
    return sum(len(batch) * lengths[batch].max() - lengths[batch].sum() for batch in batches)


def test_training_covers_everything_with_equal_batches_per_rank():
    for size, world, batch_size, window in GRID:
        ranks = [list(s) for s in samplers(size, world, shuffle=True, batch_size=batch_size, window=window, epoch=3)]
        case = (size, world, batch_size, window)
        assert len({len(batches) for batches in ranks}) == 1, case
        batches = [batch for group in ranks for batch in group]
        assert {row for batch in batches for row in batch} == set(range(size)), case
        # what is repeated to fill up the last step is less than one step, whole batches of it
        distinct = {tuple(batch) for batch in batches}
        assert Counter(row for batch in distinct for row in batch) == Counter(range(size)), case
        assert len(batches) - len(distinct) < world, case
        assert max(map(len, batches)) <= batch_size, case


def test_training_of_one_process_repeats_nothing():
    for size, _, batch_size, window in GRID:
        (sampler,) = samplers(size, 1, shuffle=True, batch_size=batch_size, window=window)
        assert sorted(itertools.chain(*sampler)) == list(range(size))


def test_evaluation_takes_each_example_once_over_all_ranks():
    for size, world, batch_size, _ in GRID:
        if size < world:
            continue
        ranks = [list(s) for s in samplers(size, world, shuffle=False, batch_size=batch_size)]
        case = (size, world, batch_size)
        assert sorted(itertools.chain(*itertools.chain(*ranks))) == list(range(size)), case
        # a rank without a batch would leave the others waiting for it when metrics are synchronised
        assert min(map(len, ranks)) > 0, case
        assert max(len(batch) for group in ranks for batch in group) <= batch_size, case


def test_evaluation_of_fewer_rows_than_processes_is_refused():
    with pytest.raises(TransferlabError, match=r"3 rows .* 4 processes.*trainer\.devices"):
        samplers(3, 4, shuffle=False)


def test_length_equals_iteration():
    for (size, world, batch_size, window), shuffle in itertools.product(GRID, [True, False]):
        if not shuffle and size < world:
            continue
        for sampler in samplers(size, world, shuffle=shuffle, batch_size=batch_size, window=window, epoch=1):
            assert len(sampler) == len(list(sampler)), (size, world, batch_size, window, shuffle, sampler.rank)


def test_order_is_a_pure_function_of_seed_epoch_and_world_size():
    reference = [list(s) for s in samplers(500, 2, shuffle=True, seed=5, epoch=2)]
    disturbed = samplers(500, 2, shuffle=True, seed=5)
    for sampler in disturbed:
        # neither the global generators nor what was iterated before counts
        np.random.seed(1)
        torch.manual_seed(1)
        list(sampler)
        sampler.set_epoch(7)
        list(sampler)
        sampler.set_epoch(2)
    assert [list(s) for s in disturbed] == reference
    assert [list(s) for s in disturbed] == reference


@pytest.mark.parametrize("change", [{"seed": 6}, {"epoch": 3}])
def test_order_changes_with_seed_and_epoch(change):
    options = {"seed": 5, "epoch": 2}
    (one,) = samplers(500, 1, shuffle=True, **options)
    (other,) = samplers(500, 1, shuffle=True, **{**options, **change})
    assert list(one) != list(other)
    assert {frozenset(batch) for batch in one}.isdisjoint({frozenset(batch) for batch in other})


def test_evaluation_is_longest_first_and_the_same_every_epoch():
    (sampler,) = samplers(100, 1, shuffle=False)
    first = list(sampler)
    sampler.set_epoch(4)
    assert list(sampler) == first
    flat = lengths_of(100)[list(itertools.chain(*first))]
    assert (np.diff(flat) <= 0).all()


def test_seeds_near_each_other_do_not_share_epochs():
    (one,) = samplers(200, 1, shuffle=True, seed=0, epoch=1)
    (other,) = samplers(200, 1, shuffle=True, seed=1, epoch=0)
    assert list(one) != list(other)


def test_padding_is_far_below_that_of_random_batches():
    lengths = lengths_of(5000)
    (sampler,) = samplers(5000, 1, shuffle=True, batch_size=32)
    order = np.random.default_rng(0).permutation(5000)
    random = [order[start : start + 32] for start in range(0, 5000, 32)]
    assert padding([np.array(batch) for batch in sampler], lengths) < 0.1 * padding(random, lengths)


def test_batches_are_not_sorted_by_length():
    lengths = lengths_of(5000)
    (sampler,) = samplers(5000, 1, shuffle=True, batch_size=32)
    longest = np.array([lengths[batch].max() for batch in sampler])
    assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.3


def test_lightning_reaches_set_epoch():
    (sampler,) = samplers(50, 1, shuffle=True)
    loader = torch.utils.data.DataLoader(range(50), batch_sampler=sampler)
    loader.batch_sampler.sampler.set_epoch(3)
    assert sampler.epoch == 3
