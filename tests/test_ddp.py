"""Two processes on the processor, through the real command."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import kills
import pytest
import yaml
from conftest import HANGS

from tests import forked

ROOT = Path(__file__).parents[1]
ROWS = {"train": 61, "validation": 5, "test": 333}
DDP = ("--trainer.devices", "2", "--trainer.strategy", "ddp")
# remove where the recorder leaves the record to rank 0
# layers that are still frozen get no gradient, which plain ddp refuses
UNUSED = ("--trainer.strategy", "ddp_find_unused_parameters_true")
ONE = ("--trainer.devices", "1", "--trainer.strategy", "auto")


@pytest.fixture
def place(tmp_path, tiny_folder):
    """An empty folder with an experiment on rows of odd number.

    Validation fills less than a batch, and three batches of test rows go to two ranks.
    """
    files = {}
    for split, count in ROWS.items():
        files[split] = f"{split}.csv"
        lines = [f"{'good' if number % 2 else 'bad'} {'a ' * (number % 17)},{number % 2}\n" for number in range(count)]
        (tmp_path / files[split]).write_text("text,label\n" + "".join(lines))
    arguments = {"task": "own", "source": {"files": files}, "max_length": 32, "batch_size": 8, "eval_batch_size": 128}
    tree = {
        "trainer": {"accelerator": "cpu", "max_epochs": 1, "logger": False, "log_every_n_steps": 1},
        "encoder": {"name": str(tiny_folder)},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": arguments},
    }
    (tmp_path / "base.json").write_text(json.dumps(tree))
    return tmp_path


def write(place, strategy, **arguments):
    tree = json.loads((place / "base.json").read_text())
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-2}}
    tree["model"] = {
        "class_path": f"transferlab.strategies.{strategy}",
        "init_args": {"optimizer": optimizer, **arguments},
    }
    (place / "mine.yaml").write_text(yaml.safe_dump(tree))


def transferlab(place, *arguments):
    done = subprocess.run(
        [sys.executable, "-m", "transferlab", *arguments],
        cwd=place,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{place}",
            "HF_HUB_OFFLINE": "1",
            "HF_DATASETS_CACHE": str(place / "datasets"),
            "OMP_NUM_THREADS": "1",
            # also where the name of the machine does not resolve
            "GLOO_SOCKET_IFNAME": "lo",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def only_run(place):
    (folder,) = (place / "runs" / "mine").iterdir()
    return folder


def metrics(folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["status"] == "finished"
    return {name: value for name, value in summary["metrics"].items() if name.startswith("test")}


def predictions(folder):
    return [json.loads(line) for line in (folder / "predictions" / "test.jsonl").read_text().splitlines()]


def check_run(place):
    """The record of the only run: every test row once, and metrics that follow from the predictions."""
    folder = only_run(place)
    lines = predictions(folder)
    assert [line["id"] for line in lines] == list(range(ROWS["test"]))
    right = sum(line["prediction"] == line["label"] for line in lines)
    assert metrics(folder)["test/accuracy"] == pytest.approx(right / ROWS["test"])
    return folder


def test_two_processes_record_what_one_process_finds(place):
    write(place, "FullFineTuning")
    transferlab(place, "fit", "--config", "mine.yaml", *DDP)
    folder = check_run(place)
    two, lines = metrics(folder), predictions(folder)
    forked.transferlab(place, "test", "--run", str(folder), *ONE)
    assert metrics(check_run(place)) == pytest.approx(two)
    for one, other in zip(predictions(folder), lines, strict=True):
        assert one["prediction"] == other["prediction"]
        assert one["scores"] == pytest.approx(other["scores"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strategy", "arguments", "options"),
    [
        ("FeatureExtraction", {}, ["--trainer.max_epochs", "2"]),
        ("FullFineTuning", {"unfreeze_every": 1}, ["--trainer.max_epochs", "4", *UNUSED]),
        ("FullFineTuning", {"unfreeze_at": [2, 4, 6]}, ["--trainer.max_epochs", "2", *UNUSED]),
        ("FullFineTuning", {"top_layers": 1}, []),
    ],
    ids=["feature extraction", "unfreeze_every", "unfreeze_at", "top_layers"],
)
def test_strategies_that_freeze(place, strategy, arguments, options):
    write(place, strategy, **arguments)
    transferlab(place, "fit", "--config", "mine.yaml", *DDP, *options)
    check_run(place)


@pytest.mark.slow
def test_more_processes_than_rows(place):
    (place / "validation.csv").write_text("text,label\ngood,1\n")
    write(place, "FullFineTuning")
    with pytest.raises(AssertionError, match=r"error: 1 examples to evaluate on are too few for 2 processes"):
        transferlab(place, "fit", "--config", "mine.yaml", *DDP)


@pytest.mark.slow
def test_a_process_that_ends_at_its_start_is_told(place):
    write(place, "FullFineTuning")
    (place / "leaves.py").write_text(
        "import os\nfrom lightning.pytorch import Callback\n\nif os.environ.get('LOCAL_RANK') == '1':\n    os._exit(7)\n"
        "\n\nclass Leaves(Callback):\n    pass\n"
    )
    with pytest.raises(AssertionError) as failed:
        transferlab(place, "fit", "--config", "mine.yaml", *DDP, "--trainer.callbacks+=leaves.Leaves")
    assert "error: process 1 of this run ended with exit code 7" in str(failed.value)
    assert "Traceback" not in str(failed.value)
    summary = json.loads((only_run(place) / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "process 1 of this run ended with exit code 7" in summary["error"]
    assert not (only_run(place) / "run.lock").exists()


@pytest.fixture
def hosts():
    """Two network namespaces joined by a cable; each end has the name of its namespace."""
    names = [f"tl{os.getpid() % 10**6}{end}" for end in "ab"]
    link = [["link", "add", names[0], "type", "veth", "peer", "name", names[1]]]
    for number, name in enumerate(names, 1):
        link += [["netns", "add", name], ["link", "set", name, "netns", name]]
        link += [["-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", name]]
        link += [["-n", name, "link", "set", other, "up"] for other in ("lo", name)]
    try:
        for command in link:
            if not shutil.which("ip") or subprocess.run(["ip", *command], capture_output=True, check=False).returncode:
                pytest.skip(f"no network namespaces here: ip {' '.join(command)}")
        yield names
    finally:
        for name in names if shutil.which("ip") else ():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


@pytest.mark.slow
def test_a_cut_network_ends_both_hosts(tmp_path, tiny_folder, hosts):
    seconds = 40
    strategy = {
        "class_path": "transferlab.training.parallel.Replicated",
        "init_args": {"timeout": f"0:00:{seconds}", "process_group_backend": "gloo"},
    }
    options = {kills.STEPS: 1, "trainer.num_nodes": 2, "trainer.max_epochs": 500, "trainer.strategy": strategy}
    options["early_stopping.patience"] = 500
    kills.write_experiment(tmp_path, tiny_folder, "FullFineTuning", {}, options)
    job = kills.Job(tmp_path, *kills.FIT, "runs/own", ranks=2, hosts=hosts)
    begun = tmp_path / "batches-runs-own.jsonl"
    while not begun.exists() or len(begun.read_text().splitlines()) < 10:
        assert all(process.is_alive() for process in job.processes), kills.output(tmp_path)
        time.sleep(0.05)
    subprocess.run(["ip", "-n", hosts[1], "link", "set", hosts[1], "down"], check=True)
    assert job.wait() == [1, 1], kills.output(tmp_path)
    assert kills.output(tmp_path).count("error: another process of this run ") == 2
    subprocess.run(["ip", "-n", hosts[1], "link", "set", hosts[1], "up"], check=True)
    stop = ("--trainer.max_epochs", "2")
    assert kills.Job(tmp_path, *kills.FIT, "runs/own", *stop, ranks=2, hosts=hosts).wait() == [0, 0]
    assert "resuming from" in kills.output(tmp_path)
