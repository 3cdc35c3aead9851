"""What is fetched is there without network; the Hub is a server on this machine."""

import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from transferlab.ground.errors import TransferlabError
from transferlab.launch import fetch

ROOT = Path(__file__).parents[1]
COMMIT = "0123456789012345678901234567890123456789"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with rows, and a way to write the experiment."""
    files = {}
    for split, count in {"train": 20, "validation": 4, "test": 4}.items():
        files[split] = f"{split}.csv"
        lines = [f"{'good' if n % 2 else 'bad'} one,{n % 2}\n" for n in range(count)]
        (tmp_path / files[split]).write_text("text,label\n" + "".join(lines))
    data = {"task": "own", "source": {"files": files}, "max_length": 32}

    def write(encoder, **trainer):
        tree = {
            "trainer": {"max_epochs": 1, **trainer},
            "encoder": encoder,
            "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": data},
            "model": {"class_path": "transferlab.strategies.FullFineTuning", "init_args": {}},
        }
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(tree))

    monkeypatch.chdir(tmp_path)
    return write


def test_what_is_on_this_machine(place, tiny_folder, capfd, tmp_path):
    # a login node has no GPU
    place({"name": str(tiny_folder)}, accelerator="gpu", devices=4, num_nodes=2, strategy="ddp", precision="16-mixed")
    fetch.main(["--config", "mine.yaml"])
    printed = capfd.readouterr().out
    assert "examples for fit: train.csv" in printed
    assert f"weights and tokenizer: local folder {tiny_folder}" in printed
    assert not (tmp_path / "runs").exists()
    (tmp_path / "test.csv").unlink()
    with pytest.raises(TransferlabError, match=r"no such file: test\.csv"):
        fetch.main(["--config", "mine.yaml"])


class Hub(BaseHTTPRequestHandler):
    """Serves one folder as the files of every repository."""

    folder: Path
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        path = self.folder / self.path.rpartition("/")[2]
        found = f"/resolve/{COMMIT}/" in self.path and path.is_file()
        content = path.read_bytes() if found else b"{}"
        self.send_response(200 if found or self.path == "/" else 404)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Repo-Commit", COMMIT)
        if found:
            self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass


@pytest.mark.slow
def test_what_comes_from_the_hub(place, tiny_folder, tmp_path):
    handler = type("Handler", (Hub,), {"folder": tiny_folder, "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place({"name": "some/encoder", "revision": COMMIT})
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "src"),
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_HUB_OFFLINE": "0",
    }

    def run():
        line = [sys.executable, "-m", "transferlab", "fetch", "--config", "mine.yaml"]
        return subprocess.run(line, env=environment, capture_output=True, text=True)

    done = run()
    assert done.returncode == 0, done.stderr
    assert f"weights and tokenizer: Hub some/encoder@{COMMIT}" in done.stdout
    assert "read once more with HF_HUB_OFFLINE=1: complete" in done.stdout
    assert any(path.endswith("/model.safetensors") for path in handler.asked)
    server.shutdown()
    server.server_close()
    environment["HF_HUB_OFFLINE"] = "1"
    assert run().returncode == 0
    environment["HF_HOME"] = str(tmp_path / "elsewhere")
    done = run()
    assert done.returncode == 2
    assert "is not on this machine and the Hub did not give it" in done.stderr
