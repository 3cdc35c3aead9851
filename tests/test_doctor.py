"""The doctor: what is wrong is found, named with a remedy, and decides the exit code."""

import os
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from packaging.requirements import Requirement

from transferlab.config import places, shipped
from transferlab.encoders.loading import locate
from transferlab.ground.errors import TransferlabError
from transferlab.launch.doctor import command, hardware, machine, supply, versions
from transferlab.launch.doctor.finding import NOTE, OK, WRONG, Finding
from transferlab.tasks.table import TASKS


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Forgets where encoders were found."""
    locate.cache_clear()
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    yield
    locate.cache_clear()


@pytest.fixture
def serve(monkeypatch):
    """Starts a stand-in of the Hub on this machine that answers with a status."""
    servers = []

    def start(status):
        class Answer(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = HTTPServer(("127.0.0.1", 0), Answer)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def installed(folder, monkeypatch, *lines):
    """Puts metadata of transferlab in front of the real one."""
    place = folder / "transferlab-9.9.dist-info" / "METADATA"
    place.parent.mkdir()
    place.write_text("\n".join(["Metadata-Version: 2.1", "Name: transferlab", "Version: 9.9", *lines]) + "\n")
    monkeypatch.syspath_prepend(str(folder))


def test_releases_are_held_against_the_bounds_of_the_installed_package(tmp_path, monkeypatch):
    installed(
        tmp_path,
        monkeypatch,
        "Requires-Python: >=3.11",
        "Requires-Dist: pyyaml>=6",
        "Requires-Dist: jsonargparse[signatures]>=900,<901",
        "Requires-Dist: nosuchpackage>=2",
        "Requires-Dist: pytest<3; extra == 'dev'",
        "Requires-Dist: pytest<3; extra == 'other'",
        "Requires-Dist: nosuchextra>=2; extra == 'dev'",
        "Requires-Dist: tomli>=900; python_version < '3'",
    )
    python, *faults = versions.required()
    assert python.state == OK
    assert [(fault.what, fault.state) for fault in faults] == [("jsonargparse", WRONG), ("nosuchpackage", WRONG)]
    assert faults[0].remedy == "pip install 'jsonargparse[signatures]<901,>=900'"
    assert faults[1].text == "is not installed"
    (extra,) = versions.optional()
    assert (extra.what, extra.state) == ("pytest", NOTE)


def test_a_python_that_is_too_old(tmp_path, monkeypatch):
    installed(tmp_path, monkeypatch, "Requires-Python: >=99")
    python, libraries = versions.required()
    assert python.state == WRONG
    assert "is not >=99" in python.text
    assert libraries.state == OK


def test_bounds_hold_for_prereleases_and_local_builds():
    release = versions._version("torch")
    assert versions.check(Requirement(f"torch=={release}"), WRONG) is None
    assert versions.check(Requirement("torch>=900"), WRONG).state == WRONG


def test_places_are_tried_by_writing(tmp_path, monkeypatch):
    right = machine.place("cache", tmp_path / "not" / "there" / "yet", "remedy")
    assert right.state == OK
    assert not (tmp_path / "not").exists()
    (tmp_path / "file").write_text("")
    wrong = machine.place("cache", tmp_path / "file" / "below", "set X")
    assert (wrong.state, wrong.remedy) == (WRONG, "set X")
    assert "cannot be written: Not a directory" in wrong.text
    monkeypatch.setattr(machine, "ENOUGH", 10**12)
    assert machine.place("cache", tmp_path, "set X").state == NOTE
    monkeypatch.setattr(machine, "LEAST", 10**12)
    full = machine.place("cache", tmp_path, "set X")
    assert (full.state, full.remedy) == (WRONG, "remove what is not needed, or set X")


def test_all_places_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "gone"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    found = {one.what: one for one in machine.places()}
    assert set(found) == {"TMPDIR", "run directories", "cache", "Hub's cache", "temporary files"}
    assert str(tmp_path / "runs") in found["run directories"].text
    assert str(tmp_path / "hub") in found["Hub's cache"].text
    assert found["TMPDIR"].state == NOTE


def test_the_hub_answers(serve):
    serve(200)
    found = supply.hub(60)
    assert found.state == OK
    assert supply.is_online(found)


def test_the_hub_is_broken(serve):
    serve(503)
    found = supply.hub(60)
    assert found.state == WRONG
    assert "status 503" in found.text


def test_nobody_is_there(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    found = supply.hub(60)
    assert found.state == WRONG
    assert "HF_HUB_OFFLINE=1" in found.remedy


def test_a_hub_that_never_answers_is_not_waited_for(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert supply.hub(0.2).state == WRONG
        # a name that is looked up for ever is no other case
        assert supply._within(0.1, threading.Event().wait) is None


def test_offline_by_choice_is_fine(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    found = supply.hub(60)
    assert found.state == OK
    assert not supply.is_online(found)


def test_data_and_encoders_are_found_in_folders_and_in_caches(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "home" / "hub"))
    monkeypatch.chdir(tmp_path)
    # whether or not the package with one of them is installed
    monkeypatch.setattr(places, "PACKAGES", {})
    (only,) = supply.data(online=False)
    generated = sorted(name for name, source in TASKS.items() if source.path == "embedded")
    listed = ", ".join(generated)
    assert only.text.startswith(f"{len(generated)} of {len(TASKS)} on this machine: {listed}; not here: aclsum, afqmc")
    assert (only.state, "TRANSFERLAB_DATA" in only.remedy) == (NOTE, True)
    assert next(supply.data(online=True)).state == OK
    folders = ("glue", "xquad", "squad", "squad_v2", "cmrc2018", "semeval2010_task8", "atis", "snips", "AFQMC")
    for name in (
        *folders,
        "ChnSentiCorp",
        "TNews-classification",
        "xsum",
        "cnn_dailymail",
        "samsum",
        "wmt16",
        "aclsum",
    ):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "home" / "datasets" / "stanfordnlp___imdb" / "plain_text").mkdir(parents=True)
    (tmp_path / "home" / "hub" / "datasets--lhoestq--conll2003" / "snapshots").mkdir(parents=True)
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path / "data"))
    (every,) = supply.data(online=False)
    assert every.state == OK
    assert every.text.startswith(f"{len(TASKS)} of {len(TASKS)}")
    (before,) = supply.encoders(online=False)
    assert "bert_base" in before.text.split("not here:")[1]
    (tmp_path / "models" / "bert-base-uncased").mkdir(parents=True)
    monkeypatch.setenv("TRANSFERLAB_MODELS", str(tmp_path / "models"))
    locate.cache_clear()
    (after,) = supply.encoders(online=True)
    assert "bert_base," in after.text.split("; the Hub gives")[0] + ","
    assert "bilstm" in after.text.split("; the Hub gives")[0]


def test_files_of_own_tasks_that_are_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "configs" / "task" / "mine.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("data: {init_args: {task: mine, source: {files: {train: a.csv, test: b.csv}}}}\n")
    (tmp_path / "b.csv").write_text("text,label\n")
    wrong, rest = supply.data(online=True)
    assert (wrong.state, wrong.text) == (WRONG, "mine: a.csv not there")
    assert wrong.remedy == "mend data.source.files in configs/task/mine.yaml"
    own.write_text("data: {init_args: {task: nosuch}}\n")
    assert "no task named 'nosuch'" in next(supply.data(online=True)).text
    own.write_text("data: 3\n")
    assert "no task named 'mine'" in next(supply.data(online=True)).text
    own.write_text("- 3\n")
    assert "must hold `key: value` pairs" in next(supply.data(online=True)).text
    assert rest.state == OK
    assert shipped.is_own(own)


def test_variables_that_name_no_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path / "gone"))
    monkeypatch.setenv("TRANSFERLAB_MODELS", str(tmp_path))
    assert [one.what for one in supply.variables()] == ["TRANSFERLAB_DATA"]


def test_hardware():
    found = {one.what: one for one in hardware.devices()}
    assert set(found) == {"processor", "GPU", "precision"}
    assert f"torch uses {torch.get_num_threads()}" in found["processor"].text
    assert found["precision"].text.split()[0] in {"bf16-mixed", "32-true"}


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is a GPU")
def test_a_driver_without_a_gpu_in_torch(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert hardware.gpu() == Finding("GPU", OK, "none; runs use the processor")
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    found = hardware.gpu()
    assert (found.state, bool(found.remedy)) == (NOTE, True)


def test_wandb(monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    assert supply.wandb().text == "offline by WANDB_MODE"
    monkeypatch.delenv("WANDB_MODE")
    assert "wandb login" in supply.wandb().text
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "0" * 40 + "\n")
    assert "a key is there" in supply.wandb().text


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        command.main(list(arguments))
    return int(ended.value.code)


def test_the_exit_code_says_whether_something_is_wrong(serve, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "LEAST", 0)
    installed(tmp_path, monkeypatch, "Requires-Python: >=3.11", "Requires-Dist: pyyaml>=6")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    serve(200)
    assert run("--wait", "60") == 0
    page = capsys.readouterr().out
    assert page.endswith("\nnothing to mend\n")
    assert "WRONG" not in page
    for what in ("Python", "libraries", "run directories", "GPU", "precision", "Hub", "data", "encoders", "W&B"):
        assert any(line.split(maxsplit=1)[1].startswith(what) for line in page.splitlines()[:-2] if line[:1] != " ")
    # a path is not broken
    assert max(len(line) for line in page.splitlines() if str(tmp_path) not in line) <= 80
    monkeypatch.setenv("TRANSFERLAB_DATA", str(tmp_path / "gone"))
    assert run("--wait", "60") == 1
    page = capsys.readouterr().out
    assert "WRONG  TRANSFERLAB_DATA" in page
    assert "-> make it, or unset the variable" in page
    assert page.endswith("\n1 of these lines to mend\n")


def test_a_wait_of_nothing_is_refused():
    with pytest.raises(TransferlabError, match=r"--wait: 0 is not above 0"):
        command.main(["--wait", "0"])


def test_without_the_libraries_the_rest_is_left_out(monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None if name == "torch" else sys)
    *_, last = command.examine(1.0)
    assert (last.state, last.text) == (WRONG, "not examined without torch")
    assert Path(command.__file__).is_file()


@pytest.mark.parametrize(
    "code",
    [
        "from transferlab.launch.doctor import supply; print(supply.hub(0.01).state, supply.encoders(False))",
        "from transferlab.config.places import reach_hub; print(reach_hub())",
    ],
)
def test_the_hub_is_asked_in_a_process_that_imported_nothing_of_it(code):
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
