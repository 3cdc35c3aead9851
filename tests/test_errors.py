"""Every mistake ends with one message that names it, status 2, no traceback, and no run folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from transferlab.__main__ import main

ROOT = Path(__file__).parents[1]
TASK = "transferlab.tasks.TaskDataModule"


def experiment(**changes):
    """A small experiment, changed at dotted keys; None removes a key."""
    tree = {
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1, "limit_train_batches": 1, "logger": False},
        "encoder": {"name": "no/encoder-of-this-name"},
        "data": {"class_path": TASK, "init_args": {"task": "demo_sentences", "max_length": 32}},
        "model": {"class_path": "transferlab.strategies.FullFineTuning", "init_args": {"head": {"dropout": 0.0}}},
    }
    for key, value in changes.items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


LORA = {
    "class_path": "transferlab.strategies.ParameterEfficient",
    "init_args": {"method": {"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 4}}},
}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty folder with the project's configs; what is written there stays there."""
    import datasets

    (tmp_path / "configs").symlink_to(ROOT / "configs")
    (tmp_path / "experiments").symlink_to(ROOT / "experiments")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "datasets"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.fixture
def fails(place, monkeypatch, capfd):
    """Runs a command that must fail, and returns its message."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["transferlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert stopped.value.code == 2
        assert not (place / "runs").exists()
        return only_message(capfd.readouterr().err)

    return run


def only_message(stderr):
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    assert "Traceback" not in stderr
    assert "jsonargparse" not in stderr
    return lines[0]


@pytest.fixture
def fit_fails(fails, place):
    """Fits an experiment that must fail; `tree` is a whole file, or the changes to a small one."""

    def run(*arguments, **changes):
        (place / "mine.yaml").write_text(yaml.safe_dump(experiment(**changes)))
        return fails("fit", "--config", "mine.yaml", *arguments)

    return run


# keys -----------------------------------------------------------------------------------------------------------------

MISSPELT = [
    ({"modle": {"class_path": "x"}}, "modle", "model"),
    ({"trainer.max_epoch": 2}, "max_epoch", "max_epochs"),
    ({"modle": {}}, "modle", "model"),
    ({"trainer.max_epoch": {}}, "trainer.max_epoch", "max_epochs"),
    ({"model": {**LORA, "init_args": {"metod": {}}}}, "model.init_args.metod", "method"),
    ({"encoder.poling": "cls"}, "poling", "pooling"),
    ({"run.experimnt": "x"}, "experimnt", "experiment"),
    ({"data.init_args.batchsize": 4}, "batchsize", "batch_size"),
    ({"data.init_args.source": {"path": "imdb", "lable": "x"}}, "lable", "label"),
    ({"model.init_args.top_layer": 4}, "top_layer", "top_layers"),
    ({"model.init_args.head": {"dropuot": 0.1}}, "dropuot", "dropout"),
    ({"model.init_args.schedule": {"warmpu": 0.1}}, "warmpu", "warmup"),
    ({"model": {**LORA, "init_args": {"methd": LORA["init_args"]["method"]}}}, "methd", "method"),
    (
        {"model": {**LORA, "init_args": {"method": {**LORA["init_args"]["method"], "init_args": {"alhpa": 2}}}}},
        "alhpa",
        "alpha",
    ),
    pytest.param(
        {"model.init_args.optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"weight_deacy": 0}}},
        "weight_deacy",
        "weight_decay",
    ),
]


@pytest.mark.parametrize(("changes", "wrong", "right"), MISSPELT)
def test_misspelt_key_in_a_file(fit_fails, changes, wrong, right):
    message = fit_fails(**changes)
    assert wrong in message
    assert f"'{right}'" in message


@pytest.mark.parametrize(
    ("option", "right"),
    [
        ("--trainer.max_epoch", "max_epochs"),
        ("--encoder.poling", "pooling"),
        ("--run.experimnt", "experiment"),
        ("--data.init_args.batchsize", "batch_size"),
        ("--model.init_args.top_layer", "top_layers"),
        ("--modle.top_layers", "model"),
    ],
)
def test_misspelt_key_on_the_command_line(fit_fails, option, right):
    message = fit_fails(option, "4")
    assert option.strip("-").rsplit(".", 1)[-1] in message
    assert f"'{right}'" in message


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        pytest.param({"trainer.max_epochs": "many"}, ["trainer.max_epochs", "many"]),
        ({"data.init_args.batch_size": "big"}, ["batch_size", "big"]),
        ({"encoder.pooling": "median"}, ["encoder", "pooling", "median", "mean"]),
        (
            {
                "model": {
                    **LORA,
                    "init_args": {"method": {**LORA["init_args"]["method"], "init_args": {"r": "sixteen"}}},
                }
            },
            ["method", "r", "sixteen"],
        ),
        ({"data.init_args.truncation": "middle"}, ["truncation", "middle", "head"]),
        ({"run": "fast"}, ["run", "fast"]),
    ],
    ids=["epochs", "batch", "pooling", "r", "truncation", "run"],
)
def test_wrong_type(fit_fails, changes, parts):
    message = fit_fails(**changes)
    assert [part for part in parts if part not in message] == []


def test_wrong_type_on_the_command_line(fit_fails):
    message = fit_fails("--trainer.max_epochs", "many")
    assert "trainer.max_epochs" in message
    assert "many" in message


def test_target_module_that_does_not_exist(fit_fails, tiny_folder):
    method = {**LORA["init_args"]["method"], "init_args": {"targets": ["qery"]}}
    message = fit_fails(model={**LORA, "init_args": {"method": method}}, **{"encoder.name": str(tiny_folder)})
    assert "qery" in message
    assert "query" in message


@pytest.mark.parametrize(
    ("changes", "wrong", "right"),
    [
        ({"model.class_path": "transferlab.strategies.FullFinetuning"}, "FullFinetuning", "FullFineTuning"),
        ({"data.class_path": "transferlab.tasks.TaskDataModul"}, "TaskDataModul", "TaskDataModule"),
        (
            {"model": {**LORA, "init_args": {"method": {"class_path": "transferlab.adapters.LORA"}}}},
            "transferlab.adapters.LORA",
            "LoRA",
        ),
    ],
)
def test_unknown_class(fit_fails, changes, wrong, right):
    message = fit_fails(**changes)
    assert wrong in message
    assert f"'{right}'" in message


# files ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["mine.yaml is empty"]),
        ("# a comment\n", ["mine.yaml is empty"]),
        ("- a\n- b\n", ["mine.yaml must hold `key: value` pairs"]),
        ("a: [1\n", ["mine.yaml is not valid YAML", "line 2"]),
        ("bases: [task/sst3]\n", ["mine.yaml: unknown base 'task/sst3'", "'task/sst2'"]),
        ("bases: task/sst2\n", ["mine.yaml: bases must be a list"]),
    ],
)
def test_unusable_file(fails, place, content, parts):
    (place / "mine.yaml").write_text(content)
    message = fails("fit", "--config", "mine.yaml")
    assert [part for part in parts if part not in message] == []


def test_missing_file(fails, place):
    (place / "lora.yaml").write_text("a: 1\n")
    assert "no such file: lor.yaml (did you mean 'lora'?)" in fails("fit", "--config", "lor.yaml")


def test_config_without_a_value(fails):
    assert "--config" in fails("fit", "--config")


def test_unknown_experiment(fails):
    message = fails("fit", "--experiment", "lora_sst3")
    assert "no experiment 'lora_sst3' (did you mean 'lora_sst2'" in message


def test_unknown_command(fails):
    assert "no command 'fti' (did you mean 'fit'" in fails("fti")


def test_unknown_run(fails):
    assert "no run 'nothing' under runs/" in fails("test", "--run", "nothing")


def test_nothing_to_fit(fails):
    message = fails("fit")
    assert "data" in message
    assert "--config" in message


# data -----------------------------------------------------------------------------------------------------------------

CSV = "text,label\n" + "".join(f"text {number},{'xy'[number % 2]}\n" for number in range(20))
DATA = {
    "empty": ({"train.csv": ""}, {}, ["train.csv", "is empty"]),
    "header only": ({"train.csv": "text,label\n"}, {}, ["train.csv", "no rows"]),
    "one class": ({"train.csv": CSV.replace(",y", ",x")}, {}, ["train.csv", "'label'", "need two"]),
    "unknown label": (
        {"train.csv": CSV, "validation.csv": CSV + "odd,z\n"},
        {},
        ["validation.csv", "row 20", "'z'", "x, y", "data.source.labels"],
    ),
    "missing column": ({"train.csv": CSV}, {"text": ["txt"]}, ["train.csv", "'txt'", "'text'", "data.source.text"]),
    "no text": ({"train.csv": CSV + ",x\n"}, {}, ["train.csv", "row 20", "'text'"]),
    "missing file": ({}, {"files": {"train": "gone.csv"}}, ["data.source.files.train", "no such file: gone.csv"]),
    "conll": (
        {"train.conll": "EU B-X\nsays O\n\nalone\n"},
        {"kind": "tagging", "text": ["tokens"], "label": "tags"},
        ["train.conll, line 4", "1 column(s)"],
    ),
    "no source": ({}, {}, ["data.source", "`path`", "`files`"]),
}


@pytest.mark.parametrize("case", DATA)
def test_unusable_data(fit_fails, place, tiny_folder, case):
    contents, options, parts = DATA[case]
    for name, content in contents.items():
        (place / name).write_text(content)
    source = {"files": {name.split(".")[0]: name for name in contents}, **options}
    changes = {"encoder.name": str(tiny_folder), "data.init_args.source": source, "data.init_args.task": "own"}
    message = fit_fails(**changes)
    assert [part for part in parts if part not in message] == []


def test_unknown_task(fit_fails):
    message = fit_fails(**{"data.init_args.task": "sst3"})
    assert "data.task: no task named 'sst3' (did you mean 'sst2'" in message
    assert "data.source" in message


def test_hub_out_of_reach(fit_fails, tiny_folder):
    message = fit_fails(**{"data.init_args.task": "sst2", "encoder.name": str(tiny_folder)})
    for part in ("nyu-mll/glue (sst2)", "$TRANSFERLAB_DATA/glue", "HF_HUB_OFFLINE=1", "transferlab demo"):
        assert part in message


def test_encoder_out_of_reach(fit_fails):
    message = fit_fails()
    for part in ("encoder.name: no/encoder-of-this-name", "$TRANSFERLAB_MODELS", "HF_HUB_OFFLINE=1"):
        assert part in message


def test_run_folder_that_cannot_be_written(fit_fails, place, tiny_folder):
    (place / "file").write_text("in the way")
    message = fit_fails("--run.root", "file/runs", **{"encoder.name": str(tiny_folder)})
    assert "run.root: cannot write the run folder file/runs/" in message


# checkpoints ----------------------------------------------------------------------------------------------------------


def test_missing_checkpoint(fails, place, tiny_folder):
    (place / "mine.yaml").write_text(yaml.safe_dump(experiment(**{"encoder.name": str(tiny_folder)})))
    assert "ckpt_path" in fails("test", "--config", "mine.yaml", "--ckpt_path", "gone.ckpt")
    assert "test needs --run RUN" in fails("test", "--config", "mine.yaml")


def test_checkpoint_of_other_labels(fails, place, tiny_encoder):
    import lightning as L
    import torch

    from transferlab.strategies import FullFineTuning
    from transferlab.tasks import TaskSpec

    model = FullFineTuning(TaskSpec("t", "classification", ("a", "b", "c"), ("accuracy",)), tiny_encoder)
    checkpoint = {
        "state_dict": model.state_dict(),
        "pytorch-lightning_version": L.__version__,
        "epoch": 0,
        "global_step": 0,
    }
    model.on_save_checkpoint(checkpoint)
    torch.save({**checkpoint, "loops": {}, "callbacks": {}}, place / "other.ckpt")
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
    changes = {"encoder.name": tiny_encoder.name, "model.init_args.optimizer": optimizer}
    (place / "mine.yaml").write_text(yaml.safe_dump(experiment(**changes)))
    message = fails("test", "--config", "mine.yaml", "--ckpt_path", "other.ckpt")
    for part in ("ckpt_path", "['a', 'b', 'c']", "['negative', 'positive']", "num_labels 3 against 2"):
        assert part in message


# the real command -----------------------------------------------------------------------------------------------------


def test_command(tmp_path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(experiment()))
    done = subprocess.run(
        [sys.executable, "-m", "transferlab", "fit", "--config", "mine.yaml", "--data.init_args.task", "sst3"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "did you mean 'sst2'" in only_message(done.stderr)
    assert not (tmp_path / "runs").exists()
