"""Hold-outs and folds that keep together what belongs together, and what runs of each are called."""

import json
from dataclasses import replace

import numpy as np
import pytest
import yaml
from kills import FIT, ROWS, output, transferlab, write_experiment

from transferlab.config.renamed import as_meant
from transferlab.ground.errors import TransferlabError
from transferlab.record.setting import fingerprint
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.inspection.groups import Groups
from transferlab.tasks.inspection.plain import key_of
from transferlab.tasks.selection import Protocol, carve, name_of
from transferlab.tasks.together import folds, hold_out, without


def groups_of(sizes):
    number = np.repeat(np.arange(len(sizes)), sizes)
    return Groups(number, np.ones(len(number), dtype=bool))


def held(groups, size, strata=None, seed=0):
    return hold_out(groups, np.arange(len(groups.number)), strata, lambda _: size, seed)


# hold-outs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides_and_classes_keep_their_shares(seed):
    generator = np.random.default_rng(seed)
    groups = groups_of(generator.integers(1, 5, 300))
    strata = generator.choice(3, len(groups.number), p=[0.6, 0.3, 0.1])
    found = held(groups, 80, strata, seed)
    rest = without(groups, np.arange(len(groups.number)), found)
    assert len(found) == 80
    assert not np.intersect1d(groups.number[found], groups.number[rest]).size
    assert len(found) + len(rest) == len(groups.number)
    wanted = 80 * np.bincount(strata) / len(strata)
    assert np.abs(np.bincount(strata[found], minlength=3) - wanted).max() <= 2


def test_the_seed_draws():
    groups = groups_of([2] * 100)
    assert (held(groups, 20, seed=1) == held(groups, 20, seed=1)).all()
    assert not np.array_equal(held(groups, 20, seed=1), held(groups, 20, seed=2))


def test_no_group_is_more_than_a_tenth_of_a_hold_out_where_others_are_enough():
    groups = groups_of([50, *[1] * 400, 11])
    for seed in range(20):
        found = held(groups, 100, seed=seed)
        assert len(found) == 100
        assert not {0, 401} & set(groups.number[found])


@pytest.mark.parametrize(("sizes", "size", "found"), [([50, 50], 10, 50), ([40, 20, 40], 10, 20), ([7, 7, 7, 7], 8, 7)])
def test_a_few_large_groups_are_taken_as_they_are(sizes, size, found):
    assert len(held(groups_of(sizes), size)) == found


def test_of_phrases_whole_sentences_are_held_out_and_their_phrases_are_on_neither_side():
    # ten sentences with four phrases each
    number = np.repeat(np.arange(10), 5)
    groups = Groups(number, np.tile([True, False, False, False, False], 10))
    train, validation = carve(None, 50, Protocol(holdout=0.2), True, groups)
    assert len(validation) == 2
    assert groups.whole[validation].all()
    assert len(train) == 40
    assert not set(number[train]) & set(number[validation])


def test_sub_samples_come_from_what_is_left():
    groups = groups_of([2] * 50)
    everything, validation = carve(None, 100, Protocol(), True, groups)
    some, same = carve(None, 100, Protocol(train_examples=30), True, groups)
    assert (same == validation).all()
    assert len(some) == 30
    assert set(some) <= set(everything)


# folds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_folds_divide_the_examples_evenly(seed):
    strata = np.repeat([0, 1, 2], [60, 30, 13])
    found = folds(103, 5, strata, None, seed)
    table = np.array([np.bincount(strata[found == fold], minlength=3) for fold in range(5)])
    assert (table.sum(0) == [60, 30, 13]).all()
    assert (table.max(0) - table.min(0)).max() <= 1
    assert (folds(103, 5, strata, None, seed) == found).all()
    assert not np.array_equal(folds(103, 5, strata, None, seed + 1), found)


@pytest.mark.parametrize("with_classes", [True, False])
def test_folds_keep_groups_whole(with_classes):
    groups = groups_of([1, 2, 3, 4] * 15)
    strata = np.arange(150) % 3 if with_classes else None
    found = folds(150, 4, strata, groups, 0)
    assert all(len(set(found[groups.number == group])) == 1 for group in range(60))
    sizes = np.bincount(found)
    assert sizes.min() >= 30
    if with_classes:
        shares = np.array([np.bincount(strata[found == fold], minlength=3) / 50 for fold in range(4)])
        assert (shares.max(0) - shares.min(0)).max() < 0.1


