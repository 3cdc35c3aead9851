"""A place for mistakes: a small experiment, and commands that must end with one line, exit code 2 and no run directory."""

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
