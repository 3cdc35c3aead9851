"""Runs that are killed and stopped, through the real command, against the same run left alone."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import HANGS
from kills import (
    ADALORA,
    BATCHES,
    CASES,
    FIT,
    LORA,
    SHARDED,
    STEPS,
    Hook,
    Job,
    check_equal,
    lines,
    output,
    run_case,
    starts,
    transferlab,
    write_experiment,
)
from test_damage import flip

from transferlab.ground import intact, signals
from transferlab.ground.errors import TransferlabError
from transferlab.record import folder as run_folder
from transferlab.tasks.batching import BucketBatchSampler
from transferlab.tracking.metrics_log import MetricsLog
from transferlab.training import checkpoints, lock, resume
from transferlab.training.checkpoints import AtomicCheckpointIO

DDP = "transferlab.training.parallel.Replicated"
MINUTES = 30
"""Longer than the two processes of a busy machine are apart."""


@pytest.fixture(scope="module")
def experiment(tmp_path_factory, tiny_folder):
    """Writes an experiment file into a new folder."""

    def write(strategy, arguments=None, options=None):
        return write_experiment(tmp_path_factory.mktemp("place"), tiny_folder, strategy, arguments, options)

    return write


QUICK = {
    "full": (3,),
    "lora, accumulation, two validations": (3, 8, 12),
    "an end in steps": (12,),
    "a head that starts solved": (3,),
    "prompting, demonstrations": (2,),
    "prompting, soft": (1,),
}
"""What the default tests kill, and where; the slow ones kill all."""


@pytest.mark.parametrize(("name", "batches"), QUICK.items())
def test_killed_at_some_steps(tmp_path, tiny_folder, language_folder, name, batches):
    encoder = language_folder if name.startswith("prompting") else tiny_folder
    assert run_case(tmp_path, encoder, CASES[name]._replace(batches=batches)) == len(batches)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_killed_at_any_step(tmp_path, tiny_folder, language_folder, name):
    run_case(tmp_path, language_folder if name.startswith("prompting") else tiny_folder, CASES[name])


@pytest.mark.slow
def test_killed_while_texts_are_generated(tmp_path, tiny_folder):
    case = CASES["texts"]
    write_experiment(tmp_path, tiny_folder, case.strategy, case.arguments, case.options)
    assert transferlab(tmp_path, *FIT, "runs/whole") == 0, output(tmp_path)
    # in the first validation, in the second one, in the test
    for number in (0, 1, 1):
        ended = transferlab(tmp_path, *FIT, "runs/killed", hook=Hook(number, moment="generate"))
        assert ended == -signal.SIGKILL, output(tmp_path)
    assert transferlab(tmp_path, *FIT, "runs/killed") == 0, output(tmp_path)
    check_equal(tmp_path / "runs" / "killed", tmp_path / "runs" / "whole")


def test_weights_split_over_two_processes(tmp_path, tiny_folder):
    run_case(tmp_path, tiny_folder, CASES["full, split over 2 processes"]._replace(batches=(3,)))
    assert (tmp_path / "runs" / "killed" / "checkpoints" / "last.ckpt" / "__1_0.distcp").is_file()
    write_experiment(tmp_path, tiny_folder, "ParameterEfficient", ADALORA, SHARDED)
    assert transferlab(tmp_path, *FIT, "runs/refused") == 2
    assert "AdaLoRA reads or changes whole weights, so it cannot be split; use trainer/ddp" in output(tmp_path)
    assert not (tmp_path / "runs" / "refused").exists()


def test_a_process_that_hangs_ends_the_others(tmp_path, tiny_folder):
    options = {STEPS: 1, "trainer.devices": 2, "trainer.strategy": {"class_path": DDP, "init_args": {}}}
    options["trainer.strategy"]["init_args"] = {"timeout": f"0:{MINUTES}:00"}
    write_experiment(tmp_path, tiny_folder, "FullFineTuning", {}, options)
    job = Job(tmp_path, *FIT, "runs/own", hook=Hook(3, signal.SIGSTOP, rank=1), ranks=2)
    one, other = job.processes
    try:
        one.join(HANGS)
        assert one.exitcode == 1, output(tmp_path)
    finally:
        other.kill()
        other.join()
    folder = tmp_path / "runs" / "own"
    assert f"another process of this run has not answered for {MINUTES * 60} s (step 3, process 0)" in output(tmp_path)
    assert f"waits 0:{MINUTES}:00" in output(tmp_path)
    assert not (folder / lock.NAME).exists()
    assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 3


def test_one_folder_from_the_first_start_to_the_end(experiment):
    """Stopped, damaged, refused, finished: what `fit` says of the same folder."""
    place = experiment("FullFineTuning")
    whole, folder = place / "runs" / "whole", place / "runs" / "stopped"
    assert transferlab(place, *FIT, "runs/whole") == 0, output(place)
    assert transferlab(place, *FIT, "runs/stopped", hook=Hook(4, signal.SIGUSR1)) == 75, output(place)
    assert "stopped at step 5" in output(place)
    assert [line["step"] for line in lines(folder)] == list(range(5))
    assert json.loads((folder / "summary.json").read_text())["status"] == "interrupted"

    assert transferlab(place, *FIT, "runs/stopped", "--model.head.dropout", "0.3") == 2
    assert "different are model.init_args.head.dropout." in output(place)

    # a newest checkpoint that is damaged: the one before has step 3
    last = folder / "checkpoints" / "last.ckpt"
    flip(last)
    assert transferlab(place, "fit", "--resume", "runs/stopped", hook=Hook(7, signal.SIGTERM)) == 75, output(place)
    assert "last.ckpt is damaged; resuming from the one before" in output(place)
    assert (folder / "checkpoints" / "last.damaged").exists()
    assert not (folder / lock.NAME).exists()

    # a disk that is full when the next checkpoint is written
    before = last.read_bytes()
    assert transferlab(place, "fit", "--resume", "runs/stopped", largest=100_000) == 2, output(place)
    assert "cannot write the checkpoint" in output(place)
    assert "Traceback" not in output(place)
    assert last.read_bytes() == before
    assert transferlab(place, "fit", "--resume", "runs/stopped") == 0, output(place)
    assert not (folder / lock.NAME).exists()
    check_equal(folder, whole)

    assert transferlab(place, "fit", "--resume", "runs/stopped") == 0
    assert "is finished" in output(place)
    assert transferlab(place, "fit", "--resume", "runs/stopped", "--trainer.max_epochs", "3") == 0, output(place)
    assert [line["step"] for line in lines(folder)] == list(range(3 * BATCHES + 1))

    # what it is trained on from is kept on request only
    assert (folder / "checkpoints" / "last.ckpt").exists()
    more = ["fit", "--resume", "runs/stopped", "--run.keep_last", "false", "--trainer.max_epochs"]
    assert transferlab(place, *more, "4") == 0, output(place)
    assert {path.name for path in (folder / "checkpoints").iterdir()} == {"best.ckpt", "last.damaged"}
    assert transferlab(place, *more, "4") == 0
    assert "is finished" in output(place)
    assert transferlab(place, *more, "5") == 2
    assert "its last.ckpt was not kept (run.keep_last)" in output(place)


def test_all_checkpoints_damaged(experiment):
    place = experiment("FullFineTuning")
    assert transferlab(place, *FIT, "runs/own", hook=Hook(7)) == -signal.SIGKILL
    for path in (place / "runs" / "own" / "checkpoints").glob("*.ckpt"):
        path.write_bytes(path.read_bytes()[:100])
    assert transferlab(place, *FIT, "runs/own") == 2
    assert "no other checkpoint to resume from" in output(place)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_two_processes(experiment, workers):
    options = {"trainer.devices": 2, "trainer.strategy": "ddp", "data.init_args.num_workers": workers, STEPS: 1}
    place = experiment("ParameterEfficient", LORA, options)

    def command(folder, **hook):
        environment = {"PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
        code = "import json, os; import kills as t; h = json.loads(os.environ['HOOK']); h and t.act(t.Hook(**h))\n"
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
            timeout=HANGS,
        )
        (place / "output.txt").write_text(done.stdout + done.stderr)
        return done.returncode

    assert command("runs/whole") == 0, output(place)
    assert command("runs/stopped", batch=1, number=int(signal.SIGKILL)) == -signal.SIGKILL
    # either process alone gets the signal; both save and leave
    assert command("runs/stopped", batch=2, number=int(signal.SIGUSR1), rank=1) == 75, output(place)
    assert command("runs/stopped", batch=5, number=int(signal.SIGTERM), rank=0) == 75, output(place)
    assert command("runs/stopped") == 0, output(place)
    check_equal(place / "runs" / "stopped", place / "runs" / "whole", batches_too=False)


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
        with pytest.raises(TransferlabError, match=r"last\.ckpt: the disk is full\. The one before"):
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


def write_for_ever(path):
    """Body of a process: writes one checkpoint after the other, each of one number."""
    io = AtomicCheckpointIO()
    for step in range(10**6):
        io.save_checkpoint({"step": step, "weights": torch.full((1_000_000,), float(step))}, path)


def test_killed_while_a_checkpoint_is_written(tmp_path):
    unfinished = number = 0
    # at least one is to be hit in the middle, else nothing was tried
    while number < 8 or not unfinished:
        number += 1
        folder = tmp_path / str(number)
        process = starts.Process(target=write_for_ever, args=(folder / "last.ckpt",))
        process.start()
        while not (folder / "previous.ckpt").exists():
            assert process.is_alive()
            time.sleep(0.005)
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        process.join()
        path, damaged = checkpoints.newest(folder)
        assert not damaged
        content = torch.load(path)
        assert (content["weights"] == content["step"]).all()
        unfinished += len(list(folder.glob(".*.tmp")))


def build_folder(path, step):
    """A checkpoint that is a folder, under the name that it is written with first."""
    path.mkdir(parents=True)
    torch.save({"step": step}, path / checkpoints.REST)
    (path / "__0_0.distcp").write_bytes(bytes([step]) * 5000)
    checkpoints.seal(path, intact.sums([path / checkpoints.REST, path / "__0_0.distcp"]))
    return path


def test_checkpoints_that_are_folders(tmp_path):
    last, previous, temporary = tmp_path / "last.ckpt", tmp_path / "previous.ckpt", tmp_path / ".last.ckpt.7.tmp"
    for step in (1, 2, 3):
        checkpoints.put(build_folder(temporary, step), last)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "previous.ckpt"]
    assert [torch.load(path / checkpoints.REST)["step"] for path in (last, previous)] == [3, 2]
    assert checkpoints.newest(tmp_path) == (last, [])
    part = last / "__0_0.distcp"
    whole = part.read_bytes()
    for damaged in (b"", whole[:-1], whole[:100] + b"x" + whole[101:]):
        part.write_bytes(damaged)
        assert checkpoints.newest(tmp_path) == (previous, [last])
    (last / intact.FILES).unlink()
    assert checkpoints.newest(tmp_path) == (previous, [last])
    checkpoints.set_aside(last)
    assert checkpoints.newest(tmp_path) == (previous, [])
    # from parts to a file and back, as where the strategy of the Trainer is changed by hand
    AtomicCheckpointIO().save_checkpoint({"step": 4}, last)
    AtomicCheckpointIO().save_checkpoint({"step": 5}, last)
    assert checkpoints.newest(tmp_path) == (last, [])
    assert previous.is_file()
    build_folder(temporary, 6)
    checkpoints.sweep(tmp_path)
    assert not temporary.exists()


@pytest.fixture
def read_only(tmp_path):
    """A folder with a checkpoint that nobody can write into; for root only a mount is that."""
    folder = tmp_path / "folder"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, folder / "last.ckpt")
    if os.geteuid():
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)
        return
    for options in (["--bind", folder, folder], ["-o", "remount,bind,ro", folder]):
        if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
            pytest.skip("root without the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_folder_that_cannot_be_written(read_only):
    with pytest.raises(TransferlabError, match=r"cannot lock the run directory .*: \S+"):
        lock.acquire(read_only)
    with pytest.raises(TransferlabError, match=r"run\.root: cannot write the run directory"):
        run_folder.create(read_only)
    with pytest.raises(TransferlabError, match=r"cannot write the checkpoint .*The one before is as it was"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, read_only / "last.ckpt")
    assert torch.load(read_only / "last.ckpt")["step"] == 1


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
