"""A table and a page that were made before: shown again as they are, and never after something changed."""

import json
import multiprocessing
import os
import re
import shutil
import sys

import pytest

from benchmarks.many_runs import write
from transferlab.analysis.comparison import command, kept, sheets, unchanged
from transferlab.analysis.page import document
from transferlab.analysis.page.command import main as report

OLD = 1_000_000_000
"""Seconds: a time of change long ago."""
QUESTIONS = ([], ["--runs"], ["--format", "csv"], ["--task", "sst2", "--no-tests"])


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("written")
    write(root, settings=3, seeds=2, examples=60)
    return root


@pytest.fixture
def runs(tmp_path, monkeypatch, written):
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "cache"))
    # a file of just now is settled in a test
    monkeypatch.setattr(kept, "SETTLED", -(10**12))
    shutil.copytree(written, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def table(runs, capsys):
    def shown(*more):
        command.main([str(runs), *more])
        return capsys.readouterr().out

    return shown


def forbid(monkeypatch, where, name):
    def fail(*_):
        raise AssertionError("made anew")

    monkeypatch.setattr(where, name, fail)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_table_is_shown_again_as_it_was(table, monkeypatch, question):
    first = table(*question)
    forbid(monkeypatch, sheets, "sheet")
    assert table(*question) == first


def test_one_table_serves_all_formats(table, monkeypatch, tmp_path):
    formats = [["--format", name] for name in command.FORMATS]
    fresh = []
    for form in formats:
        fresh.append(table(*form))
        shutil.rmtree(tmp_path / "cache")
    table()
    forbid(monkeypatch, sheets, "sheet")
    assert [table(*form) for form in formats] == fresh
    with pytest.raises(AssertionError, match="made anew"):
        table("--runs")


def test_a_page_is_written_again_with_the_time_of_now(runs, tmp_path, monkeypatch):
    pages = []
    for name in ("one", "two"):
        report([str(runs), "--output", str(tmp_path / f"{name}.html")])
        monkeypatch.setattr("time.strftime", lambda form: "later")
        forbid(monkeypatch, document, "page")
        pages.append((tmp_path / f"{name}.html").read_text())
    assert "; written later. Numbers" in pages[1]
    assert re.sub("; written [0-9: -]+[.]", "; written later.", pages[0]) == pages[1]


def test_a_page_inside_of_the_folder_of_runs_does_not_make_it_another(runs, monkeypatch):
    report([str(runs)])
    forbid(monkeypatch, document, "page")
    report([str(runs)])


def rewrite(path, old, new):
    """Another content of the same size, time of change and number."""
    facts, text = path.stat(), path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    now = path.stat()
    assert (now.st_size, now.st_mtime_ns, now.st_ino) == (facts.st_size, facts.st_mtime_ns, facts.st_ino)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("summary.json", '"seed": 0', '"seed": 7'),
        ("summary.json", "finished", "troubled"),
        ("environment.json", "2.12.0", "2.13.0"),
        ("metrics.jsonl", "0.7", "0.8"),
        ("predictions/test.jsonl", "negative", "positive"),
    ],
)
def test_a_change_of_the_same_size_and_time_is_seen(runs, table, file, old, new, tmp_path):
    table()
    rewrite(next(runs.glob("*/*-s0")) / file, old, new)
    found = table()
    shutil.rmtree(tmp_path / "cache")
    assert table() == found


def test_other_versions_are_told_by_the_process_that_read_those_of_before(runs, table):
    assert "mixed versions" not in table("--format", "csv")
    rewrite(next(runs.glob("*/*-s0")) / "environment.json", "2.12.0", "2.13.0")
    assert "mixed versions" in table("--format", "csv")


def test_what_changes_a_table_changes_it(runs, table):
    first, one = table("--format", "csv"), next(runs.glob("lora_sst2/*-s0"))
    rewrite(one / "summary.json", "finished", "troubled")
    second = table("--format", "csv")
    shutil.copytree(one.parent / one.name.replace("-s0", "-s1"), one.parent / "many-9999-s5")
    path = one.parent / "many-9999-s5" / "summary.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 5'))
    third = table("--format", "csv")
    shutil.rmtree(one)
    (one.parent / "many-9999-s5" / "robustness.json").write_text("{}")
    fourth = table("--runs", "--format", "csv")
    shutil.move(one.parent, runs / "moved")
    assert len({first, second, third}) == 3
    assert table("--runs", "--format", "csv") == fourth
    shutil.rmtree(runs / "moved")
    assert table("--runs", "--format", "csv") != fourth


