"""Runs that are killed and stopped, through the real command, against the same run left alone."""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest
import torch
import yaml

ROWS = {"train": 61, "validation": 6, "test": 9}
BATCHES = 8
"""Batches in an epoch of one process."""

# imports take seconds and a start after them a fraction of one: the server imports once, every start is forked from it
starts = multiprocessing.get_context("forkserver")
starts.set_forkserver_preload(["transferlab.cli", "transferlab.strategies", "peft", "test_resume"])


def start(place, arguments, hook, environment):
    """Body of a process: the command, with a hook called as each batch begins."""
    output = os.open(place / "output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    if hook is not None:
        act_at(*hook)
    sys.argv = ["transferlab", *map(str, arguments)]
    from transferlab.__main__ import main

    main()


def act_at(batch, number):
    """Sends this process a signal when a batch begins, once; batches are counted over all epochs, from 0."""
    from transferlab.runs.resume import Resumable

    usual = Resumable.on_train_batch_start
    sent = []

    def patched(self, trainer, *arguments):
        if trainer.fit_loop.total_batch_idx == batch and not sent:
            sent.append(batch)
            os.kill(os.getpid(), number)
        usual(self, trainer, *arguments)

    Resumable.on_train_batch_start = patched


def transferlab(place, *arguments, hook=None):
    """Runs the command; returns its exit status, negative for the signal that killed it."""
    process = starts.Process(target=start, args=(place, arguments, hook, dict(os.environ)))
    process.start()
    process.join(120)
    assert not process.is_alive()
    return process.exitcode


def output(place):
    return (place / "output.txt").read_text()


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, tiny_folder):
    """Writes an experiment file into a new folder; `options` go under dotted keys."""

    def write(strategy, arguments=None, options=None):
        place = tmp_path_factory.mktemp("place")
        files = {}
        for split, count in ROWS.items():
            files[split] = f"{split}.csv"
            lines = [
                f"{'good' if number % 2 else 'bad'} {'a ' * (number % 17)},{number % 2}\n" for number in range(count)
            ]
            (place / files[split]).write_text("text,label\n" + "".join(lines))
        data = {"task": "own", "source": {"files": files}, "max_length": 32, "batch_size": 8}
        tree = {
            "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 2, "logger": False, "log_every_n_steps": 1},
            "encoder": {"name": str(tiny_folder)},
            "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": data},
            "model": {
                "class_path": f"transferlab.strategies.{strategy}",
                "init_args": {
                    "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
                    "head": {"dropout": 0.1},
                    **(arguments or {}),
                },
            },
            "run": {"checkpoint_every_steps": 3},
        }
        for key, value in (options or {}).items():
            *parents, last = key.split(".")
            node = tree
            for parent in parents:
                node = node.setdefault(parent, {})
            node[last] = value
        (place / "mine.yaml").write_text(yaml.safe_dump(tree))
        return place

    return write


FIT = ("fit", "--config", "mine.yaml", "--resume")


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def trained(folder):
    """All that training left: weights, optimizer, schedule, the best checkpoint."""
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    kept = {name: last[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")}
    return {**kept, "best": best["state_dict"]}


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def check_equal(folder, whole):
    """Weights, optimizer, every logged number and the result are those of the run that was left alone."""
    assert lines(folder) == lines(whole)
    assert same(trained(folder), trained(whole))
    one, other = (json.loads((path / "summary.json").read_text()) for path in (folder, whole))
    for summary in (one, other):
        assert summary["status"] == "finished"
    for key in ("before", "after", "metrics"):
        assert one[key] == other[key]
    assert one["perf"]["steps"] == other["perf"]["steps"]
    predictions = [(path / "predictions" / "test.jsonl").read_text() for path in (folder, whole)]
    assert predictions[0] == predictions[1]


LORA = {"method": {"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 2, "dropout": 0.2}}}
ADALORA = {"method": {"class_path": "transferlab.adapters.AdaLoRA", "init_args": {"r": 3, "target_r": 1, "delta_t": 2}}}
CASES = {
    "full": ("FullFineTuning", {}, {}, [2, 8, 11]),
    "lora, accumulation": ("ParameterEfficient", LORA, {"trainer.accumulate_grad_batches": 2}, [3, 7, 12]),
    "adalora": ("ParameterEfficient", ADALORA, {"run.checkpoint_every_steps": 1}, [5, 8, 14]),
    "features": ("FeatureExtraction", {}, {"run.checkpoint_every_steps": 1}, [1, 7, 8, 9]),
}


@pytest.mark.parametrize(("strategy", "arguments", "options", "batches"), CASES.values(), ids=CASES)
def test_killed_at_any_step(experiment, strategy, arguments, options, batches):
    place = experiment(strategy, arguments, options)
    whole, folder = place / "runs" / "whole", place / "runs" / "killed"
    assert transferlab(place, *FIT, "runs/whole") == 0, output(place)
    for batch in batches:
        assert transferlab(place, *FIT, "runs/killed", hook=(batch, signal.SIGKILL)) == -signal.SIGKILL, output(place)
    assert transferlab(place, *FIT, "runs/killed") == 0, output(place)
    check_equal(folder, whole)
