import numpy as np
import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.tasks.selection import MAX_HOLDOUT, Protocol, carve, validation_split
from transferlab.tasks.spec import Source
from transferlab.tasks.table import TASKS

LABELS = np.repeat([0, 1, 2], [600, 300, 100])[np.random.default_rng(0).permutation(1000)]


def parts(protocol, labels=LABELS, carve_validation=True):
    return carve(labels, len(labels), protocol, carve_validation)


@pytest.mark.parametrize("protocol", [Protocol(), Protocol(train_fraction=0.1), Protocol(train_examples=50, seed=3)])
def test_parts_never_overlap(protocol):
    train, validation = parts(protocol)
    assert len(np.unique(train)) == len(train)
    assert len(np.unique(validation)) == len(validation)
    assert not np.intersect1d(train, validation).size
    assert np.isin(train, np.arange(1000)).all()


def test_without_sub_sample_every_row_is_used():
    train, validation = parts(Protocol())
    assert sorted([*train, *validation]) == list(range(1000))
    assert len(validation) == 100


def test_seed_decides():
    first, again, other = (parts(Protocol(seed=seed, train_fraction=0.5)) for seed in (4, 4, 5))
    for one, same, different in zip(first, again, other, strict=True):
        assert (one == same).all()
        assert not np.array_equal(one, different)


def test_validation_rows_are_the_same_at_every_label_fraction():
    _, reference = parts(Protocol())
    for protocol in (Protocol(train_fraction=0.01), Protocol(train_fraction=0.5), Protocol(train_examples=7)):
        assert (parts(protocol)[1] == reference).all()


def test_stratified():
    train, validation = parts(Protocol(train_fraction=0.2))
    assert np.bincount(LABELS[validation]).tolist() == [60, 30, 10]
    assert np.bincount(LABELS[train]).tolist() == [108, 54, 18]


@pytest.mark.parametrize("labels", [np.array([0, 1, 1, 1, 1, 1, 1, 1, 1, 1]), np.arange(10)])
def test_too_rare_classes_are_split_without_strata(labels):
    train, validation = parts(Protocol(holdout=0.3), labels)
    assert (len(train), len(validation)) == (7, 3)


def test_without_labels():
    train, validation = carve(None, 100, Protocol(), True)
    assert (len(train), len(validation)) == (90, 10)


def test_holdout_is_capped():
    assert MAX_HOLDOUT == 2000
    train, validation = carve(None, 67349, Protocol(), True)
    assert (len(train), len(validation)) == (65349, 2000)


def test_no_holdout_where_a_validation_split_exists():
    train, validation = parts(Protocol(), carve_validation=False)
    assert (len(train), len(validation)) == (1000, 0)


def test_examples_and_fraction_count_what_the_holdout_leaves():
    assert len(parts(Protocol(train_examples=17))[0]) == 17
    assert len(parts(Protocol(train_fraction=0.1))[0]) == 90
    assert len(parts(Protocol(train_fraction=1.0))[0]) == 900


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (Protocol(train_fraction=0.1, train_examples=10), "data.train_fraction and data.train_examples exclude"),
        (Protocol(train_fraction=0.0), r"data\.train_fraction: 0\.0 is not in \(0, 1\]"),
        (Protocol(train_fraction=1.5), r"data\.train_fraction: 1\.5"),
        (Protocol(train_examples=1), r"data\.train_examples: 1 is not in 2 \.\. 900"),
        (Protocol(train_examples=901), r"data\.train_examples: 901 is not in 2 \.\. 900"),
        (Protocol(holdout=0.0), r"data\.holdout: 0\.0 is not in \(0, 1\)"),
        (Protocol(holdout=-0.1), r"data\.holdout: -0\.1"),
        (Protocol(holdout=1.5), r"data\.holdout: 1\.5"),
    ],
)
def test_impossible_sizes(protocol, message):
    with pytest.raises(TransferlabError, match=message):
        parts(protocol)


def test_too_few_rows():
    with pytest.raises(TransferlabError, match=r"data\.holdout: 3 training examples are too few"):
        carve(None, 3, Protocol(), True)


@pytest.mark.parametrize(
    ("source", "selection", "expected"),
    [
        (TASKS["sst2"], "holdout", ""),
        (TASKS["sst2"], "official", "validation"),
        (TASKS["mnli"], "official", "validation_matched"),
        (TASKS["conll2003"], "holdout", "validation"),
        (TASKS["conll2003"], "official", "validation"),
        (TASKS["imdb"], "holdout", ""),
        (Source(path="own"), "official", ""),
    ],
)
def test_which_split_selects(source, selection, expected):
    assert validation_split(source, selection) == expected


@pytest.mark.parametrize("task", TASKS)
def test_holdout_never_selects_on_a_test_split(task):
    source = TASKS[task]
    assert source.train not in source.test
    assert validation_split(source, "holdout") not in source.test


def test_a_part_of_the_test_rows_is_the_same_for_everyone_and_grows():
    from transferlab.tasks.selection import sample

    few, more = sample(100, 10), sample(100, 30)
    assert (len(few), len(set(more.tolist()))) == (10, 30)
    assert set(few.tolist()) < set(more.tolist())
    assert sample(100, None).tolist() == list(range(100))
    for wanted in (1, 101):
        with pytest.raises(TransferlabError, match="data.test_examples"):
            sample(100, wanted)
