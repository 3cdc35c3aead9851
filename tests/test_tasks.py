import itertools

import numpy as np
import pytest

from transferlab.ground.errors import TransferlabError
from transferlab.learning.cache import RowArray
from transferlab.tasks import Source, TaskDataModule, TaskSpec
from transferlab.tasks.kinds import KINDS
from transferlab.tasks.table import TASKS, lookup

DEMOS = ["demo_sentences", "demo_pairs", "demo_entities"]


def ids(loader):
    return list(itertools.chain(*(batch.index.tolist() for batch in loader)))


@pytest.mark.parametrize("task", TASKS)
def test_row_of_the_table(task):
    source = lookup(task)
    # what the Hub does not hold has no revision there
    assert source.path == "embedded" or source.revision or task in {"semeval", "atis", "snips", "aclsum"}
    # classes of which only numbers are known are named by the data
    assert (source.labels == ()) == (source.kind in {"regression", "qa", "slots", "text"} or task in {"tnews", "afqmc"})
    assert source.metrics or source.kind in {"qa", "slots", "text"}
    assert len(source.text) in {1, 2}
    assert not {source.train, *source.predict} & set(source.test)
    assert source.kind != "tagging" or source.labels[0] == "O"


def test_unknown_task_lists_the_known_ones():
    with pytest.raises(TransferlabError, match=r"data\.task: no task named 'ssst2' \(did you mean 'sst2'.*cola, sst2"):
        lookup("ssst2")


def test_spec():
    assert TaskSpec("t", "regression", (), ("pearson",)).outputs == 1
    assert TaskSpec("t", "classification", ("a", "b", "c"), ("accuracy", "f1")).outputs == 3
    assert TaskSpec("t", "classification", ("a", "b"), ("f1", "accuracy")).primary == "f1"


def test_source_names_a_place(tiny_encoder):
    with pytest.raises(TransferlabError, match=r"data\.source: give either `path` .* or `files`"):
        TaskDataModule("own", tiny_encoder, source=Source())


@pytest.mark.parametrize("task", DEMOS)
def test_loaders(task, tiny_encoder):
    data = TaskDataModule(task, tiny_encoder, batch_size=16, eval_batch_size=64, max_length=32)
    data.setup("fit")
    train, validation = ids(data.train_dataloader()), ids(data.val_dataloader())
    rows = len(data.rows("train").rows)
    assert sorted(train + validation) == list(range(rows))
    (test,) = data.test_dataloader()
    assert sorted(ids(test)) == list(range(len(data.rows("test").rows)))
    batch = next(iter(test))
    assert len(batch.index) == 64
    assert batch.input_ids.shape == batch.attention_mask.shape
    assert batch.input_ids.shape[1] <= 32


@pytest.mark.parametrize("kind", ["classification", "regression", "tagging"])
def test_usual_metrics(kind, data):
    assert data(kind).spec.metrics == KINDS[kind].metrics


def test_seed_changes_holdout_and_order(tiny_encoder):
    first, again, other = (TaskDataModule("demo_sentences", tiny_encoder, seed=seed) for seed in (1, 1, 2))
    assert ids(first.train_dataloader()) == ids(again.train_dataloader())
    assert not np.array_equal(first.part_rows("validation")[1], other.part_rows("validation")[1])


def test_official_selection_tests_on_what_it_selects_on(tiny_encoder):
    data = TaskDataModule("demo_sentences", tiny_encoder, selection="official", train_examples=20)
    assert data.part_rows("validation")[0] == "test"
    assert len(data.part_rows("train")[1]) == 20


def test_another_encoder_sees_the_same_rows(tiny_encoder, deep_encoder):
    data = TaskDataModule("demo_sentences", tiny_encoder, train_fraction=0.1)
    data.setup("fit")
    other = data.with_encoder(deep_encoder)
    assert (other.part_rows("train")[1] == data.part_rows("train")[1]).all()
    assert other.encoded("train").fingerprint != data.encoded("train").fingerprint
    assert data.encoder == tiny_encoder


def test_what_is_attached_reaches_every_batch(tiny_encoder):
    data = TaskDataModule("demo_sentences", tiny_encoder)
    rows = len(data.encoded("train"))
    data.attach("features", "train", RowArray(np.arange(rows, dtype=np.float32), np.arange(rows), None))
    batch = next(iter(data.val_dataloader()))
    assert batch.features.tolist() == batch.index.tolist()
    assert batch.input_ids.shape == (len(batch.index), 0), "no token is read where its features are there"
    assert next(iter(data.whole_split("test"))).features is None


def test_split_that_nobody_named(data):
    module = data("classification", batch_size=2)
    module.source = Source(files=module.source.files, test=(), predict=("x",), validation="test")
    with pytest.raises(TransferlabError, match=r"data\.source\.test: this task names no labeled test split"):
        module.test_dataloader()