def test_a_run_that_comes_is_seen_wherever_it_lies(runs, table):
    first = table("--runs")
    one, copy = next(runs.glob("lora_sst2/*-s0")), runs.parent / "copy"
    shutil.copytree(one, copy)
    for place in (runs / "deep" / "below" / "one", one / "forms" / "one-int8"):
        place.parent.mkdir(parents=True)
        shutil.copytree(copy, place)
        second = table("--runs")
        assert second != first
        first = second


def test_another_code_or_another_folder_makes_another_table(runs, table, tmp_path, monkeypatch):
    table()
    noted = [path.read_bytes().split(b"\n", 3)[1] for path in (tmp_path / "cache" / "read").glob("*.shown")]
    others = json.loads(noted[0])[2]
    assert {"columns.py", "standing.py", "shape.py", "sheet.css"} <= {os.path.basename(place) for place in others}
    state = kept.state
    monkeypatch.setattr(kept, "state", lambda place: None if place.endswith("columns.py") else state(place))
    forbid(monkeypatch, sheets, "sheet")
    with pytest.raises(AssertionError, match="made anew"):
        table()


def test_all_that_is_opened_below_the_root_was_noted(runs, table, tmp_path):
    """Whatever a table or a page comes to read of a run, a change of it must be seen."""
    one = next(runs.glob("lora_sst2/*-s0"))
    (one / "retests" / "20260101-test").mkdir(parents=True)
    (one / "retests" / "20260101-test" / "result.json").write_text(
        '{"files": "f", "metrics": {"test/accuracy": 0.5}, "evaluated": {"splits": {"test": {"examples": 9}}}}'
    )
    (one / "robustness.json").write_text("{}")
    shutil.copytree(one, runs.parent / "copy")
    shutil.copytree(runs.parent / "copy", one / "forms" / "one-int8")
    opened = set()
    OPENED.append(opened)
    try:
        table()
        report([str(runs)])
    finally:
        OPENED.clear()
    below = {path for path in opened if path.startswith(f"{runs}{os.sep}") and f"{os.sep}.read{os.sep}" not in path}
    below = {path for path in below if "report.html" not in path and os.path.isfile(path)}
    assert len(below) > 20
    for path in (tmp_path / "cache" / "read").glob("*.shown"):
        _, listed, _ = json.loads(path.read_bytes().split(b"\n", 3)[1])
        names = {os.path.normpath(runs / run / name) for run, inside in listed.items() for name in inside}
        read = {one for one in below if b"<html" in path.read_bytes() or "predictions" not in one or "test.j" in one}
        assert read <= names


OPENED: list[set[str]] = []


def _note(event, given):
    if OPENED and event == "open" and isinstance(given[0], str):
        OPENED[0].add(given[0])


sys.addaudithook(_note)


def test_a_link_to_a_folder_in_a_run_is_never_taken_for_unchanged(runs, tmp_path):
    shutil.move(runs / "lora_sst2" / "many-0002-s0" / "predictions", tmp_path / "elsewhere")
    (runs / "lora_sst2" / "many-0002-s0" / "predictions").symlink_to(tmp_path / "elsewhere")
    made = []
    for _ in range(2):
        unchanged.unchanged("c", runs, [], ["test.jsonl"], lambda: made.append(1) or b"made")
    assert len(made) == 2


@pytest.mark.parametrize("damage", [b"", b"no entry", b"\n\n\n", "cut", "payload", "noted", "form"])
def test_a_damaged_entry_is_made_again_in_silence(table, tmp_path, damage, capsys):
    first = table()
    path = next((tmp_path / "cache" / "read").glob("*.shown"))
    whole = path.read_bytes()
    head, noted, crc, payload = whole.split(b"\n", 3)
    told = {
        "cut": whole[:-20],
        "payload": whole.replace(b"sst2", b"sst3"),
        "noted": b"\n".join([head, noted.replace(b"summary.json", b"summary.jsom"), crc, payload]),
        "form": b"\n".join([head, b'{"a": 1}', crc, payload]),
    }
    path.write_bytes(damage if isinstance(damage, bytes) else told[damage])
    assert table() == first
    assert path.read_bytes() == whole
    assert capsys.readouterr().err == ""


