"""Splits that nobody names: taken by their names, said in the header, and keys without effect refused."""

import json

import pytest
import yaml

from transferlab.cli import train
from transferlab.config import experiments
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import Source, TaskDataModule
from transferlab.tasks.splits import complete

SIZES = {"train": 40, "validation": 10, "test": 8, "extra": 6}


@pytest.fixture(autouse=True)
def cache_of_its_own(tmp_path, monkeypatch):
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))


@pytest.fixture
def data_set(tmp_path):
    """A data set laid out as on the Hub; the words of its texts name the split."""

    def build(*splits, name="reviews"):
        import pandas

        folder = tmp_path / name
        folder.mkdir()
        files = "".join(f"  - split: {split}\n    path: {split}.parquet\n" for split in splits)
        (folder / "README.md").write_text(f"---\nconfigs:\n- config_name: default\n  data_files:\n{files}---\n")
        for split in splits:
            rows = [{"text": f"{split} {'ab'[n % 2]} {n}", "label": ["no", "yes"][n % 2]} for n in range(SIZES[split])]
            pandas.DataFrame(rows).to_parquet(folder / f"{split}.parquet")
        return str(folder)

    return build


@pytest.mark.parametrize(
    ("splits", "validation", "test"),
    [
        (("train", "validation", "test"), "validation", ("test",)),
        (("train", "test"), "", ("test",)),
        (("train", "validation"), "validation", ()),
        (("train", "extra"), "", ()),
    ],
)
def test_splits_are_taken_by_their_names(data_set, splits, validation, test):
    source = complete(Source(path=data_set(*splits)))
    assert (source.validation, source.test) == (validation, test)


def test_what_is_named_is_not_taken_for_something_else(data_set):
    path = data_set("train", "validation", "test", "extra")
    tested = complete(Source(path=path, test=("validation",)))
    assert (tested.validation, tested.test) == ("", ("validation",))
    predicted = complete(Source(path=path, predict=("test",)))
    assert (predicted.validation, predicted.test) == ("validation", ())
    trained = complete(Source(path=path, train="validation"))
    assert (trained.validation, trained.test) == ("", ("test",))


def test_no_validation_rows_are_carved_where_a_validation_split_lies(data_set, tiny_encoder):
    data = TaskDataModule(encoder=tiny_encoder, source=Source(path=data_set("train", "validation", "test")))
    data.setup("fit")
    assert len(data.part_rows("train")[1]) == SIZES["train"]
    assert data.part_rows("validation")[0] == "validation"
    assert data.spec.name == "reviews"


def test_more_test_examples_than_there_are_are_told_before_training(data_set, tiny_encoder):
    source = Source(path=data_set("train", "validation", "test"))
    data = TaskDataModule("own", tiny_encoder, source=source, test_examples=SIZES["test"] + 1)
    with pytest.raises(TransferlabError, match=r"data\.test_examples: \d+ is not in 2 \.\. \d+"):
        data.setup("fit")


def test_a_data_set_that_is_not_there_is_told_at_once(tmp_path, tiny_encoder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TransferlabError, match=r"data: cannot read \S*empty from local folder|data: cannot read"):
        TaskDataModule("own", tiny_encoder, source=Source(path=str(tmp_path / "empty")))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"test_examples": 5}, r"data\.test_examples: there is no test split .*\(the data has train, validation\)"),
        ({"holdout": 0.2}, r"data\.holdout: nothing is carved, since split 'validation' selects"),
    ],
)
def test_keys_without_effect_are_refused(data_set, tiny_encoder, options, message):
    source = Source(path=data_set("train", "validation"))
    with pytest.raises(TransferlabError, match=message):
        TaskDataModule("own", tiny_encoder, source=source, **options)


def test_official_selection_needs_an_official_split(data_set, tiny_encoder):
    source = Source(path=data_set("train", "extra"))
    with pytest.raises(TransferlabError, match=r"data\.selection: official .* \(the data has train, extra\)"):
        TaskDataModule("own", tiny_encoder, source=source, selection="official")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (Source(), r"data\.source: give either `path` .* or `files`"),
        (Source(path="a", files={"train": "b"}), r"`path` and `files` exclude each other"),
        (Source(files={"train": "b"}, config="c"), r"data\.source\.config: this has no effect on `files`"),
        (Source(files={"train": "b"}, text=("a", "b", "c")), r"data\.source\.text: name one or two columns, not 3"),
        (Source(files={"train": "b"}, text=("a", "b"), kind="tagging"), r"name one column with the words, not 2"),
        (Source(files={"train": "b"}, labels=("a",), kind="regression"), r"regression has no label names"),
    ],
)
def test_sources_that_say_two_things(source, message):
    with pytest.raises(TransferlabError, match=message):
        complete(source)


# from the command line ------------------------------------------------------------------------------------------------


def experiment(folder, name, tiny_encoder, **source):
    tree = {
        "encoder": {"name": tiny_encoder.name},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": {"source": source, "max_length": 16}},
        "model": {"class_path": "transferlab.strategies.FullFineTuning"},
        "trainer": {"max_epochs": 1, "logger": False, "accelerator": "cpu"},
        "run": {"root": str(folder / "runs"), "strategy": "full_finetuning"},
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(tree))
    return path


def finished(folder):
    (summary,) = folder.glob("runs/*/*/summary.json")
    return json.loads(summary.read_text()), summary.parent


