"""Checkpoints are bound to base weights and tokenizer by content: what was replaced is refused, naming both."""

import copy
import json
import os
import re
import shutil
import time

import pytest
import torch
from conftest import build_bert, build_tokenizer
from test_api import build, command, train
from transformers import AutoModel

from transferlab.config import hashes
from transferlab.encoders import EncoderConfig
from transferlab.encoders.content import content_of
from transferlab.ground.errors import TransferlabError
from transferlab.record.folder import retests
from transferlab.strategies.teacher import restore


@pytest.fixture(scope="module")
def trained(tmp_path_factory, files, tiny_folder):
    """Finished runs of LoRA and of full fine-tuning with an encoder of their own."""
    root = tmp_path_factory.mktemp("place")
    encoder = EncoderConfig(name=str(shutil.copytree(tiny_folder, root / "encoder")))
    source = {"classification": copy.deepcopy(files["classification"])}
    for way in ("lora", "packed"):
        train(root / "runs" / "py" / way, *build(source, encoder, way))
    return root


@pytest.fixture
def place(trained, monkeypatch):
    """The folder of the runs, whose encoder is put back afterwards."""
    monkeypatch.chdir(trained)
    shutil.copytree(trained / "encoder", trained / "kept")
    yield trained
    shutil.rmtree(trained / "encoder")
    shutil.move(trained / "kept", trained / "encoder")


def replace_weights(folder):
    """Other weights in a file of the same size."""
    before = (folder / "model.safetensors").stat().st_size
    model = AutoModel.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.neg_()
    model.save_pretrained(folder)
    assert (folder / "model.safetensors").stat().st_size == before


def record(run):
    return (run / "summary.json").read_bytes(), (run / "predictions" / "test.jsonl").read_bytes()


def test_replaced_weights_are_refused_by_every_command_that_loads(place, monkeypatch):
    lora, full = place / "runs" / "py" / "lora", place / "runs" / "py" / "packed"
    before, known = record(lora), content_of(EncoderConfig(name=str(place / "encoder"))).weights
    replace_weights(place / "encoder")
    now = content_of(EncoderConfig(name=str(place / "encoder"))).weights
    assert now != known
    both = re.compile(f"base weights {known} of .*holds {now}")
    for name in ("test", "validate", "predict"):
        with pytest.raises(TransferlabError, match=both):
            command(monkeypatch, name, "--run", str(lora))
    with pytest.raises(TransferlabError, match=both):
        command(monkeypatch, "fit", "--resume", str(lora), "--trainer.max_epochs", "3")
    # as a teacher, or for drift and forgetting
    with pytest.raises(TransferlabError, match=both):
        restore(lora)
    assert record(lora) == before
    assert not list(retests(lora))
    # of full fine-tuning nothing leans on them, unless it is to be compared with them
    command(monkeypatch, "test", "--run", str(full))
    ((_, result),) = retests(full)
    assert result["equal"] is True
    assert [line.split(" ")[:2] for line in result["differs"]] == [["base", "weights"]]
    with pytest.raises(TransferlabError, match=both):
        restore(full, beside_base=True)


def test_accepted_weights_are_noted(place, monkeypatch, tmp_path):
    replace_weights(place / "encoder")
    run = shutil.copytree(place / "runs" / "py" / "lora", tmp_path / "runs" / "py" / "lora")
    before = record(run)
    command(monkeypatch, "test", "--run", str(run), "--run.accept_changed_base", "true")
    ((_, result),) = retests(run)
    assert result["differs"][0].startswith("base weights ")
    assert record(run) == before
    longer = ("--trainer.max_epochs", "3", "--run.accept_changed_base", "true")
    command(monkeypatch, "fit", "--resume", str(run), *longer)
    (accepted,) = json.loads((run / "summary.json").read_text())["accepted"]
    assert "base weights" in accepted


def test_a_replaced_tokenizer_is_refused(place, monkeypatch):
    build_tokenizer(place / "encoder", letters="zyxwvutsrqponmlkjihgfedcba")
    with pytest.raises(TransferlabError, match="belongs to the tokenizer"):
        command(monkeypatch, "test", "--run", str(place / "runs" / "py" / "packed"))


def test_a_checkpoint_of_before_loads_and_says_what_cannot_be_checked(place, monkeypatch, tmp_path, capsys):
    run = shutil.copytree(place / "runs" / "py" / "lora", tmp_path / "runs" / "py" / "lora")
    best = run / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    for key in ("base_weights", "tokenizer"):
        del checkpoint["transferlab"][key]
    torch.save(checkpoint, best)
    command(monkeypatch, "test", "--run", str(run))
    assert capsys.readouterr().out.count("cannot be checked") == 1


def test_weights_in_several_files_and_none(tmp_path):
    folder = build_bert(tmp_path / "one")
    config = EncoderConfig(name=str(folder))
    whole = content_of(config)
    assert all(len(value) == 16 for value in whole)
    model = AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    assert len(list(folder.glob("*.safetensors"))) > 1
    parts = content_of(config)
    assert parts.weights not in {"", whole.weights}
    assert parts.tokenizer == whole.tokenizer
    assert content_of(EncoderConfig(name=str(folder), architecture="random")) == ("", whole.tokenizer)


def test_a_file_is_hashed_once_until_it_changes(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"one")
    fresh = hashes.of_file(path)
    # a file that has just changed may change again within a tick of the clock
    assert not (tmp_path / "cache" / "hashes").exists()
    monkeypatch.setattr(hashes, "SETTLED_NS", -1)
    assert hashes.of_file(path) == fresh
    (kept,) = (tmp_path / "cache" / "hashes").iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"hash": "known"}))
    assert hashes.of_file(path) == "known"
    # other content of the same length, and the time put back: the file system still knows
    facts = path.stat()
    time.sleep(0.02)
    path.write_bytes(b"two")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    assert hashes.of_file(path) not in {"known", fresh}
    kept.write_text("half a fi")
    assert len(hashes.of_file(path)) == 16
