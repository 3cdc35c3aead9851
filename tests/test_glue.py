"""GLUE and IMDB from real files: official row counts, label order, and token ids of some rows."""

import os
import zipfile

import numpy as np
import pytest

from transferlab.tasks import TaskDataModule
from transferlab.tasks.labels import is_labelled
from transferlab.tasks.table import TASKS
from transferlab.use import submission

# the fixtures of conftest.py take the variable away
DATA = os.environ.get("TRANSFERLAB_DATA", "")
pytestmark = pytest.mark.skipif(
    not os.path.isdir(os.path.join(DATA, "glue")), reason="TRANSFERLAB_DATA names no folder with a copy of GLUE"
)

# official sizes, (split, rows, share of each class); samples of the official training rows are left out, since only a
# complete copy can be counted
COUNTS = {
    "cola": {"train": 8551, "validation": 1043, "test": 1063},
    "sst2": {"train": 67349, "validation": 872, "test": 1821},
    "mrpc": {"train": 3668, "validation": 408, "test": 1725},
    "stsb": {"train": 5749, "validation": 1500, "test": 1379},
    "qqp": {},
    "mnli": {"validation_matched": 9815, "validation_mismatched": 9832, "ax/test": 1104},
    "qnli": {"validation": 5463, "test": 5463},
    "rte": {"train": 2490, "validation": 277, "test": 3000},
    "wnli": {"train": 635, "validation": 71, "test": 146},
    "imdb": {"train": 25000, "test": 25000},
}
# rows of each class in the main test split
CLASSES = {
    "cola": [322, 721],
    "sst2": [428, 444],
    "mrpc": [129, 279],
    "mnli": [3479, 3123, 3213],
    "qnli": [2702, 2761],
    "rte": [146, 131],
    "wnli": [40, 31],
    "imdb": [12500, 12500],
}
SOME = 64


@pytest.fixture(autouse=True)
def real_data(monkeypatch, tmp_path):
    import datasets

    monkeypatch.setenv("TRANSFERLAB_DATA", DATA)
    # rows are read and tokenised anew: a cache of the user's would hide a broken reader
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


