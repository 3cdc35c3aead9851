"""The files of docs/launchers/, by the programs that they are for; those are no part of `make install`."""

import importlib.util
import json
import os
import re
import signal
import sys
import time
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
LAUNCHERS = ROOT / "docs" / "launchers"


@pytest.mark.slow
def test_submitit_on_this_machine(tmp_path, tiny_folder, monkeypatch):
    """A job that is told to stop, as at its time-out, goes on in its folder and finishes."""
    pytest.importorskip("submitit")
    spec = importlib.util.spec_from_file_location("submitit_run", LAUNCHERS / "submitit_run.py")
    module = importlib.util.module_from_spec(spec)
    # the pickle names the module
    monkeypatch.setitem(sys.modules, "submitit_run", module)
    spec.loader.exec_module(module)
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'src'}:{LAUNCHERS}:{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    files = {}
    for split, count in {"train": 1601, "validation": 8, "test": 8}.items():
        files[split] = str(tmp_path / f"{split}.csv")
        lines = [f"{'good' if n % 2 else 'bad'} {'a ' * (n % 17)},{n % 2}\n" for n in range(count)]
        Path(files[split]).write_text("text,label\n" + "".join(lines))
    tree = {
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 1, "logger": False, "log_every_n_steps": 1},
        "encoder": {"name": str(tiny_folder)},
        "data": {
            "class_path": "transferlab.tasks.TaskDataModule",
            "init_args": {"task": "own", "source": {"files": files}, "max_length": 32, "batch_size": 8},
        },
        "model": {"class_path": "transferlab.strategies.FullFineTuning", "init_args": {}},
    }
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))
    run = tmp_path / "run"
    job = module.submit(run, ["--config", str(tmp_path / "mine.yaml")], cluster="local", timeout_min=30)

    def steps():
        return (run / "metrics.jsonl").read_text().count("\n") if (run / "metrics.jsonl").is_file() else 0

    while steps() < 20:
        assert not job.done(), job.stdout()
        time.sleep(0.1)
    children = Path(f"/proc/{job._process.pid}/task/{job._process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGUSR2)
    assert job.result() == str(run)
    assert 20 <= int(re.search(r"stopped at step (\d+)", job.stdout())[1]) < 201
    assert "resuming from" in job.stdout()
    assert steps() >= 201
    assert json.loads((run / "summary.json").read_text())["status"] == "finished"


def test_skypilot():
    task = pytest.importorskip("sky").Task.from_yaml(str(LAUNCHERS / "skypilot.yaml"))
    recovery = next(iter(task.resources)).job_recovery
    assert recovery["recover_on_exit_codes"] == [75]


def test_dstack():
    pytest.importorskip("dstack")
    from dstack._internal.core.models.configurations import parse_apply_configuration

    tree = yaml.safe_load((LAUNCHERS / "transferlab.dstack.yml").read_text())
    task = parse_apply_configuration(tree)
    assert task.type == "task"
    assert [event.value for event in task.retry.on_events] == ["no-capacity", "interruption"]
    assert task.retry.duration == 86400
    with pytest.raises(Exception, match="not permitted"):
        parse_apply_configuration(tree | {"retries": 3})
