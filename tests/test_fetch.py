"""What is fetched is there without network; the Hub is a server on this machine."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import hub_server, terminal
from transferlab.ground.errors import TransferlabError
from transferlab.launch import fetch

ROOT = Path(__file__).parents[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with rows, and a way to write the experiment."""
    files = {}
    for split, count in {"train": 20, "validation": 4, "test": 4}.items():
        files[split] = f"{split}.csv"
        lines = [f"{'good' if n % 2 else 'bad'} one,{n % 2}\n" for n in range(count)]
        (tmp_path / files[split]).write_text("text,label\n" + "".join(lines))

    def write(encoder, source=None, **trainer):
        data = {"task": "own", "source": source or {"files": files}, "max_length": 32}
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


@pytest.mark.slow
def test_what_comes_from_the_hub(place, tiny_folder, tmp_path):
    rows = tmp_path / "rows"
    rows.mkdir()
    for split, count in {"train": 20, "validation": 4, "test": 4}.items():
        lines = [{"text": f"{'good' if n % 2 else 'bad'} one", "label": n % 2} for n in range(count)]
        pd.DataFrame(lines).to_parquet(rows / f"{split}.parquet")
    source = {"path": "some/rows", "revision": hub_server.COMMIT, "text": ["text"], "label": "label", "test": ["test"]}
    place({"name": "some/encoder", "revision": hub_server.COMMIT}, source=source)
    line = [sys.executable, "-m", "transferlab", "fetch", "--config", "mine.yaml"]
    with hub_server.serve({"some/encoder": tiny_folder}, {"some/rows": rows}) as hub:
        environment = {**os.environ, **hub.environment(tmp_path / "hub"), "PYTHONPATH": str(ROOT / "src")}
        # the weights do not arrive until it has been told that they are on their way
        hub.open.clear()
        with subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True) as process:
            printed = []
            for text in process.stdout:
                printed.append(text)
                if text.startswith(f"loading Hub some/encoder@{hub_server.COMMIT} ..."):
                    hub.open.set()
        assert process.returncode == 0
        assert hub.open.is_set()
        assert f"weights and tokenizer: Hub some/encoder@{hub_server.COMMIT}\n" in printed
        assert f"examples for fit: Hub some/rows@{hub_server.COMMIT}\n" in printed
        assert printed[-1] == "read once more with HF_HUB_OFFLINE=1: complete\n"
        # bars on a terminal, for each of the parts
        environment |= {
            "HF_HOME": str(tmp_path / "other"),
            "TRANSFERLAB_CACHE": str(tmp_path / "other"),
            "TERM": "xterm",
        }
        done, screen = terminal.run(line, width=120, env=environment)
        assert done.returncode == 0
        for part in ("train.parquet: 100%", "model.safetensors: 100%", "tokenizer.json: 100%", "tokenising: 100%"):
            assert part in screen.text, part
        assert "loading Hub" not in screen.text

    def offline(home):
        now = environment | {
            "HF_HUB_OFFLINE": "1",
            "HF_HOME": str(tmp_path / home),
            "TRANSFERLAB_CACHE": str(tmp_path / home),
        }
        return subprocess.run(line, env=now, capture_output=True, text=True)

    assert offline("hub").returncode == 0
    done = offline("elsewhere")
    assert done.returncode == 2
    assert "is not on this machine and the Hub did not give it" in done.stderr