def keep_some(module, splits):
    """Shortens splits, so that tokenising them takes no time; evenly, since IMDB is sorted by label."""
    for split in splits:
        rows = module.rows(split)
        count = len(rows.rows)
        module._rows[split] = rows._replace(rows=rows.rows.select(range(0, count, count // SOME)))


@pytest.mark.parametrize("task", COUNTS)
def test_official_row_counts(task, tiny_encoder):
    module = TaskDataModule(task, tiny_encoder)
    for split, count in COUNTS[task].items():
        rows, origin, *_ = module.rows(split)
        assert len(rows) == count, split
        assert origin.startswith(f"local folder {DATA}")
        for column in module.source.text:
            assert isinstance(rows[0][column], str)


@pytest.mark.parametrize("task", CLASSES)
def test_classes_of_the_test_rows(task, tiny_encoder):
    from transferlab.tasks.labels import encode_labels

    module = TaskDataModule(task, tiny_encoder)
    split = module.source.test[0]
    labels = encode_labels(module.rows(split), module.source, module.labels)
    assert np.bincount(labels).tolist() == CLASSES[task]


@pytest.mark.parametrize("task", COUNTS)
def test_every_loader_gives_batches(task, tiny_encoder):
    module = TaskDataModule(task, tiny_encoder, max_length=64, batch_size=16, eval_batch_size=16)
    source = module.source
    keep_some(module, [source.train, *source.test])
    module.setup("fit")
    module.setup("test")
    for loader in (module.train_dataloader(), module.val_dataloader(), *module.test_dataloader()):
        batch = next(iter(loader))
        assert batch.input_ids.shape[1] <= 64
        assert (batch.token_type_ids is not None) == (len(source.text) == 2)
        assert batch.labels.dtype.is_floating_point == (source.kind == "regression")
    assert len(module.test_dataloader()) == len(source.test)


@pytest.mark.parametrize("task", [task for task in COUNTS if task not in {"qqp", "mnli", "imdb"}])
def test_rows_of_the_glue_server(task, tiny_encoder):
    module = TaskDataModule(task, tiny_encoder)
    (split,) = module.source.predict
    assert is_labelled(module.rows(split).rows, module.source) == (task == "mrpc")
    keep_some(module, ["train", split])
    module.setup("predict")
    (loader,) = module.predict_dataloader()
    assert next(iter(loader)).labels is None


def test_mnli_has_two_test_splits_and_the_diagnostics(tiny_encoder):
    module = TaskDataModule("mnli", tiny_encoder)
    assert module.source.test == ("validation_matched", "validation_mismatched")
    assert "ax/test" in module.source.predict
    keep_some(module, ["train", *module.source.test])
    module.setup("test")
    assert len(module.test_dataloader()) == 2
    # no copy of MNLI's own test rows is at hand, the diagnostics are
    split = module.encoded("ax/test")
    assert len(split) == 1104
    assert split.labels is None


def test_stsb_is_regression(tiny_encoder):
    module = TaskDataModule("stsb", tiny_encoder)
    assert (module.spec.kind, module.spec.labels, module.spec.outputs) == ("regression", (), 1)
    targets = module.train_labels()
    assert targets.dtype == np.float32
    assert (targets.min(), targets.max()) == (0.0, 5.0)


@pytest.mark.parametrize("task", [task for task in TASKS if task in COUNTS])
def test_holdout_is_not_tested_on(task, tiny_encoder):
    module = TaskDataModule(task, tiny_encoder, train_fraction=0.1)
    split, selecting = module.part_rows("validation")
    train_split, training = module.part_rows("train")
    assert split == train_split == "train"
    assert split not in module.source.test
    assert not np.intersect1d(selecting, training).size
    # of SST-2 one in ten sentences, not phrases
    sentences = {"sst2": 6855}
    assert len(selecting) == min(2000, round(0.1 * sentences.get(task, len(module.rows("train").rows))))


@pytest.mark.slow
@pytest.mark.parametrize("task", COUNTS)
def test_every_row_is_tokenised(task, tiny_encoder):
    module = TaskDataModule(task, tiny_encoder)
    for split in (module.source.train, *module.source.test):
        encoded = module.encoded(split)
        assert len(encoded) == len(module.rows(split).rows)
        assert encoded.ids.lengths.min() >= 3


@pytest.mark.slow
def test_predictions_of_real_mnli_and_its_diagnostics_are_in_the_form_of_the_server(tmp_path, tiny_encoder, capsys):
    from transferlab.cli.train import TransferCLI

    keys = {
        "encoder.name": tiny_encoder.name,
        "data": "transferlab.tasks.TaskDataModule",
        "data.task": "mnli",
        "data.max_length": "16",
        "data.train_examples": "20",
        "data.test_examples": "20",
        "data.holdout": "0.01",
        "model": "transferlab.strategies.FullFineTuning",
        "trainer.max_steps": "1",
        "trainer.logger": "false",
        "trainer.accelerator": "cpu",
        "run.root": str(tmp_path / "runs"),
        "run.experiment": "lora_mnli",
    }
    TransferCLI(["fit", *(part for key, value in keys.items() for part in (f"--{key}", value))])
    (run,) = (tmp_path / "runs" / "lora_mnli").iterdir()
    TransferCLI(["predict", "--run", str(run)])
    shown = capsys.readouterr().out
    output = tmp_path / "submission.zip"
    submission.main([str(run), "--output", str(output)])
    files = zipfile.ZipFile(output)
    names = [name.removesuffix(".tsv") for name in files.namelist()]
    assert "AX" in names
    for split, name in (("test_matched", "MNLI-m"), ("test_mismatched", "MNLI-mm")):
        assert (name in names) != (split in shown), "what is not there is named"
    for name in names:
        head, *lines = files.read(f"{name}.tsv").decode().splitlines()
        assert head == "index\tprediction"
        assert [int(line.split("\t")[0]) for line in lines] == list(range(submission.ROWS[name]))
        assert {line.split("\t")[1] for line in lines} <= {"entailment", "neutral", "contradiction"}
