"""Runs that are killed and stopped, through the real command, against the same run left alone."""

import json
import multiprocessing
import os
import random
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml

from transferlab import signals
from transferlab.errors import TransferlabError
from transferlab.runs import checkpoints, lock, resume
from transferlab.runs.checkpoints import AtomicCheckpointIO
from transferlab.runs.metrics_log import MetricsLog
from transferlab.tasks.batching import BucketBatchSampler

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


def act_at(batch, number, rank=0):
    """Sends this process a signal when a batch begins, once; batches are counted over all epochs, from 0."""
    from transferlab.runs.resume import Resumable

    usual = Resumable.on_train_batch_start
    sent = []

    def patched(self, trainer, *arguments):
        if trainer.fit_loop.total_batch_idx == batch and trainer.global_rank == rank and not sent:
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
    steps = [line["step"] for line in lines(folder)]
    assert steps == list(range(len(steps)))
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
STEPS = "run.checkpoint_every_steps"
SWEEP = [1, 3, 5, 7, 8, 9, 12, 15]
"""Both sides of the end of the first epoch, and the last batch of the run."""
slow = pytest.mark.slow
CASES = [
    pytest.param(
        "ParameterEfficient",
        LORA,
        {"trainer.accumulate_grad_batches": 2, "trainer.val_check_interval": 0.5},
        [3, 8, 12],
        id="lora, accumulation, two validations",
    ),
    pytest.param("FullFineTuning", {}, {STEPS: 2}, SWEEP, id="full", marks=slow),
    pytest.param("FullFineTuning", {}, {STEPS: 3, "data.init_args.num_workers": 2}, SWEEP, id="workers", marks=slow),
    pytest.param("FullFineTuning", {}, {STEPS: 8}, SWEEP, id="checkpoints at ends of epochs only", marks=slow),
    pytest.param("FullFineTuning", {"unfreeze_at": [3, 9, 11]}, {STEPS: 1}, SWEEP, id="gradual unfreezing", marks=slow),
    pytest.param("ParameterEfficient", ADALORA, {STEPS: 1}, SWEEP, id="adalora", marks=slow),
    pytest.param("FeatureExtraction", {}, {STEPS: 1}, SWEEP, id="kept features", marks=slow),
    pytest.param(
        "ParameterEfficient",
        LORA,
        {STEPS: 2, "data.init_args.packed": True, "data.init_args.max_tokens": 128},
        SWEEP,
        id="packed",
        marks=slow,
    ),
    pytest.param(
        "FullFineTuning",
        {},
        {STEPS: 1, "trainer.max_epochs": 6, "early_stopping.patience": 1, "trainer.val_check_interval": 0.5},
        [3, 4, 7, 8],
        id="early stopping",
        marks=slow,
    ),
    pytest.param(
        "FullFineTuning",
        {},
        {STEPS: 2, "trainer.max_epochs": -1, "trainer.max_steps": 13},
        [1, 7, 8, 9, 12],
        id="an end in steps",
        marks=slow,
    ),
    pytest.param("FullFineTuning", {}, {STEPS: 2, "trainer.precision": "32-true"}, [5, 8], id="32-true", marks=slow),
]


@pytest.mark.parametrize(("strategy", "arguments", "options", "batches"), CASES)
def test_killed_at_any_step(experiment, strategy, arguments, options, batches):
    place = experiment(strategy, arguments, options)
    whole, folder = place / "runs" / "whole", place / "runs" / "killed"
    assert transferlab(place, *FIT, "runs/whole") == 0, output(place)
    for batch in batches:
        status = transferlab(place, *FIT, "runs/killed", hook=(batch, signal.SIGKILL))
        # early stopping may have ended the run before
        assert status in {-signal.SIGKILL, 0}, output(place)
    assert transferlab(place, *FIT, "runs/killed") == 0, output(place)
    check_equal(folder, whole)


