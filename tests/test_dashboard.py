"""Run folders in Trackio's dashboard, which is really served."""

import importlib.util
import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import pytest
from conftest import HANGS

COMMAND = [sys.executable, "-m", "transferlab", "dashboard"]
needs_trackio = pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="Trackio is not installed")


@pytest.fixture
def runs(tmp_path):
    for seed, rows in ((0, [(0, 0.5), (9, 0.75)]), (1, [(0, 0.25)]), (2, [])):
        folder = tmp_path / "runs" / "lora_sst2" / f"s{seed}"
        folder.mkdir(parents=True)
        summary = {"experiment": "lora_sst2", "task": "sst2", "strategy": "lora", "seed": seed, "status": "finished"}
        summary |= {"primary": "accuracy", "metrics": {"test/accuracy": 0.8}}
        (folder / "summary.json").write_text(json.dumps(summary))
        log = "".join(json.dumps({"step": step, "epoch": 0, "val/accuracy": value}) + "\n" for step, value in rows)
        (folder / "metrics.jsonl").write_text(log + '{"step": 12, "val')
    return tmp_path / "runs"


@needs_trackio
def test_runs_are_written_with_their_curves_and_groups(runs):
    for _ in range(2):
        done = subprocess.run([*COMMAND, str(runs), "--write-only"], capture_output=True, text=True, check=True)
    assert "2 of 3 runs have logged steps" in done.stdout
    code = (
        "import json; from trackio.api import Api; (one, two) = sorted(Api().runs('sst2'), key=lambda run: run.name); "
        "from trackio.sqlite_storage import SQLiteStorage as S; "
        "print(json.dumps([one.name, two.name, one.config, S.get_logs('sst2', one.name)]))"
    )
    environment = {"TRACKIO_DIR": str(runs / ".trackio"), "PATH": "/usr/bin:/bin", "HOME": str(runs)}
    read = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    first, second, config, logs = json.loads(read.stdout)
    assert (first, second) == ("lora_sst2/s0", "lora_sst2/s1")
    assert (config["_Group"], config["seed"]) == ("lora", 0)
    assert [(row["step"], row["val/accuracy"]) for row in logs if "val/accuracy" in row] == [(0, 0.5), (9, 0.75)]
    assert [row["test/accuracy"] for row in logs if "test/accuracy" in row] == [0.8]


@needs_trackio
def test_it_is_served_on_this_machine_only_until_it_is_stopped(runs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [*COMMAND, str(runs), "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # a shell starts what runs in the background without Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        open_page = build_opener(ProxyHandler({})).open
        page = ""
        while not page:
            try:
                page = open_page(f"http://127.0.0.1:{port}/").read().decode()
            except OSError:
                assert process.poll() is None, process.stdout.read()
                time.sleep(0.5)
        assert "rackio" in page
        listening = Path(f"/proc/{process.pid}/net/tcp").read_text() if Path("/proc/net/tcp").exists() else ""
        assert f"00000000:{port:04X}" not in listening
    finally:
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=HANGS)
    assert "Traceback" not in output


def test_without_trackio_it_says_what_to_install(runs):
    code = (
        "import sys; sys.modules['trackio'] = None; sys.argv = ['transferlab', 'dashboard', sys.argv[1]]; "
        "from transferlab.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(runs)], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "transferlab[dashboard]" in done.stderr
    assert "Traceback" not in done.stderr