def test_what_changes_while_it_is_read_is_read_again(runs):
    path = next(runs.glob("*/*/summary.json"))
    made = []

    def make():
        made.append(path.read_text())
        path.write_text(path.read_text() + " ")
        return made[-1].encode()

    for _ in range(3):
        assert unchanged.unchanged("c", runs, [], [], make) == made[-1].encode()
    assert len(made) == 3


def test_of_files_of_just_now_nothing_is_kept(runs, monkeypatch):
    monkeypatch.setattr(kept, "SETTLED", 10**18)
    monkeypatch.setattr(kept, "TICK", 10**18)
    made = []
    for _ in range(2):
        unchanged.unchanged("c", runs, [], [], lambda: made.append(1) or b"made")
    assert len(made) == 2


def test_old_entries_go(runs, monkeypatch, tmp_path):
    monkeypatch.setitem(unchanged.LEFT, ".shown", 3)
    for number in range(5):
        unchanged.unchanged("c", runs, [number], [], lambda: b"made")
    assert len(list((tmp_path / "cache" / "read").glob("*.shown"))) == 3
    monkeypatch.setattr(unchanged, "MOST", 10)
    unchanged.unchanged("c", runs, ["large"], [], lambda: b"made")
    assert len(list((tmp_path / "cache" / "read").glob("*.shown"))) == 3


def test_where_nothing_can_be_written_the_table_is_the_same(table, tmp_path):
    first = table()
    shutil.rmtree(tmp_path / "cache")
    (tmp_path / "cache").write_text("in the way")
    assert table() == table() == first


def _read_often(runs, answer):
    for number in range(150):
        size = 1 + number % 7
        if unchanged.unchanged("c", runs, [size], [], lambda: b"x" * 50_000 * size) != b"x" * 50_000 * size:  # noqa: B023
            answer.put("torn")
        if number % 10 == 0:
            for path in (runs.parent / "cache" / "read").glob("*.shown"):
                path.unlink(missing_ok=True)
    answer.put("done")


def test_two_processes_at_once_do_not_disturb_each_other(runs):
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    readers = [context.Process(target=_read_often, args=(runs, answer)) for _ in range(2)]
    for reader in readers:
        reader.start()
    assert [answer.get(timeout=120) for _ in readers] == ["done", "done"]
    for reader in readers:
        reader.join()
    assert not [path for path in (runs.parent / "cache" / "read").iterdir() if path.suffix != ".shown"]


def test_a_mistake_is_told_each_time(table, runs):
    for wrong in (["--sort", "nonsense"], ["--task", "nonsense"], ["--reference", "nonsense"]):
        for _ in range(2):
            with pytest.raises(Exception, match="nonsense"):
                table(*wrong)


def test_a_run_that_another_one_names_is_asked_once(runs, table, monkeypatch):
    one, other, *_ = sorted(path.parent for path in runs.glob("*/*/summary.json"))
    config = one / "config.yaml"
    config.write_text(config.read_text() + f"model_of: {other}\n")
    first = table()
    forbid(monkeypatch, sheets, "sheet")
    assert table() == first


def test_files_are_taken_for_what_they_were_a_moment_ago(runs):
    def made(sources):
        calls.append(sources)
        return b"made of " + sources[0][:1]

    calls = []
    folder = next(runs.glob("*/*"))
    place = str(folder / "config.yaml")

    def asked():
        return kept.kept(folder, "first", ["config.yaml"], "1", made), kept.again(
            "many", [place], "1", lambda: made([b"x"])
        )

    assert asked() == asked() == (b"made of s", b"made of x")
    assert len(calls) == 2
    with kept.seen({place: kept.state(place)}):
        (folder / "config.yaml").write_text("another")
        assert asked() == (b"made of s", b"made of x")
    assert asked() == (b"made of a", b"made of x")
    assert len(calls) == 4
    # what is made of a file that changed since is not taken for what is made of it as it is
    (folder / "config.yaml").write_text("before")
    with kept.seen({place: kept.state(place)}):
        (folder / "config.yaml").write_text("changed")
        asked()
    (folder / "config.yaml").write_text("changed again")
    assert asked()[0] == b"made of c"
    assert len(calls) == 8
