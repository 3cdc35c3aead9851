"""What small files hold, and which folders hold runs."""

import os

import pytest

from transferlab.ground.contents import CHUNK, content
from transferlab.record import folder


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 7 * CHUNK])
def test_a_file_is_read_whole(tmp_path, size):
    text = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "file").write_bytes(text)
    assert content(str(tmp_path / "file")) == text


def test_a_short_part_is_not_the_end(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(bytes(range(256)) * 1000)
    read = os.read
    monkeypatch.setattr(os, "read", lambda handle, size: read(handle, min(size, 1000)))
    assert content(str(tmp_path / "file")) == bytes(range(256)) * 1000


def test_what_is_no_file_is_told(tmp_path):
    for place in (tmp_path, tmp_path / "none"):
        with pytest.raises(OSError, match=r"."):
            content(str(place))


def test_runs_are_found_in_the_order_of_their_paths_and_behind_no_link(tmp_path):
    root = tmp_path / "runs"
    for name in ("b/two", "a-b/x", "a/one", "a/one/predictions/three", "a/one/forms/one-onnx", "c"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name / "summary.json").write_text('{"status": "finished"}')
    (root / "d" / "summary.json").mkdir(parents=True)
    (root / "e").symlink_to(root / "b")
    (root / "c" / "summary.json").write_text("[]")
    found = list(folder.summaries(root, forms=True))
    assert [str(path.relative_to(root)) for path, _ in found] == [
        "a/one",
        "a/one/forms/one-onnx",
        "a-b/x",
        "b/two",
        "c",
    ]
    assert [summary["status"] for _, summary in found] == [*["finished"] * 4, "unreadable"]
