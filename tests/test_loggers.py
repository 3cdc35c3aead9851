"""Loggers by name, read back with their own readers; configs in the place of an experiment's own."""

import csv
import json
import zipfile
from importlib.util import find_spec

import pytest
import yaml
from jsonargparse import Namespace

from tests.forked import transferlab
from transferlab.config import experiments
from transferlab.config.experiments import take_choices
from transferlab.ground.errors import TransferlabError
from transferlab.record.setting import fingerprint
from transferlab.tracking import loggers

SHORT = ["--data.train_examples", "40", "--data.test_examples", "20", "--data.batch_size", "8"]
PLACE = ["--resume", "runs/x/mine"]


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


@pytest.mark.skipif(not find_spec("mlflow"), reason="MLflow is not installed")
def test_mlflow_has_one_run_for_two_starts_in_the_run_directory(tmp_path, tiny_folder):
    from mlflow.tracking import MlflowClient

    command = ["fit", "--experiment", "bitfit_demo_sentences", "--logger", "mlflow", *SHORT, *PLACE]
    command += ["--encoder.name", str(tiny_folder), "--trainer.log_every_n_steps", "1", "--trainer.max_epochs"]
    transferlab(tmp_path, *command, "1")
    transferlab(tmp_path, *command, "2")
    assert not (tmp_path / "mlruns").exists()
    run = tmp_path / "runs" / "x" / "mine"
    client = MlflowClient(f"sqlite:///{run}/mlflow.db")
    (found,) = client.search_runs([client.get_experiment_by_name("transferlab").experiment_id])
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    wanted = [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]
    history = client.get_metric_history(found.info.run_id, "train/loss")
    assert [(metric.step, metric.value) for metric in history] == wanted
    assert (found.info.run_name, found.info.status) == ("mine", "FINISHED")
    assert found.data.params["strategy/name"] == "bitfit"
    # MLflow keeps the first value of a hyperparameter
    assert (found.data.params["trainer/max_epochs"], found.data.tags["trainer/max_epochs"]) == ("1", "2")
    result = json.loads((run / "summary.json").read_text())["metrics"]["test/accuracy"]
    assert found.data.metrics["test/primary"] == pytest.approx(result)
    # nothing of this run in the configuration that another one may start from
    saved = yaml.safe_load((run / "config.yaml").read_text())["trainer"]["logger"]["init_args"]
    assert not {"tracking_uri", "run_name", "run_id"} & set(saved)


@pytest.mark.skipif(not find_spec("comet_ml"), reason="Comet is not installed")
def test_comet_writes_an_archive_into_the_run_directory_without_a_key(tmp_path, tiny_folder):
    command = ["fit", "--experiment", "bitfit_demo_sentences", "--logger", "comet", *SHORT, *PLACE]
    command += ["--encoder.name", str(tiny_folder), "--trainer.log_every_n_steps", "1", "--trainer.max_epochs"]
    said = transferlab(tmp_path, *command, "1") + transferlab(tmp_path, *command, "2")
    assert said.count("Comet ran offline; upload with: comet upload runs/x/mine/comet/*/*.zip") == 2
    run = tmp_path / "runs" / "x" / "mine"
    key = (run / "comet_experiment_key").read_text()
    archives = list((run / "comet").glob("*/*.zip"))
    assert [path.name.split("-")[0] for path in archives] == [key, key]
    found = set()
    for path in archives:
        with zipfile.ZipFile(path) as archive:
            lines = archive.read("messages.json").decode().splitlines()
        metrics = [json.loads(line)["payload"].get("metric") or {} for line in lines]
        found |= {(one["step"], one["metricValue"]) for one in metrics if one.get("metricName") == "train/loss"}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert sorted(found) == [(row["step"], row["train/loss"]) for row in rows if "train/loss" in row]


def test_a_logger_that_is_not_installed_says_how_and_arguments_of_one_are_not_given_to_another(tmp_path, monkeypatch):
    settings = Namespace(trainer=Namespace(logger=None))

    def given(path, **arguments):
        settings.trainer.logger = Namespace(class_path=path, init_args=Namespace(**arguments))
        loggers.prepare(settings, tmp_path, "fit")
        return settings.trainer.logger.class_path, settings.trainer.logger.init_args.as_dict()

    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    with pytest.raises(TransferlabError, match="MLFlowLogger needs a package .* pip install 'transferlab.mlflow.'"):
        given("lightning.pytorch.loggers.MLFlowLogger")
    monkeypatch.setattr(loggers, "find_spec", lambda name: name)
    # as configurations of before have it, and as Lightning's users write it
    before = {"save_dir": "x", "name": "y", "version": "", "log_graph": False, "default_hp_metric": True, "prefix": ""}
    assert given("lightning.pytorch.loggers.TensorBoardLogger", **before) == (
        "transferlab.tracking.files.TensorBoardLogger",
        {"save_dir": str(tmp_path), "name": "tensorboard", "version": ""},
    )
    path, arguments = given(
        "lightning.pytorch.loggers.MLFlowLogger", tracking_uri="http://there", prefix="", run_id=None
    )
    assert path == "transferlab.tracking.servers.MLFlowLogger"
    assert (arguments["tracking_uri"], arguments["save_dir"]) == ("http://there", str(tmp_path))
    assert "name" not in arguments
    with pytest.raises(TransferlabError, match="CometLogger takes no prefix here; known: project"):
        given("lightning.pytorch.loggers.CometLogger", prefix="a")


def test_a_logger_of_lightnings_is_chosen_by_its_name():
    given = ["fit", "--experiment", "lora_sst2", "--trainer.logger"]
    for value, name in (("CSVLogger", "csv"), ("lightning.pytorch.loggers.MLFlowLogger", "mlflow"), ("wandb", "wandb")):
        assert experiments.take_choices([*given, value, "--x", "1"]) == ({"logger": name}, [*given[:3], "--x", "1"])
    for rest in (
        [*given, "false"],
        [*given, "mine.CSVLogger"],
        ["test", "--run", "r", "--trainer.logger", "CSVLogger"],
    ):
        assert experiments.take_choices(rest) == ({}, rest)


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


def test_no_logger_has_three_spellings():
    for words in (["--logger", "none"], ["--logger", "false"], ["--logger=null"]):
        assert take_choices(["fit", *words]) == ({"logger": "none"}, ["fit"])
