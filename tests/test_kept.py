"""What is worked out of a run once and kept: never older than the files, whoever reads and wherever it can be written."""

import csv
import io
import json
import multiprocessing
import os
import shutil
import time

import pytest

from benchmarks.many_runs import write
from transferlab.analysis.comparison import configs, kept, outcomes
from transferlab.analysis.comparison.distributions import t_quantile, t_tail

OLD = 1_000_000_000
"""Seconds: a time of change long ago."""


class Upper:
    """Makes an entry, and counts how often it is asked to."""

    def __init__(self):
        self.calls = 0

    def __call__(self, sources):
        self.calls += 1
        return sources[0].upper()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "cache"))
    # a file of just now is settled in a test
    monkeypatch.setattr(kept, "SETTLED", -(10**12))
    run = tmp_path / "runs" / "one"
    run.mkdir(parents=True)
    (run / "text").write_text("first")
    return run


def read(folder, make, key="1"):
    return kept.kept(folder, "entry", ["text"], key, make)


def test_an_entry_is_made_once(folder):
    make = Upper()
    assert [read(folder, make) for _ in range(3)] == [b"FIRST"] * 3
    assert make.calls == 1
    assert os.listdir(folder / kept.FOLDER) == ["entry"]
    assert read(folder, make, key="2") == b"FIRST"
    assert make.calls == 2


def test_a_change_of_the_same_size_and_time_is_seen(folder):
    make = Upper()
    os.utime(folder / "text", (OLD, OLD))
    read(folder, make)
    (folder / "text").write_text("other")
    os.utime(folder / "text", (OLD, OLD))
    assert read(folder, make) == b"OTHER"


def test_a_change_within_the_tick_of_a_clock_is_seen(folder, monkeypatch):
    # times that never tell anything: of a file that is young the content is asked
    monkeypatch.setattr(kept, "SETTLED", 10**18)
    monkeypatch.setattr(kept, "TICK", 10**18)
    monkeypatch.setattr(kept, "state", lambda place: (5, time.time_ns(), 0, 0))
    make = Upper()
    read(folder, make)
    assert read(folder, make) == b"FIRST"
    assert make.calls == 1
    (folder / "text").write_text("other")
    assert read(folder, make) == b"OTHER"


def test_a_copied_run_keeps_its_entries(folder):
    make = Upper()
    read(folder, make)
    shutil.copytree(folder, folder.parent / "two")
    assert read(folder.parent / "two", make) == b"FIRST"
    assert make.calls == 1
    # other texts under the old entry are not
    (folder.parent / "two" / "text").write_text("other")
    assert read(folder.parent / "two", make) == b"OTHER"


def test_a_run_that_cannot_be_written_has_its_entries_in_the_folder_of_caches(folder, tmp_path):
    # as of a folder of others; permissions stop no administrator
    (folder / kept.FOLDER).write_text("in the way")
    make = Upper()
    assert [read(folder, make), read(folder, make)] == [b"FIRST"] * 2
    assert make.calls == 1
    assert len(list((tmp_path / "cache" / "read").iterdir())) == 1
    # nowhere to write at all: the answer is the same
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    assert [read(folder, make), read(folder, make)] == [b"FIRST"] * 2
    assert make.calls == 3


@pytest.mark.parametrize("damage", [b"", b"no entry", None])
def test_a_damaged_entry_is_made_again(folder, damage):
    make = Upper()
    read(folder, make)
    path = folder / kept.FOLDER / "entry"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"FIRST", b"FIRSP") if damage is None else damage)
    assert read(folder, make) == b"FIRST"
    assert path.read_bytes() == whole


def _read_often(folder, answer):
    for _ in range(200):
        shutil.rmtree(folder / kept.FOLDER, ignore_errors=True)
        found = kept.kept(folder, "entry", ["text"], "1", lambda sources: sources[0] * 20_000)
        if found != b"first" * 20_000:
            answer.put("torn")
    answer.put("done")


def test_commands_that_read_at_once_do_not_disturb_each_other(folder):
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    readers = [context.Process(target=_read_often, args=(folder, answer)) for _ in range(2)]
    for reader in readers:
        reader.start()
    assert [answer.get(timeout=120) for _ in readers] == ["done", "done"]
    for reader in readers:
        reader.join()


def test_a_folder_that_is_not_there_is_not_made(folder, tmp_path):
    assert kept.kept(tmp_path / "none", "entry", ["text"], "1", lambda sources: repr(sources).encode()) == b"[None]"
    assert not (tmp_path / "none").exists()


