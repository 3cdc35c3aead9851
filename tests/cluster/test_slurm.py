"""Jobs of a real Slurm that are stopped in every way it knows, against the same run left alone."""

import contextlib
import json
import os
import re
import signal
import time
from pathlib import Path

import local_slurm
import pytest
import yaml
from kills import check_equal
from local_slurm import slurm

from transferlab.ground import queue
from transferlab.launch.cluster import jobs
from transferlab.launch.cluster.command import main as submit_command
from transferlab.launch.cluster.jobs import Command
from transferlab.launch.cluster.settings import read
from transferlab.launch.sweeps.command import main as sweep_command

pytestmark = pytest.mark.slurm
ROOT = Path(__file__).parents[2]
ROWS = {"train": 1601, "validation": 16, "test": 33}
ONE, TWO = {"nodes": "1"}, {"nodes": "2"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Slurm, and a folder with an experiment."""
    local_slurm.install()
    started = local_slurm.LocalSlurm(tmp_path_factory.mktemp("slurm"))
    yield started
    started.stop()


@pytest.fixture(scope="module")
def place(cluster, tmp_path_factory, tiny_folder):
    """A folder with an experiment, where jobs are submitted from."""
    place = tmp_path_factory.mktemp("a place")
    (place / "configs").symlink_to(ROOT / "configs")
    files = {}
    for split, count in ROWS.items():
        files[split] = f"{split}.csv"
        lines = [f"{'good' if n % 2 else 'bad'} {'a ' * (n % 17)},{n % 2}\n" for n in range(count)]
        (place / files[split]).write_text("text,label\n" + "".join(lines))
    data = {"task": "own", "source": {"files": files}, "max_length": 32, "batch_size": 8}
    tree = {
        "trainer": {"accelerator": "cpu", "max_epochs": 2, "logger": False, "log_every_n_steps": 1},
        "encoder": {"name": str(tiny_folder)},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": data},
        "model": {
            "class_path": "transferlab.strategies.FullFineTuning",
            "init_args": {
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}},
                "head": {"dropout": 0.1},
            },
        },
        "run": {"checkpoint_every_steps": 20},
    }
    (place / "mine.yaml").write_text(yaml.safe_dump(tree))
    os.environ["PYTHONPATH"] = f"{ROOT / 'src'}"
    os.environ["OMP_NUM_THREADS"] = "1"
    return place


@pytest.fixture(autouse=True)
def there(place, monkeypatch):
    """Jobs are submitted from that folder; each test begins with an empty queue."""
    monkeypatch.chdir(place)
    yield
    slurm("scancel", "--user=root")
    wait(lambda: not slurm("squeue", "-h"))


def wait(condition, seconds=500):
    """Waits until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, slurm("scontrol", "show", "job")
        time.sleep(0.2)


def start(place, name, shape, **settings):
    """Submits a run; returns its folder and its job."""
    overrides = {**shape, "cpus_per_process": "1", "time": "30", **settings}
    run = place / "runs" / "mine" / name
    command = Command(["--config", "mine.yaml"], run)
    return run, jobs.submit(command, read(Path("configs/cluster/slurm.yaml"), overrides))


def steps(run):
    path = run / "metrics.jsonl"
    return path.read_text().count("\n") if path.is_file() else 0


def log(run):
    path = run / "slurm" / "job.log"
    return path.read_text() if path.is_file() else ""


def ended(job):
    return queue.state(job) in {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}


def finish(run, job, whole, starts=2):
    """Waits for the end of a job that was requeued, and compares."""
    wait(lambda: ended(job))
    assert queue.state(job) == "COMPLETED", log(run)
    assert len(re.findall(r": start \d+ on", log(run))) >= starts, log(run)
    check_equal(run, whole, batches_too=False)


@pytest.fixture(scope="module")
def whole_one(place):
    return uninterrupted(place, "whole_one", ONE)


@pytest.fixture(scope="module")
def whole_two(place):
    return uninterrupted(place, "whole_two", TWO)


def uninterrupted(place, name, shape):
    os.chdir(place)
    run, job = start(place, name, shape)
    wait(lambda: ended(job))
    assert queue.state(job) == "COMPLETED", log(run)
    assert steps(run) > 2 * (ROWS["train"] // 8) // int(shape["nodes"])
    return run


def test_usr1_on_two_nodes(place, whole_two):
    run, job = start(place, "usr1", TWO)
    wait(lambda: steps(run) > 20)
    slurm("scancel", "--signal=USR1", job)
    wait(lambda: "is requeued" in log(run))
    stopped = re.search(r"stopped at step (\d+)", (run / "slurm" / "rank0.log").read_text())
    assert 20 < int(stopped[1]) < steps(whole_two)
    assert (run / "slurm" / "rank1.log").is_file()
    finish(run, job, whole_two)


def test_a_node_goes_down(place, whole_two):
    run, job = start(place, "down", TWO)
    wait(lambda: steps(run) > 45)
    slurm("scontrol", "update", "nodename=node2", "state=down", "reason=test")
    wait(lambda: queue.state(job) == "PENDING")
    slurm("scontrol", "update", "nodename=node2", "state=resume")
    finish(run, job, whole_two)


def test_a_rank_that_dies_ends_the_job(place, whole_two):
    run, job = start(place, "dies", TWO)
    wait(lambda: steps(run) > 30)
    os.kill(rank(run, 1), signal.SIGKILL)
    wait(lambda: ended(job))
    assert queue.state(job) == "FAILED"
    assert "the run ended with exit code 137: see" in log(run)
    # what stood in the queue is no hindrance; the lock of a job that is gone is none either
    submit_command(["--resume", str(run)])
    again = jobs.last_job(run)
    assert again != job
    finish(run, again, whole_two)


def test_preemption(place, whole_one):
    run, job = start(place, "preempted", ONE)
    wait(lambda: steps(run) > 30)
    slurm("sbatch", "--partition=high", "--nodes=2", "--exclusive", "--output=/dev/null", "--wrap=sleep 3")
    wait(lambda: "is requeued" in log(run))
    finish(run, job, whole_one)


def test_requeue_by_hand(place, whole_one):
    run, job = start(place, "by_hand", ONE)
    wait(lambda: steps(run) > 30)
    slurm("scontrol", "requeue", job)
    wait(lambda: queue.state(job) == "PENDING")
    stopped = re.search(r"stopped at step (\d+)", (run / "slurm" / "rank0.log").read_text())
    assert 30 < int(stopped[1]) < steps(whole_one)
    finish(run, job, whole_one)


def test_the_end_of_the_time_limit(place, whole_one):
    run, job = start(place, "time", ONE, time="4:00", signal_seconds="60")
    wait(lambda: steps(run) > 30)
    process = rank(run, 0)
    # one long step: the signal comes in the middle of it; Slurm may send SIGCONT with it, and the process be gone
    os.kill(process, signal.SIGSTOP)
    wait(lambda: not Path(f"/proc/{process}").exists() or pending(process, signal.SIGUSR1), 240)
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)
    wait(lambda: "is requeued" in log(run))
    finish(run, job, whole_one)


def test_a_signal_during_the_imports(place, whole_one):
    run, job = start(place, "imports", ONE)
    wait(lambda: (run / "slurm" / "rank0.log").is_file())
    slurm("scancel", "--signal=USR1", job)
    wait(lambda: "is requeued" in log(run))
    assert not (run / "config.yaml").exists()
    finish(run, job, whole_one)


def test_requeues_without_progress_are_bounded(place):
    run, job = start(place, "vain", ONE, requeues_without_checkpoint="1")
    path = run / "slurm" / "rank0.log"
    for number in (1, 2):
        wait(lambda number=number: log(run).count(": start ") == number and path.is_file() and rank(run, 0, False))
        slurm("scancel", "--signal=USR1", job)
        wait(lambda number=number: log(run).count("is requeued") == number)
    wait(lambda: ended(job))
    assert queue.state(job) == "FAILED"
    assert "error: 2 requeues in a row without a new checkpoint in" in log(run)


def test_a_cancelled_job_does_not_come_back(place, whole_one):
    run, job = start(place, "cancelled", ONE)
    wait(lambda: steps(run) > 30)
    slurm("scancel", job)
    wait(lambda: rank(run, 0, False) is None)
    wait(lambda: not slurm("squeue", "-h"))
    time.sleep(3)
    assert queue.state(job) == "CANCELLED"
    assert json.loads((run / "summary.json").read_text())["status"] == "interrupted"
    submit_command(["--resume", str(run)])
    finish(run, jobs.last_job(run), whole_one)


def test_an_array(place, whole_one, capsys):
    keys = ["--cluster.nodes", "1", "--cluster.cpus_per_process", "1", "--cluster.time=30"]
    submit_command(["--config", "mine.yaml", "--seeds", "2", *keys])
    folder = next((place / "runs" / "mine").glob("array-*"))
    runs = [Path(line) for line in (folder / "runs.txt").read_text().splitlines()]
    assert [re.sub(r".*-(s\d)-.*", r"\1", run.name) for run in runs] == ["s0", "s1"]
    first, second = (jobs.last_job(run) for run in runs)
    # one element is told to stop and comes back, the other one is cancelled
    wait(lambda: min(map(steps, runs)) > 30)
    slurm("scancel", "--signal=USR1", first)
    slurm("scancel", second)
    wait(lambda: f"job {first} is requeued" in (folder / "array.log").read_text())
    wait(lambda: queue.state(second) == "CANCELLED" and rank(runs[1], 0, False) is None)
    wait(lambda: second not in queue.own_jobs())
    capsys.readouterr()
    submit_command(["--resume", str(folder)])
    assert "2 runs: 0 finished, 1 in the queue, 1 to submit" in capsys.readouterr().out
    again = jobs.last_job(runs[1])
    assert (jobs.last_job(runs[0]), again != second) == (first, True)
    wait(lambda: ended(first) and ended(again))
    check_equal(runs[0], whole_one, batches_too=False)
    submit_command(["--resume", str(folder)])
    assert "2 runs: 2 finished, 0 in the queue, 0 to submit" in capsys.readouterr().out
    assert len(list((place / "runs" / "mine").glob("2*-s*"))) == 2


def test_a_sweep_is_an_array(place, whole_one, capsys):
    """Two cells; one is told to save, is requeued and goes on in its folder."""
    (place / "experiments").mkdir()
    (place / "experiments" / "mine.yaml").write_text((place / "mine.yaml").read_text())
    (place / "pair.yaml").write_text("experiments: [mine]\nseeds: 2\nset: {run.keep_last: true}\n")
    options = ["--cluster.cpus_per_process", "1", "--cluster.time", "30"]
    sweep_command(["pair.yaml", "--launcher", "slurm", *options])
    said = capsys.readouterr().out
    assert "2 jobs: 0 finished, 0 in the queue, 2 to submit" in said
    array = re.search(r"job (\d+): runs/sweeps/pair", said)[1]
    runs = [place / "runs" / "mine" / f"pair-s{seed}" for seed in range(2)]
    wait(lambda: steps(runs[0]) > 20)
    sweep_command(["pair.yaml", "--launcher", "slurm", *options])
    assert "2 in the queue, 0 to submit" in capsys.readouterr().out
    slurm("scancel", "--signal=USR1", f"{array}_0")
    logs = place / "runs" / "sweeps" / "pair"
    wait(lambda: "is requeued" in (logs / "array.log").read_text())
    assert "stopped: mine/pair-s0" in (logs / "0.log").read_text()
    wait(lambda: not slurm("squeue", "-h"))
    check_equal(runs[0], whole_one, batches_too=False)
    sweep_command(["pair.yaml", "--launcher", "slurm", *options])
    assert "2 jobs: 2 finished, 0 in the queue, 0 to submit" in capsys.readouterr().out


def rank(run, number, must=True):
    """The process of a rank of a run."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(v.split(b"=", 1) for v in (path / "environ").read_bytes().split(b"\0") if b"=" in v)
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        mine = variables.get(b"TRANSFERLAB_RUN_DIR") == str(run).encode() and b"fit" in words
        if mine and variables.get(b"SLURM_PROCID") == str(number).encode() and b"srun" not in words[0]:
            return int(path.name)
    assert not must
    return None


def pending(process, number):
    """Whether a signal waits for a process that is stopped."""
    try:
        text = Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
    return any(int(mask, 16) >> (number - 1) & 1 for mask in re.findall(r"(?:Sig|Shd)Pnd:\s*(\w+)", text))