def test_one_folder_from_the_first_start_to_the_end(experiment):
    """Stopped, damaged, refused, finished: what `fit` says of the same folder."""
    place = experiment("FullFineTuning")
    whole, folder = place / "runs" / "whole", place / "runs" / "stopped"
    assert transferlab(place, *FIT, "runs/whole") == 0, output(place)
    assert transferlab(place, *FIT, "runs/stopped", hook=(4, signal.SIGUSR1)) == 75, output(place)
    assert "stopped at step 5" in output(place)
    assert [line["step"] for line in lines(folder)] == list(range(5))
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"

    assert transferlab(place, *FIT, "runs/stopped", "--model.head.dropout", "0.3") == 2
    assert "different are model.init_args.head.dropout." in output(place)

    # a newest checkpoint that is damaged: the one before has step 3
    last = folder / "checkpoints" / "last.ckpt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    assert transferlab(place, "fit", "--resume", "runs/stopped", hook=(7, signal.SIGTERM)) == 75, output(place)
    assert "last.ckpt is damaged; going on from the one before" in output(place)
    assert (folder / "checkpoints" / "last.damaged").exists()
    assert transferlab(place, "fit", "--resume", "runs/stopped") == 0, output(place)
    check_equal(folder, whole)

    assert transferlab(place, "fit", "--resume", "runs/stopped") == 0
    assert "is finished" in output(place)
    assert transferlab(place, "fit", "--resume", "runs/stopped", "--trainer.max_epochs", "3") == 0, output(place)
    assert [line["step"] for line in lines(folder)] == list(range(3 * BATCHES + 1))


def test_all_checkpoints_damaged(experiment):
    place = experiment("FullFineTuning")
    assert transferlab(place, *FIT, "runs/own", hook=(7, signal.SIGKILL)) == -signal.SIGKILL
    for path in (place / "runs" / "own" / "checkpoints").glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:100])
    assert transferlab(place, *FIT, "runs/own") == 2
    assert "no other checkpoint to go on from" in output(place)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes(experiment, workers):
    options = {"trainer.devices": 2, "trainer.strategy": "ddp", "data.init_args.num_workers": workers, STEPS: 1}
    place = experiment("ParameterEfficient", LORA, options)

    def command(folder, **hook):
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        code = "import json, os; import test_resume as t; h = json.loads(os.environ['HOOK']); h and t.act_at(**h)\n"
        code += "from transferlab.__main__ import main; main()"
        (place / "command.py").write_text(code)
        # the second process runs the same command line
        done = subprocess.run(
            [sys.executable, "command.py", *FIT, folder],
            cwd=place,
            env={**os.environ, **environment, "HOOK": json.dumps(hook)},
            capture_output=True,
            text=True,
            check=False,
            timeout=400,
        )
        (place / "output.txt").write_text(done.stdout + done.stderr)
        return done.returncode

    assert command("runs/whole") == 0, output(place)
    assert command("runs/stopped", batch=1, number=int(signal.SIGKILL)) == -signal.SIGKILL
    # either process alone gets the signal; both save and leave
    assert command("runs/stopped", batch=2, number=int(signal.SIGUSR1), rank=1) == 75, output(place)
    assert command("runs/stopped", batch=5, number=int(signal.SIGTERM), rank=0) == 75, output(place)
    assert command("runs/stopped") == 0, output(place)
    check_equal(place / "runs" / "stopped", place / "runs" / "whole")


# the parts --------------------------------------------------------------------------------------------------------


