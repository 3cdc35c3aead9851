"""Loggers by name, read back with their own readers; configs in the place of an experiment's own."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from transferlab.config import experiments
from transferlab.ground.errors import TransferlabError
from transferlab.record.setting import fingerprint

ROOT = Path(__file__).parents[1]
SHORT = ["--data.train_examples", "40", "--data.test_examples", "20", "--data.batch_size", "8"]
PLACE = ["--resume", "runs/x/mine"]


def transferlab(place, *arguments):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "transferlab", *arguments],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_tensorboard_holds_one_series_over_two_starts_and_settings_with_results(tmp_path, tiny_folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    command = ["fit", "--experiment", "bitfit_demo_sentences", "--logger", "tensorboard", *SHORT, *PLACE]
    command += ["--encoder.name", str(tiny_folder), "--trainer.log_every_n_steps", "1", "--trainer.max_epochs"]
    header = transferlab(tmp_path, *command, "1")
    assert "processor, 1 threads" in header
    run = tmp_path / "runs" / "x" / "mine"
    for epochs in (1, 2):
        if epochs == 2:
            transferlab(tmp_path, *command, "2")
        (events,) = (run / "tensorboard").glob("events*")
        read = EventAccumulator(str(events)).Reload()
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        wanted = [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]
        found = [(event.step, event.value) for event in read.Scalars("train/loss")]
        assert [step for step, _ in found] == [step for step, _ in wanted]
        assert [value for _, value in found] == pytest.approx([value for _, value in wanted], rel=1e-6)
        assert "hp_metric" not in read.Tags()["scalars"]
        assert "_hparams_/session_start_info" in read.summary_metadata
        result = json.loads((run / "summary.json").read_text())["metrics"]["test/accuracy"]
        assert read.Scalars("test/primary")[-1].value == pytest.approx(result)


def test_csv_holds_all_steps(tmp_path, tiny_folder):
    command = ["fit", "--experiment", "bitfit_demo_sentences", "--logger", "csv", *SHORT, *PLACE]
    command += ["--encoder.name", str(tiny_folder), "--trainer.log_every_n_steps", "1", "--trainer.max_epochs"]
    transferlab(tmp_path, *command, "1")
    transferlab(tmp_path, *command, "2")
    run = tmp_path / "runs" / "x" / "mine"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    with (run / "csv" / "metrics.csv").open() as file:
        found = [(int(row["step"]), float(row["train/loss"])) for row in csv.DictReader(file) if row["train/loss"]]
    assert found == [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]


def test_a_config_takes_the_place_of_the_experiments_own():
    chosen, rest = experiments.take_choices(
        ["fit", "--experiment", "lora_sst2", "--encoder", "bert_base", "--trainer=ddp", "--model.method.r", "4"]
    )
    assert (chosen, rest) == (
        {"encoder": "bert_base", "trainer": "ddp"},
        ["fit", "--experiment", "lora_sst2", "--model.method.r", "4"],
    )
    tree = experiments.compose("lora_sst2", chosen=chosen)
    assert "bert-base" in tree["encoder"]["name"]
    assert tree["trainer"]["strategy"]["class_path"].endswith("Replicated")
    # the rest of the file stays, and so does its name
    assert tree["model"]["init_args"]["method"]["init_args"]["r"] == 8
    assert tree["run"]["experiment"] == "lora_sst2"


def test_another_task_takes_its_recipe_along():
    tree = experiments.compose("feature_extraction_mrpc", chosen={"task": "sst2"})
    whole = experiments.compose("feature_extraction_sst2")
    assert {**tree, "run": None} == {**whole, "run": None}


def test_a_wrong_name_names_the_nearest_and_a_value_is_left_to_the_parser(tmp_path, monkeypatch):
    with pytest.raises(TransferlabError, match="no config 'encoder/bert_bas' .did you mean 'encoder/bert_base'"):
        experiments.take_choices(["fit", "--encoder", "bert_bas"])
    with pytest.raises(TransferlabError, match="--task needs a NAME"):
        experiments.take_choices(["fit", "--task", "--encoder", "bert_base"])
    given = ["fit", "--trainer", "{max_epochs: 1}"]
    assert experiments.take_choices(given) == ({}, given)


def test_on_a_processor_auto_is_the_setting_that_it_was_before():
    auto, cpu = (experiments.compose("lora_mrpc", chosen={"trainer": name}) for name in ("auto", "cpu"))
    assert auto["trainer"]["accelerator"] == "auto"
    auto["trainer"]["accelerator"] = "cpu"
    assert fingerprint(auto) == fingerprint(cpu)


def test_a_gpu_is_taken_where_there_is_one(monkeypatch):
    import torch

    from transferlab.ground import hardware

    assert hardware.best_accelerator() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    assert hardware.best_accelerator() == "gpu"
    assert hardware.in_words("gpu", 1) == "1 GPU of 4; --trainer ddp takes all (H100)"
    assert hardware.in_words("cpu", 1).endswith("a GPU is there: --trainer gpu takes it")