def test_folds_that_cannot_be():
    with pytest.raises(TransferlabError, match=r"data\.folds: 5 is not in 2 \.\. 3, the number of groups"):
        folds(9, 5, None, groups_of([3, 3, 3]), 0)
    with pytest.raises(TransferlabError, match=r"class number 1 are in one fold"):
        folds(20, 5, np.array([0] * 19 + [1]), None, 0)


# tasks ----------------------------------------------------------------------------------------------------------------


def write(folder, name, rows):
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture
def twice(tmp_path):
    """Eighty texts that are there twice, written in two ways, with an author each."""
    texts = [f"the {'abcdefgh'[n % 8]} was {'abcdefghij'[n // 8]}" for n in range(80)]
    rows = [{"text": text, "label": "xy"[n % 2], "author": f"a{n % 5}"} for n, text in enumerate(texts)]
    rows += [{"text": f"{text} !".upper(), "label": "xy"[n % 2], "author": f"a{n % 5}"} for n, text in enumerate(texts)]
    files = {"train": write(tmp_path, "train", rows), "test": write(tmp_path, "test", rows[:4])}
    return Source(files=files, labels=("x", "y"), test=("test",))


def texts_of(module, part):
    split, numbers = module.part_rows(part)
    rows = module.rows(split).rows
    return {key_of(rows[int(number)]["text"]) for number in numbers}


def test_what_shares_a_text_stays_on_one_side_by_default(twice, tiny_encoder):
    module = TaskDataModule("twice", tiny_encoder, source=twice)
    assert (module.holdout_by, module.protocol_name) == ("text", "holdout by text")
    assert not texts_of(module, "train") & texts_of(module, "validation")
    assert len(module.part_rows("validation")[1]) == 16
    # which a hold-out of single examples does not keep
    single = TaskDataModule("twice", tiny_encoder, source=twice, holdout_by="example")
    assert single.protocol_name == "holdout"
    assert len(texts_of(single, "train") & texts_of(single, "validation")) > 8


def test_example_is_the_hold_out_of_earlier_releases(twice, tiny_encoder):
    module = TaskDataModule("twice", tiny_encoder, source=twice, holdout_by="example", seed=3)
    train, validation = carve(module.train_labels(), 160, Protocol(seed=3), True)
    assert (module.part_rows("train")[1] == train).all()
    assert (module.part_rows("validation")[1] == validation).all()


def test_by_a_column(twice, tiny_encoder):
    module = TaskDataModule("twice", tiny_encoder, source=twice, holdout_by="author", holdout=0.2)
    rows = module.rows("train").rows["author"]
    authors = [{rows[int(number)] for number in module.part_rows(part)[1]} for part in ("train", "validation")]
    assert [len(found) for found in authors] == [4, 1]
    assert module.protocol_name == "holdout by author"


def test_keys_that_cannot_be_or_change_nothing(twice, tiny_encoder, files):
    def made(source=twice, **options):
        return TaskDataModule("t", tiny_encoder, source=source, **options)

    with pytest.raises(TransferlabError, match=r"data\.holdout_by: .* has no column 'autor' \(did you mean 'author'"):
        made(holdout_by="autor").part_rows("train")
    with pytest.raises(TransferlabError, match=r"nothing is held out, since split 'test' selects"):
        made(replace(twice, validation="test", test=()), holdout_by="text")
    with pytest.raises(TransferlabError, match=r"sentence is for single texts, not for pairs"):
        made(files["pairs"], holdout_by="sentence")
    with pytest.raises(TransferlabError, match=r"sentence is for single texts, not for tagged words"):
        made(files["tagging"], holdout_by="sentence")
    with pytest.raises(TransferlabError, match=r"data\.fold: None is not in 0 \.\. 4"):
        made(folds=5)
    with pytest.raises(TransferlabError, match=r"data\.fold: say of how many folds"):
        made(fold=1)
    with pytest.raises(TransferlabError, match=r"data\.folds: .* so use data\.selection: holdout"):
        made(folds=5, fold=0, selection="official")
    with pytest.raises(TransferlabError, match=r"data\.test_examples: with data\.folds"):
        made(folds=5, fold=0, test_examples=3)


