import itertools
from collections import Counter

import numpy as np
import pytest
import torch

from transferlab.config.renamed import as_meant
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.record.setting import fingerprint
from transferlab.tasks import TaskDataModule
from transferlab.tasks.batching import BucketBatchSampler, halved
from transferlab.training import resume

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
    with pytest.raises(TransferlabError, match=r"3 examples .* 4 processes.*trainer\.devices"):
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


# token budgets and packed rows -------------------------------------------------------------------------------------

BUDGETS = [128, 200, 512, 4000]


def cost(batch, lengths, packed):
    return lengths[batch].sum() if packed else len(batch) * lengths[batch].max()


def budgeted(size, world, *, packed, max_tokens, batch_size=1000, **options):
    made = []
    for rank in range(world):
        made.append(
            BucketBatchSampler(
                lengths_of(size),
                batch_size,
                shuffle=options.get("shuffle", True),
                window=options.get("window", 50),
                seed=options.get("seed", 0),
                rank=rank,
                world_size=world,
                max_tokens=max_tokens,
                at_once=options.get("at_once"),
                packed=packed,
            )
        )
    return made


@pytest.mark.parametrize("packed", [False, True])
def test_every_epoch_of_a_budget_is_whole_and_equally_long(packed):
    for size, world, max_tokens, batch_size in itertools.product([1, 33, 257], [1, 3], BUDGETS, [5, 1000]):
        ranks = budgeted(size, world, packed=packed, max_tokens=max_tokens, batch_size=batch_size)
        case = (size, world, max_tokens, batch_size)
        counts = set()
        for epoch in [*range(12), 40]:
            plans = []
            for sampler in ranks:
                sampler.set_epoch(epoch)
                plans.append(list(sampler))
                assert len(sampler) == len(plans[-1]), case
            counts |= {len(batches) for batches in plans}
            distinct = {tuple(batch) for batches in plans for batch in batches}
            assert Counter(row for batch in distinct for row in batch) == Counter(range(size)), case
            assert sum(map(len, plans)) - len(distinct) < world, case
            assert max(map(len, distinct)) <= batch_size, case
            assert max(cost(list(batch), lengths_of(size), packed) for batch in distinct) <= max_tokens, case
        assert len(counts) == 1, case


def test_packed_batches_close_where_the_next_example_would_exceed_the_budget():
    (sampler,) = budgeted(500, 1, packed=True, max_tokens=600)
    order = np.random.default_rng((0, 3)).permutation(500)
    batches, room = [], 0
    for row in order:
        if lengths_of(500)[row] > room:
            batches.append([])
            room = 600
        batches[-1].append(row)
        room -= lengths_of(500)[row]
    sampler.set_epoch(3)
    given = list(sampler)
    # the plain permutation, and halves of a batch only where other epochs need more batches
    assert list(itertools.chain(*given)) == order.tolist()
    halves = len(given) - len(batches)
    assert 0 <= halves < 5
    assert sum(batch in given for batch in batches) == len(batches) - halves


def test_an_epoch_that_would_need_more_batches_exchanges_examples_of_equal_length():
    (sampler,) = budgeted(60, 1, packed=True, max_tokens=300)
    more = next(epoch for epoch in itertools.count(10) if len(sampler._draw(epoch)) > len(sampler))
    plans = {}
    for epoch in (more, more % 10):
        sampler.set_epoch(epoch)
        plans[epoch] = [lengths_of(60)[batch].tolist() for batch in sampler]
    assert sorted(plans[more]) == sorted(plans[more % 10])
    sampler.set_epoch(more)
    assert sorted(itertools.chain(*sampler)) == list(range(60))


def test_a_budget_fills_padded_batches_well():
    lengths = lengths_of(5000)
    (sampler,) = budgeted(5000, 1, packed=False, max_tokens=4096)
    batches = [np.array(batch) for batch in sampler]
    assert padding(batches, lengths) < 0.05 * lengths.sum()
    assert np.mean([cost(batch, lengths, False) for batch in batches]) > 0.9 * 4096


@pytest.mark.parametrize("packed", [False, True])
def test_evaluation_with_a_budget(packed):
    for size, world, max_tokens in itertools.product([3, 20, 257], [1, 3], BUDGETS):
        ranks = budgeted(size, world, packed=packed, max_tokens=max_tokens, shuffle=False)
        plans = [list(sampler) for sampler in ranks]
        assert [len(sampler) for sampler in ranks] == [len(batches) for batches in plans]
        batches = list(itertools.chain(*plans))
        assert sorted(itertools.chain(*batches)) == list(range(size))
        assert min(map(len, plans)) > 0
        assert max(cost(batch, lengths_of(size), packed) for batch in batches) <= max_tokens


