"""A file that is no longer as it was written is refused, by every command that reads it."""

import json
import shutil
import zipfile
from pathlib import Path

import pytest
import yaml

import transferlab as tl
from tests import fuzz
from transferlab.cli import train  # noqa: F401  # what a forked process need not import
from transferlab.cli.parsing import collected
from transferlab.ground import intact
from transferlab.ground.errors import TransferlabError
from transferlab.training.checkpoints import AtomicCheckpointIO
from transferlab.use.export import facts
from transferlab.use.exported import Exported


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_folder):
    """A folder with a run, and a copy of it of which a byte in the middle of the weights is another one."""
    collected()
    root = tmp_path_factory.mktemp("damage")
    model = {"class_path": "transferlab.strategies.FullFineTuning"}
    fuzz.prepare(root, tiny_folder, model=model)
    place = root / "reference"
    (run,) = (place / "runs" / "mine").iterdir()
    run.rename(run.with_name("one"))
    shutil.copytree(run.with_name("one"), run.with_name("two"))
    for name in ("best.ckpt", "last.ckpt"):
        flip(run.with_name("two") / "checkpoints" / name)
    (run.with_name("two") / "checkpoints" / "previous.ckpt").unlink(missing_ok=True)
    (place / "new.csv").write_text("text\ngood number\n")
    taught = fuzz.small(tiny_folder)
    taught["model"] = {"class_path": "transferlab.strategies.Distillation", "init_args": {"teacher": "runs/mine/two"}}
    (place / "taught.yaml").write_text(yaml.safe_dump(taught))
    return place


def flip(path, record="data/0"):
    """Changes a byte of the first tensor of a checkpoint; torch reads it without a word."""
    with zipfile.ZipFile(path) as archive:
        (found,) = (one for one in archive.infolist() if one.filename.endswith(record))
    content = bytearray(path.read_bytes())
    start = content.index(found.filename.encode(), found.header_offset) + len(found.filename)
    # padding before the tensor is shorter than its half
    content[start + found.file_size // 2] ^= 0x10
    path.write_bytes(content)


COMMANDS = {
    "test": ["test", "--run", "runs/mine/two"],
    "validate": ["validate", "--run", "runs/mine/two"],
    "predict a split": ["predict", "--run", "runs/mine/two", "--data.source.files.predict", "new.csv"],
    "predict a file": ["predict", "new.csv", "--run", "runs/mine/two"],
    "export": ["export", "--run", "runs/mine/two"],
    "forgetting": ["forgetting", "--run", "runs/mine/two"],
    "teacher": ["fit", "--config", "taught.yaml"],
    "resume": ["fit", "--resume", "runs/mine/two", "--trainer.max_epochs", "2"],
    "file": ["test", "--config", "mine.yaml", "--ckpt_path", "runs/mine/two/checkpoints/best.ckpt"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_damaged_checkpoint_is_refused(place, name):
    before = sorted(place.rglob("*"))
    code, output = fuzz.run(place, COMMANDS[name])
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert code == 2
    assert "Traceback" not in output
    assert ("last.ckpt" if name == "resume" else "runs/mine/two/checkpoints/best.ckpt") in line
    assert "damaged" in line
    assert any(remedy in line for remedy in ("Put back a copy of it, or train the run again", "Put an intact copy"))
    # not a line of a result
    assert [path for path in sorted(place.rglob("*")) if path not in before and path.name != "output"] == []


def test_an_intact_checkpoint_in_its_place_is_read(place):
    run = place / "runs" / "mine" / "three"
    shutil.copytree(run.with_name("two"), run)
    shutil.copyfile(run.with_name("one") / "checkpoints" / "best.ckpt", run / "checkpoints" / "best.ckpt")
    code, output = fuzz.run(place, ["test", "--run", str(run)])
    assert code == 0, output


def test_a_script_is_refused_too(place):
    for name in ("best.ckpt", "last.ckpt"):
        with pytest.raises(TransferlabError, match=f"{name} is damaged"):
            AtomicCheckpointIO().load_checkpoint(place / "runs" / "mine" / "two" / "checkpoints" / name)
    with pytest.raises(TransferlabError, match=r"best\.ckpt is damaged"):
        tl.Predictor.load(place / "runs" / "mine" / "two")


def test_every_byte_of_a_tensor_counts(place, tmp_path):
    whole = (place / "runs" / "mine" / "one" / "checkpoints" / "best.ckpt").read_bytes()
    for part in range(1, 20):
        path = tmp_path / f"{part}.ckpt"
        content = bytearray(whole)
        content[len(whole) * part // 20] ^= 1
        path.write_bytes(content)
        assert not intact.is_whole(path)
        path.write_bytes(whole)
        assert intact.is_whole(path)


def test_an_exported_folder_is_refused(tmp_path):
    pytest.importorskip("onnxruntime")
    known = facts.Facts(
        **dict.fromkeys(facts.Facts._fields),
    )._replace(format="onnx", task=tl.TaskSpec("own", "classification", ("a", "b"), ("accuracy",)))
    for name in ("model.onnx", "tokenizer.json", "README.md"):
        (tmp_path / name).write_bytes(name.encode() * 100)
    known.write(tmp_path)
    facts.check(tmp_path, "model.onnx", "tokenizer.json")
    # what else lies there is for people
    (tmp_path / "README.md").write_text("mine")
    facts.check(tmp_path, "model.onnx", "tokenizer.json")
    for name in ("tokenizer.json", "model.onnx"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[:50] + b"?" + content[51:])
        with pytest.raises(TransferlabError, match=f"{name} is damaged.*Export the run again"):
            Exported(tmp_path)
        (tmp_path / name).write_bytes(content)
    # a folder of before has no sums
    written = json.loads((tmp_path / facts.NAME).read_text())
    del written["files"]
    (tmp_path / facts.NAME).write_text(json.dumps(written))
    (tmp_path / "model.onnx").write_bytes(b"?")
    facts.check(Path(tmp_path), "model.onnx")