def test_all_examples_in_one_group_are_refused(tmp_path, tiny_encoder):
    rows = [{"text": f"the {letter}", "label": "xy"[n % 2], "site": "one"} for n, letter in enumerate("abcdefgh")]
    source = Source(files={"train": write(tmp_path, "train", rows)})
    with pytest.raises(TransferlabError, match=r"by site all examples of .* belong together"):
        TaskDataModule("t", tiny_encoder, source=source, holdout_by="site").part_rows("train")


def test_each_fold_is_tested_on_once_and_shares_nothing_with_its_training(twice, tiny_encoder):
    modules = [TaskDataModule("twice", tiny_encoder, source=twice, folds=4, fold=fold) for fold in range(4)]
    tested = []
    for module in modules:
        assert module.source.test == ("train",)
        assert module.spec.tests == ("test",)
        assert module.protocol_name == "4 folds by text"
        mine = module.test_rows("train")
        rows = module.rows("train").rows
        here = {key_of(rows[int(number)]["text"]) for number in mine}
        assert not here & texts_of(module, "train")
        assert not here & texts_of(module, "validation")
        assert not texts_of(module, "train") & texts_of(module, "validation")
        tested += mine.tolist()
    assert sorted(tested) == list(range(160))
    # the labelled test split is what a run predicts
    assert modules[0].predicted.splits == ["test"]


FILES = {"data.init_args.source.files": {"train": "train.csv", "test": "test.csv"}}


# settings -------------------------------------------------------------------------------------------------------------


def test_runs_of_before_keep_their_fingerprint_and_what_they_meant():
    def tree(**keys):
        return {"data": {"class_path": "TaskDataModule", "init_args": {"task": "sst2", "holdout": 0.1, **keys}}}

    old = fingerprint(tree())
    assert fingerprint(tree(holdout_by="example")) == fingerprint(tree(holdout_by=None)) == old
    assert len({old, fingerprint(tree(holdout_by="text")), fingerprint(tree(holdout_by="sentence"))}) == 3
    # a fold is like a seed, the number of folds is not
    assert fingerprint(tree(folds=5, fold=0)) == fingerprint(tree(folds=5, fold=4)) != old
    assert as_meant(tree()) == tree(holdout_by="example")
    assert as_meant(tree(holdout_by=None)) == tree(holdout_by=None)
    assert as_meant({"data": {"init_args": {"own": 1}}}) == {"data": {"init_args": {"own": 1}}}


def test_names_of_protocols():
    assert name_of(Protocol(), "") == name_of(Protocol(), "example") == "holdout"
    assert name_of(Protocol(), "sentence") == "holdout by sentence"
    assert name_of(Protocol("official"), "") == "official"
    assert name_of(Protocol(folds=5, fold=1), "author") == "5 folds by author"


def test_a_run_writes_what_was_chosen_and_an_old_one_keeps_its_split(tmp_path, tiny_folder):
    # the texts of this task are there several times
    write_experiment(tmp_path, tiny_folder, "FeatureExtraction", {"schedule": {"warmup": 0.0}}, FILES)
    new, old = tmp_path / "runs" / "new", tmp_path / "runs" / "old"
    assert transferlab(tmp_path, *FIT, "runs/new", "--trainer.max_epochs", "1") == 0, output(tmp_path)
    tree = yaml.safe_load((new / "config.yaml").read_text())
    summary = json.loads((new / "summary.json").read_text())
    assert tree["data"]["init_args"]["holdout_by"] == "text"
    assert summary["protocol"] == "holdout by text"
    assert "holdout by text: selected on" in output(tmp_path)

    # a run of before there was a choice, which has no checkpoint yet
    del tree["data"]["init_args"]["holdout_by"]
    old.mkdir()
    (old / "config.yaml").write_text(yaml.safe_dump(tree))
    (old / "summary.json").write_text(
        json.dumps(summary | {"status": "interrupted", "run": "old", "protocol": "holdout", "setting": None})
    )
    assert transferlab(tmp_path, *FIT, "runs/old", "--trainer.max_epochs", "1") == 0, output(tmp_path)
    assert yaml.safe_load((old / "config.yaml").read_text())["data"]["init_args"]["holdout_by"] == "example"

    def selected(run):
        lines = (run / "predictions" / "validation.jsonl").read_text().splitlines()
        return sorted(json.loads(line)["id"] for line in lines)

    labels = np.arange(ROWS["train"]) % 2
    assert selected(old) == carve(labels, len(labels), Protocol(), True)[1].tolist()
    assert selected(new) != selected(old)