def test_a_data_set_by_its_path_alone_is_trained_selected_and_tested(data_set, tmp_path, tiny_encoder, capsys):
    path = experiment(tmp_path, "first", tiny_encoder, path=data_set("train", "validation", "test", "extra"))
    train.TransferCLI(["fit", "--config", str(path)])
    summary, folder = finished(tmp_path)
    assert summary["task"] == "reviews"
    assert summary["data"]["train_examples"] == SIZES["train"]
    assert len((folder / "predictions" / "test.jsonl").read_text().splitlines()) == SIZES["test"]
    assert "test/accuracy" in summary["metrics"]
    shown = " ".join(capsys.readouterr().out.split())
    assert "holdout: selected on 10 examples of validation, tested on test; not used: extra" in shown
    assert "; 10 examples are so few that chance selects too" in shown


def test_a_data_set_without_a_test_split_says_so(data_set, tmp_path, tiny_encoder, capsys):
    path = experiment(tmp_path, "first", tiny_encoder, path=data_set("train", "validation"))
    train.TransferCLI(["fit", "--config", str(path)])
    shown = " ".join(capsys.readouterr().out.split())
    assert "selected on 10 examples of validation, not tested, since no split is named or called test" in shown


@pytest.mark.parametrize(
    ("experiment_name", "source", "task"),
    [
        ("lora_reviews", {"files": {"train": "a.csv"}}, "reviews"),
        ("full_finetuning_reviews", {"files": {"train": "a.csv"}}, "reviews"),
        ("mine", {"files": {"train": "a.csv"}}, "mine"),
        ("lora_reviews", {"path": "user/films"}, "films"),
        ("mine", {"path": "user/films/", "config": "short"}, "films_short"),
    ],
)
def test_a_task_without_a_name_is_called_after_its_path_or_experiment(tmp_path, experiment_name, source, task):
    (tmp_path / "configs" / "strategy").mkdir(parents=True)
    for strategy in ("lora", "full_finetuning", "full"):
        (tmp_path / "configs" / "strategy" / f"{strategy}.yaml").write_text("model: {}\n")
    path = tmp_path / f"{experiment_name}.yaml"
    path.write_text(yaml.safe_dump({"data": {"init_args": {"source": source}}}))
    assert experiments.of_file(path, tmp_path)["data"]["init_args"]["task"] == task


def test_files_without_any_name_are_refused(files, tiny_encoder):
    with pytest.raises(TransferlabError, match=r"data\.task: give the task a name"):
        TaskDataModule(encoder=tiny_encoder, source=files["classification"])


def test_nothing_at_all(tiny_encoder):
    with pytest.raises(TransferlabError, match=r"data\.task: name a task, or give data\.source"):
        TaskDataModule(encoder=tiny_encoder)


# what is predicted ----------------------------------------------------------------------------------------------------

MNLI = ("train", "validation_matched", "validation_mismatched")
TESTS = ("test_matched", "test_mismatched")


@pytest.fixture
def glue(tmp_path, monkeypatch):
    """A copy of MNLI and AX in the Hub's layout with few rows, with or without some of its splits."""

    def build(*splits, ax=True):
        import datasets

        folder = tmp_path / "copies" / "glue"
        features = datasets.Features(
            {
                "premise": datasets.Value("string"),
                "hypothesis": datasets.Value("string"),
                "label": datasets.ClassLabel(names=["entailment", "neutral", "contradiction"]),
            }
        )
        configs = {"mnli": splits, **({"ax": ("test",)} if ax else {})}
        for config, names in configs.items():
            (folder / config).mkdir(parents=True)
            for split in names:
                count = {"train": 30, "test_matched": 5, "test_mismatched": 6, "test": 7}.get(split, 9)
                hidden = split.startswith("test")
                rows = {
                    "premise": [f"{split} a {n}" for n in range(count)],
                    "hypothesis": [f"the {'abc'[n % 3]}" for n in range(count)],
                    "label": [-1 if hidden else n % 3 for n in range(count)],
                }
                datasets.Dataset.from_dict(rows, features).to_parquet(folder / config / f"{split}.parquet")
        listed = [
            {
                "config_name": config,
                "data_files": [{"split": split, "path": f"{config}/{split}.parquet"} for split in names],
            }
            for config, names in configs.items()
        ]
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': listed})}---\n")
        monkeypatch.setenv("TRANSFERLAB_DATA", str(folder.parent))

    return build


@pytest.mark.parametrize(
    ("splits", "ax", "names", "missing"),
    [
        (TESTS, True, ["predict", "predict_2", "predict_3"], []),
        ((), True, ["predict_3"], list(TESTS)),
        (("test_mismatched",), False, ["predict_2"], ["test_matched", "ax/test"]),
    ],
)
def test_what_is_there_is_predicted_and_the_rest_is_named(glue, tiny_encoder, splits, ax, names, missing):
    glue(*MNLI, *splits, ax=ax)
    data = TaskDataModule("mnli", tiny_encoder)
    data.setup("predict")
    assert (data.predicted.names, data.predicted.missing) == (names, missing)
    assert len(data.predict_dataloader()) == len(names)


def test_a_key_chooses_what_is_predicted(glue, tiny_encoder):
    glue(*MNLI, *TESTS)
    data = TaskDataModule("mnli", tiny_encoder, predict=("ax/test", "validation_matched"))
    assert data.predicted.names == ["predict_3", "predict_validation_matched"]
    assert [len(loader.dataset) for loader in data.predict_dataloader()] == [7, 9]


def test_nothing_to_predict(glue, tiny_encoder):
    glue(*MNLI, ax=False)
    # which does not matter to training
    TaskDataModule("mnli", tiny_encoder).setup("fit")
    with pytest.raises(TransferlabError, match=r"data\.predict: the data has no split test_matched or test_mismatched"):
        TaskDataModule("mnli", tiny_encoder).setup("predict")
    with pytest.raises(TransferlabError, match=r"no split dev\. It has train, validation_matched"):
        TaskDataModule("mnli", tiny_encoder, predict=("dev", "validation_matched")).setup("predict")
