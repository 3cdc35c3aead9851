"""A run that ends between training and its test loses nothing: what is at fault is mended, and it resumes."""

import json
import os
import signal

import pytest
from kills import FIT, Hook, Job, output, transferlab, write_experiment

from transferlab.cli import endings
from transferlab.ground.errors import TransferlabError


def result(folder):
    summary = json.loads((folder / "summary.json").read_text())
    return summary["status"], summary["metrics"], (folder / "predictions" / "test.jsonl").read_text()


def test_a_damaged_test_file_is_mended_and_the_run_resumes(tmp_path, tiny_folder) -> None:
    write_experiment(tmp_path, tiny_folder, "FullFineTuning")
    assert transferlab(tmp_path, *FIT, "runs/whole") == 0
    # killed behind the last batch, before the test
    job = Job(tmp_path, *FIT, "runs/ended", hook=Hook(0, signal.SIGKILL, "on_train_end"))
    assert job.wait() == [-signal.SIGKILL]
    assert not (tmp_path / "runs" / "ended" / "predictions" / "test.jsonl").exists()
    test = tmp_path / "test.csv"
    good = test.read_text()
    test.write_text(good + "no label here,\n")
    assert transferlab(tmp_path, *FIT, "runs/ended") == 2
    last = output(tmp_path).strip().splitlines()[-1]
    assert last.startswith("error: test.csv, line 11: there is no label in column 'label'.")
    assert "What was trained is kept: mend this and resume, which loses nothing: transferlab fit --resume" in last
    test.write_text(good)
    batches = (tmp_path / "batches-runs-ended.jsonl").read_text()
    assert transferlab(tmp_path, *FIT, "runs/ended") == 0
    # nothing was trained again
    assert (tmp_path / "batches-runs-ended.jsonl").read_text() == batches
    assert result(tmp_path / "runs" / "ended") == result(tmp_path / "runs" / "whole")


def test_other_errors_keep_their_traceback_and_say_it_too(tmp_path, capsys) -> None:
    with pytest.raises(OSError, match="disk"), endings.keeping(tmp_path):
        raise OSError("disk")
    assert "What was trained is kept" in capsys.readouterr().err
    said = r"the file is gone\. What was trained is kept: .*loses nothing: "
    with pytest.raises(TransferlabError, match=said), endings.keeping(tmp_path):
        raise TransferlabError("the file is gone")
    with endings.keeping(tmp_path):
        os.getcwd()
    assert capsys.readouterr().err == ""
