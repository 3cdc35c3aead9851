import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests import forked
from transferlab.config.places import cache_folder
from transferlab.ground.errors import TransferlabError
from transferlab.tasks import TaskDataModule, rows, store
from transferlab.tasks.batch import EncodedSplit, Ragged


def start(source, encoder, *stages, **options):
    data = TaskDataModule("own", encoder, source=source, **{"max_length": 64, **options})
    for stage in stages or ("fit",):
        data.setup(stage)
    return data


def bar_reading(monkeypatch):
    """From here on reading rows is an error."""
    monkeypatch.setattr(rows, "read_split", lambda *_: pytest.fail("the rows were read"))


def split_of(**facts):
    return EncodedSplit(Ragged(np.arange(3), np.array([0, 1, 3])), None, None, None, None, 0, "f", **facts)


@pytest.mark.parametrize("kind", ["classification", "pairs", "regression", "tagging", "windows"])
def test_a_second_start_reads_no_text_and_gives_the_same_batches(kind, files, tiny_encoder, monkeypatch):
    options = {"truncation": "windows", "max_length": 16} if kind == "windows" else {}
    first = start(files[kind], tiny_encoder, "fit", "test", **options)
    bar_reading(monkeypatch)
    second = start(files[kind], tiny_encoder, "fit", "test", **options)
    assert second.spec == first.spec
    assert second.origin == first.origin
    for loader in ("train_dataloader", "val_dataloader"):
        for one, other in zip(getattr(first, loader)(), getattr(second, loader)(), strict=True):
            for name, field in one._asdict().items():
                assert field is None or (field == getattr(other, name)).all(), name
                assert field is None or field.dtype == getattr(other, name).dtype, name


def test_a_second_start_carves_nothing(files, tiny_encoder, monkeypatch):
    source = files["classification"]
    rows = start(source, tiny_encoder).part_rows("validation")[1]
    monkeypatch.setattr("transferlab.tasks.selection.carve", lambda *_, **__: pytest.fail("carved again"))
    assert (start(source, tiny_encoder).part_rows("validation")[1] == rows).all()
    with pytest.raises(BaseException, match="carved again"):
        start(source, tiny_encoder, train_fraction=0.5)


@pytest.mark.parametrize("change", ["file", "length", "column", "tokenizer"])
def test_whatever_decides_the_tokens_makes_them_anew(change, files, tiny_encoder, deep_encoder, tmp_path, monkeypatch):
    source = files["classification"]
    path = tmp_path / "train.jsonl"
    path.write_bytes(Path(source.files["train"]).read_bytes())
    source = replace(source, files={**source.files, "train": str(path)})
    start(source, tiny_encoder)
    bar_reading(monkeypatch)
    start(source, tiny_encoder)
    if change == "file":
        with path.open("a") as file:
            file.write(path.read_text().splitlines()[0] + "\n")
    elif change == "column":
        source = replace(source, label="other")
    encoder = deep_encoder if change == "tokenizer" else tiny_encoder
    with pytest.raises(BaseException, match="the rows were read"):
        start(source, encoder, max_length=32 if change == "length" else 64)


def test_a_folder_that_was_not_finished_is_not_read(tmp_path):
    def killed():
        os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        store.stored("x", split_of)

    child = forked.call(tmp_path, killed)
    assert forked.ended(child) == -signal.SIGKILL, (tmp_path / "output").read_text()
    assert "x.tmp" in os.listdir(cache_folder() / "tokens")
    assert store.read("x") is None
    kept = store.stored("x", lambda: split_of(origin="here", names=("a", "b")))
    assert (kept.origin, kept.names, kept.pad_id) == ("here", ("a", "b"), 0)
    assert kept.ids.row(1).tolist() == [1, 2]
    assert "x.tmp" not in os.listdir(cache_folder() / "tokens")


def test_rows_that_are_no_good_are_not_kept(files, tiny_encoder, tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("text,label\nna,positive\n,negative\nnb,negative\n")
    source = replace(files["classification"], files={"train": str(path)}, test=())
    for _ in range(2):
        with pytest.raises(TransferlabError, match="line 3: column 'text' must hold text"):
            start(source, tiny_encoder)


@pytest.mark.parametrize("name", ["ids.npy", "labels.npy", "facts.json"])
@pytest.mark.parametrize("damage", ["altered", "truncated", "missing"])
def test_what_was_damaged_is_tokenised_anew(name, damage, files, tiny_encoder):
    first = start(files["classification"], tiny_encoder).encoded("train")
    ids, labels = first.ids.values.tolist(), first.labels.tolist()
    for path in Path(cache_folder(), "tokens").rglob(name):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.unlink()
        if damage != "missing":
            path.write_bytes(content if damage == "altered" else content[:-4])
    again = start(files["classification"], tiny_encoder).encoded("train")
    assert (again.ids.values.tolist(), again.labels.tolist()) == (ids, labels)


def test_row_numbers_that_were_damaged_are_drawn_anew(files, tiny_encoder):
    rows = start(files["classification"], tiny_encoder).part_rows("validation")[1].tolist()
    (path,) = Path(cache_folder(), "tokens").rglob("validation.npy")
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)
    assert start(files["classification"], tiny_encoder).part_rows("validation")[1].tolist() == rows