def test_a_signal_outside_training_ends_the_command():
    with signals.handled():
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
            signals.request.received = 0
            with pytest.raises(SystemExit) as stopped:
                os.kill(os.getpid(), number)
            assert stopped.value.code == 75
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_while_training_is_noted():
    with signals.handled():
        signals.request.deferred = True
        for number in signals.SIGNALS:
            os.kill(os.getpid(), number)
            assert signals.request.received == number
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    io = AtomicCheckpointIO()
    for step in (1, 2, 3):
        io.save_checkpoint({"step": step}, folder / "last.ckpt")
    assert torch.load(folder / "last.ckpt")["step"] == 3
    assert torch.load(folder / "previous.ckpt")["step"] == 2

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(TransferlabError, match=r"last\.ckpt: No space left on device\. The one before"):
            io.save_checkpoint({"step": 4}, folder / "last.ckpt")
    assert sorted(path.name for path in folder.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert torch.load(folder / "last.ckpt")["step"] == 3


def test_a_full_disk_in_the_middle_of_a_file(tmp_path):
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"step": 1}, path)
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(TransferlabError, match=r"cannot write the checkpoint"):
            io.save_checkpoint({"weights": torch.zeros(100_000)}, path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert [other.name for other in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.load(path)["step"] == 1


def test_the_newest_whole_checkpoint(tmp_path):
    assert checkpoints.newest(tmp_path) == (None, [])
    io, last, previous = AtomicCheckpointIO(), tmp_path / "last.ckpt", tmp_path / "previous.ckpt"
    for step in (1, 2):
        io.save_checkpoint({"weights": torch.full((1000,), step)}, last)
    assert checkpoints.newest(tmp_path) == (last, [])
    whole = last.read_bytes()
    for damaged in (b"", whole[:-50], whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]):
        last.write_bytes(damaged)
        assert checkpoints.newest(tmp_path) == (previous, [last])
    last.unlink()
    assert checkpoints.newest(tmp_path) == (previous, [])
    previous.write_bytes(b"")
    with pytest.raises(TransferlabError, match=r"previous\.ckpt: damaged.*delete it to train from the beginning"):
        checkpoints.newest(tmp_path)


def test_stale_files_are_swept(tmp_path):
    (tmp_path / ".last.ckpt.123.tmp").touch()
    (tmp_path / "last.ckpt").touch()
    checkpoints.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_lock_is_refused_while_its_holder_lives(tmp_path):
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        lock.acquire(tmp_path)
        held = json.loads((tmp_path / lock.NAME).read_text())
        assert held["pid"] == os.getpid()
        lock.acquire(tmp_path)
        other = {**held, "pid": sleeper.pid, "birth": lock._birth(sleeper.pid)}
        (tmp_path / lock.NAME).write_text(json.dumps(other))
        with pytest.raises(TransferlabError, match=rf"process {sleeper.pid} on {held['host']}, started .*delete"):
            lock.acquire(tmp_path)
        lock.release(tmp_path)
        assert (tmp_path / lock.NAME).exists()
    finally:
        sleeper.kill()
        sleeper.wait()
    lock.acquire(tmp_path)
    lock.release(tmp_path)
    assert not (tmp_path / lock.NAME).exists()


@pytest.mark.parametrize(
    ("holder", "mine", "alive"),
    [
        ({"host": "far", "job": ""}, {"host": "here", "job": ""}, True),
        ({"host": "far", "job": "7"}, {"host": "here", "job": "8"}, True),
        ({"host": "far", "job": "7"}, {"host": "here", "job": "7"}, False),
        ({"host": "here", "job": "", "pid": os.getpid(), "birth": "another"}, {"host": "here", "job": ""}, False),
    ],
    ids=["other host", "other job", "the same job requeued", "a number given anew"],
)
def test_whose_lock_is_stale(holder, mine, alive, monkeypatch):
    # no Slurm that could be asked; test_cluster.py has one
    monkeypatch.setenv("PATH", "")
    assert lock.lives(holder, mine) == alive


def test_a_damaged_lock_is_taken_over(tmp_path):
    (tmp_path / lock.NAME).write_text("{")
    lock.acquire(tmp_path)
    lock.release(tmp_path)


def test_keys_that_may_differ():
    saved = {"trainer": {"max_epochs": 1, "devices": 1}, "run": {"tags": []}, "model": {"lr": 1e-3, "gone": 1}}
    given = {"trainer": {"max_epochs": 2, "devices": 2}, "run": {"tags": ["a"]}, "model": {"lr": 1e-2}}
    assert resume.differences(saved, given) == ["model.gone", "model.lr", "trainer.devices"]
    assert resume.differences(saved, saved) == []


def test_metrics_go_back_to_a_checkpoint(tmp_path):
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    log.log_metrics({"train/loss": 0.5}, 0)
    log.log_metrics({"train/loss": float("nan")}, 1)
    state = log.state()
    log.log_metrics({"val/accuracy": 1.0}, 1)
    log.log_metrics({"train/loss": 0.3}, 2)
    log.log_metrics({"train/loss": 0.2}, 3)
    again = MetricsLog(path)
    again.restore(state)
    again.log_metrics({"val/accuracy": 0.9}, 1)
    again.log_metrics({"train/loss": 0.1}, 2)
    again.finalize("success")
    again.close()
    assert lines(tmp_path) == [
        {"step": 0, "train/loss": 0.5},
        {"step": 1, "train/loss": None, "val/accuracy": 0.9},
        {"step": 2, "train/loss": 0.1},
    ]


def test_random_numbers_belong_to_a_batch():
    def draw(*place):
        resume.seed_batch(*place)
        return torch.rand(1).item(), float(np.random.random()), random.random()

    assert draw(0, 0, 5) == draw(0, 0, 5)
    assert len({draw(0, 0, 5), draw(1, 0, 5), draw(0, 1, 5), draw(0, 0, 6)}) == 4


def test_a_sampler_leaves_out_what_is_done():
    sampler = BucketBatchSampler(np.arange(1, 30), 4, shuffle=True)
    sampler.set_epoch(2)
    whole = list(sampler)
    sampler.resume(2, 3)
    assert list(sampler) == whole[3:]
    assert len(sampler) == len(whole)
    sampler.set_epoch(3)
    assert len(list(sampler)) == len(whole)
    sampler.set_epoch(2)
    assert list(sampler) == whole[3:]