def test_outcomes_follow_the_predictions(folder):
    lines = [{"id": n, "prediction": "yes", "label": label} for n, label in enumerate(["yes", "no"])]
    summary = {"kind": "classification", "primary": "accuracy", "folder": str(folder), "labels": ["no", "yes"]}
    (folder / "predictions").mkdir()
    path = folder / "predictions" / "test.jsonl"

    def found(score):
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return outcomes.outcomes({**summary, "metrics": {"test/accuracy": score}})

    assert found(0.5).counts.tolist() == found(0.5).counts.tolist() == [[1, 1], [1, 0]]
    assert found(0.5).texts is None
    lines[0]["prediction"], lines[1]["prediction"] = "no", "no"
    assert found(0.5).counts.tolist() == [[1, 0], [1, 1]]
    lines[1]["repeats"] = 0
    assert found(0.5).texts.tolist() == [0, 0]


@pytest.mark.parametrize(
    "text", ["a: 1\nb: {c: [x, 2.5, null, true]}\n", "a: 2020-01-01\n", "1: x\n", "- a\n", "a: .nan\n"]
)
def test_a_configuration_is_what_its_file_says(folder, text):
    from transferlab.record import setting

    (folder / "config.yaml").write_text(text)
    for _ in range(2):
        assert repr(configs.of_folder(str(folder))) == repr(setting.of_folder(folder))


def test_a_quantile_is_where_halving_ends():
    for df in (0.4, 1, 2, 3.7, 9, 41.3, 870, 2.5e6, float("inf")):
        for level in (0.5, 0.9, 0.95, 0.999):
            low, high = 0.0, 1e4
            while high - low > 1e-10 * high:
                middle = (low + high) / 2
                low, high = (middle, high) if t_tail(middle, df) > 1 - level else (low, middle)
            assert t_quantile(df, level) == high


def test_what_is_made_of_many_files_is_made_again_when_one_changes(folder):
    made = []
    places = [str(folder / name) for name in ("text", "none")]

    def asked(key="1"):
        return kept.again("all", places, key, lambda: made.append(key) or b"made\nof %d" % len(made))

    assert [asked(), asked()] == [b"made\nof 1"] * 2
    assert asked(key="2") == b"made\nof 2"
    os.utime(folder / "text", (OLD, OLD))
    assert asked(key="2") == asked(key="2") == b"made\nof 3"
    # the same size and times
    (folder / "text").write_text("other")
    os.utime(folder / "text", (OLD, OLD))
    assert asked(key="2") == b"made\nof 4"
    (folder / "none").write_text("there now")
    assert asked(key="2") == asked(key="2") == b"made\nof 5"


def test_what_is_made_of_files_of_just_now_is_not_kept(folder, monkeypatch):
    monkeypatch.setattr(kept, "SETTLED", 10**15)
    monkeypatch.setattr(kept, "TICK", 10**15)
    made = []
    for _ in range(2):
        kept.again("all", [str(folder / "text")], "1", lambda: made.append(1) or b"made")
    assert len(made) == 2


def test_a_table_of_before_is_shown_without_reading_predictions(tmp_path, folder, capsys, monkeypatch):
    """The same p-values; others as soon as a prediction, the reference or the kind of test is another."""
    from transferlab.analysis.comparison import command, significance

    root = tmp_path / "many"
    write(root, settings=3, seeds=2, examples=60, kept=False)

    def table(*more):
        command.main([str(root), "--format", "csv", *more])
        return capsys.readouterr().out

    first, against = table(), significance.against
    assert len({line.split(",")[-1] for line in first.splitlines()}) > 1
    monkeypatch.setattr(significance, "against", None)
    assert table() == first
    with pytest.raises(TypeError):
        table("--bootstrap")
    with pytest.raises(TypeError):
        # the best is first
        table("--reference", list(csv.DictReader(io.StringIO(first)))[-1]["strategy"])
    path = next(root.glob("lora_sst2/*/predictions/test.jsonl"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    # one more of each is wrong, so that the score of the summary stays
    right, wrong = (
        next(n for n, one in enumerate(lines) if (one["prediction"] == one["label"]) is is_) for is_ in (True, False)
    )
    for n in (right, wrong):
        lines[n]["prediction"] = {"negative": "positive", "positive": "negative"}[lines[n]["prediction"]]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(TypeError):
        table()
    monkeypatch.setattr(significance, "against", against)
    # of a best setting of two seeds the other predictions give another p-value, of the same scores
    changed = table()
    assert changed != first
    assert table() == changed
    # predictions that do not give the score that the summary names are no predictions of it
    path = path.parents[1] / "summary.json"
    summary = json.loads(path.read_text())
    summary["metrics"]["test/accuracy"] -= 0.1
    path.write_text(json.dumps(summary))
    tested = [sum(bool(row["p_raw"]) for row in csv.DictReader(io.StringIO(text))) for text in (changed, table())]
    assert tested[1] < tested[0]