@pytest.mark.parametrize("packed", [False, True])
def test_evaluation_with_a_budget_that_an_example_may_exceed(packed):
    for size, world, at_once in itertools.product([3, 20, 257], [1, 3], [1, 30, 100]):
        ranks = budgeted(size, world, packed=packed, max_tokens=None, at_once=at_once, shuffle=False)
        batches = list(itertools.chain(*itertools.chain(ranks)))
        assert sorted(itertools.chain(*batches)) == list(range(size))
        assert all(len(batch) == 1 or cost(batch, lengths_of(size), packed) <= at_once for batch in batches)


def test_the_smaller_budget_counts():
    lengths = np.full(8, 10)
    sampler = BucketBatchSampler(lengths, 8, shuffle=False, max_tokens=40, at_once=20)
    assert [len(batch) for batch in sampler] == [2, 2, 2, 2]


def test_a_processor_evaluates_few_tokens_at_once(data, monkeypatch):
    monkeypatch.setattr("transferlab.tasks.datamodule.AT_ONCE", 40)
    module = data()
    on_processor = list(module.whole_split("test"))
    assert all(len(batch.index) == 1 or batch.input_ids.numel() <= 40 for batch in on_processor)
    assert sorted(row for batch in on_processor for row in batch.index.tolist()) == list(
        range(len(module.encoded("test")))
    )
    monkeypatch.setattr("transferlab.tasks.datamodule.best_accelerator", lambda: "gpu")
    assert len(list(module.whole_split("test"))) < len(on_processor)


def test_packed_batches_are_in_random_order():
    (sampler,) = budgeted(5000, 1, packed=True, max_tokens=4096)
    first = lengths_of(5000)[np.array(list(itertools.chain(*sampler)))]
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.05


def test_an_example_longer_than_the_budget():
    with pytest.raises(TransferlabError, match=r"data\.max_tokens: 100 .* data\.max_length"):
        budgeted(500, 1, packed=True, max_tokens=100)


def test_halving():
    batches = [np.arange(5), np.arange(5, 8)]
    assert [batch.tolist() for batch in halved(batches, 3)] == [[0, 1, 2], [3, 4], [5, 6, 7]]
    assert [batch.tolist() for batch in halved(batches, 4)] == [[0, 1], [2], [3, 4], [5, 6, 7]]


def test_a_window_of_one_batch_is_a_random_order(data):
    module = data("classification", bucket=1)
    (plan,) = {tuple(map(tuple, module.train_dataloader().batch_sampler)) for _ in range(2)}
    lengths = module.train_dataloader().batch_sampler.lengths
    order = np.random.default_rng((module.protocol.seed, 0)).permutation(len(lengths))
    cut = [sorted(order[start : start + 4]) for start in range(0, len(order), 4)]
    assert sorted(map(sorted, plan)) == sorted(cut)
    with pytest.raises(TransferlabError, match=r"data\.bucket: packed rows are in random order"):
        TaskDataModule("demo_sentences", bucket=3, packed=True)
    with pytest.raises(TransferlabError, match=r"data\.bucket"):
        TaskDataModule("demo_sentences", bucket=0)


def test_few_batches_of_texts_are_sorted_together():
    def window(task, **options):
        module = TaskDataModule(task, EncoderConfig("embedded/llama", architecture="random"), max_length=64, **options)
        return module.train_dataloader().batch_sampler.window

    assert window("demo_dates") == 4
    assert window("demo_dates", bucket=50) == 50
    assert window("demo_sentences") == 50


def of(**options):
    return {"data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": options}}


def test_a_saved_run_keeps_the_batches_that_it_had():
    texts = {"task": "demo_dates", "source": None, "generation": {"target_length": 16}}
    own = {"task": "own", "source": {"kind": "text"}, "generation": None}
    for settings in (texts, own, {**texts, "bucket": None}):
        assert as_meant(of(**settings))["data"]["init_args"]["bucket"] == 50
    for settings in ({**texts, "bucket": 4}, {"task": "sst2", "source": None, "generation": None, "bucket": None}):
        assert as_meant(of(**settings)) == of(**settings)
    # a setting of before is told from that of today, and is the same as one that asks for it
    assert fingerprint(of(**texts)) == fingerprint(of(**texts, bucket=50)) != fingerprint(of(**texts, bucket=None))
    assert fingerprint(of(**texts, bucket=None)) == fingerprint(of(**texts, bucket=4))
    assert fingerprint(of(task="sst2", bucket=None)) == fingerprint(of(task="sst2", bucket=50))
    assert resume.differences(of(task="sst2", bucket=None), of(task="sst2", bucket=50)) == []
    assert resume.differences(of(**texts, bucket=4), of(**texts, bucket=50)) == ["data.init_args.bucket"]
