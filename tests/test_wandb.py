"""The W&B view of runs: the real client against a server in this process, alive, gone, refusing, and killed."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import HANGS
from jsonargparse import Namespace, dict_to_namespace
from kills import Hook
from lightning.pytorch.trainer.states import TrainerFn
from test_resume import FIT, experiment, lines, output, transferlab  # noqa: F401
from wandb_server import WandbServer

from transferlab.encoders import EncoderConfig, artifact, build_encoder
from transferlab.encoders.content import content_of
from transferlab.encoders.lineage import lineage_of
from transferlab.encoders.loading import locate
from transferlab.ground.errors import TransferlabError
from transferlab.tracking import loggers, wandb_artifacts, wandb_logger
from transferlab.tracking.best import BestValues
from transferlab.tracking.wandb_logger import STEP, WandbLogger


@pytest.fixture
def server(tmp_path):
    """A server, and the environment that points the client at it; the client ends with the test."""
    with WandbServer() as server:
        os.environ.update(server.environment)
        os.environ |= {"WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}
        os.environ |= {"WANDB_DATA_DIR": str(tmp_path), "WANDB_CACHE_DIR": str(tmp_path)}
        yield server
        wandb_logger._teardown()


def log(folder, steps, close=True, **options):
    """Logs losses as training does, and returns the logger and what it says at the end."""
    logger = WandbLogger(save_dir=str(folder), init_timeout=HANGS, finish_timeout=HANGS, **options)
    for step in steps:
        logger.log_metrics({"train/loss": 1 / (step + 1)}, step=step)
    return logger, logger.close() if close else ""


def losses(steps):
    return [(step, 1 / (step + 1)) for step in steps]


def write_truth(folder, steps):
    rows = [{"step": step, "epoch": 0, "train/loss": 1 / (step + 1)} for step in steps]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def client():
    """Number of the process of the client."""
    from wandb.sdk import wandb_setup

    return wandb_setup.singleton()._connection._proc._process.pid


def test_every_segment_goes_into_the_same_run_and_repeats_no_step(server, tmp_path):
    _, hint = log(tmp_path, range(6), group="sst2/lora", job_type="train", tags=("a",), name="x")
    assert hint == ""
    # killed after step 5, the last checkpoint was behind step 2; what W&B lost comes from the truth
    del server.run.history[5]
    server.run.summary |= server.run.history[-1]
    write_truth(tmp_path, range(6))
    logger, _ = log(tmp_path, range(3, 9), close=False)
    logger.log_hyperparams({"strategy": {"name": "lora", "r": None}, "path": Path("x")})
    logger.tell(lambda run: run.summary.update({"perf/wall_s": 2.0}))
    logger.close()
    run = server.run
    assert run.values("train/loss") == losses(range(9))
    assert run.values(STEP) == [(step, step) for step in range(9)]
    assert run.name == (tmp_path / "wandb-id.txt").read_text()
    assert run.config["strategy"] == {"name": "lora", "r": None}
    assert run.summary["perf/wall_s"] == 2.0
    assert run.exit_code == 0
    assert [run.facts[key] for key in ("groupName", "displayName", "jobType")] == ["sst2/lora", "x", "train"]
    assert server.unknown == []


def test_the_agent_of_a_sweep_names_the_run(server, tmp_path, monkeypatch, capsys):
    (tmp_path / "sweep.yaml").write_text("wandb_version: 1\nmodel.optimizer.lr:\n  value: 0.002\n")
    monkeypatch.setenv("WANDB_SWEEP_ID", "s1")
    monkeypatch.setenv("WANDB_RUN_ID", "trial7")
    monkeypatch.setenv("WANDB_SWEEP_PARAM_PATH", str(tmp_path / "sweep.yaml"))
    log(tmp_path, range(3), project="elsewhere", name="x")
    assert (tmp_path / "wandb-id.txt").read_text() == server.run.name == "trial7"
    assert server.run.facts["sweep"] == "s1"
    assert server.run.config["model.optimizer.lr"] == 0.002
    assert server.run.values("train/loss") == losses(range(3))
    assert "Ignoring" not in "".join(capsys.readouterr())


def test_the_newest_offline_segment_is_whole_and_one_sync_uploads_it(server, tmp_path):
    os.environ["WANDB_MODE"] = "offline"
    log(tmp_path, range(6))
    write_truth(tmp_path, range(6))
    time.sleep(1.01)  # a segment is named by the second that it starts in
    _, hint = log(tmp_path, range(3, 9))
    assert server.operations == []
    words = hint.split()
    assert words[:2] == ["wandb", "sync"]
    os.environ["WANDB_MODE"] = "online"
    subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True)
    assert server.run.values("train/loss") == losses(range(9))
    assert server.unknown == []


@pytest.mark.parametrize("how", ["refused", "401"])
def test_a_server_that_is_not_there_makes_the_run_an_offline_one(server, tmp_path, capsys, how):
    if how == "refused":
        server.stop()
    else:
        server.status = int(how)
    logger = WandbLogger(save_dir=str(tmp_path), init_timeout=1, finish_timeout=HANGS)
    for step in range(4):
        logger.log_metrics({"train/loss": 1 / (step + 1)}, step=step)
    # nothing of this waited for the client
    assert logger._run is None
    hint = logger.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("W&B cannot be reached (")
    assert "offline-run-" in hint
    server.status = 200
    with WandbServer(server.port) if how == "refused" else contextlib.nullcontext(server) as back:
        subprocess.run([sys.executable, "-m", *hint.split()], check=True, capture_output=True)
        assert back.run.values("train/loss") == losses(range(4))


def test_a_client_that_is_killed_is_started_again_with_all_that_it_was_told(server, tmp_path, capsys):
    logger, _ = log(tmp_path, range(3), close=False)
    logger.log_hyperparams({"strategy": {"name": "lora"}})
    logger._calls.join()
    os.kill(client(), signal.SIGKILL)
    for step in range(3, 6):
        logger.log_metrics({"train/loss": 1 / (step + 1)}, step=step)
    assert logger.close() == ""
    assert [line[:13] for line in capsys.readouterr().out.splitlines()] == ["W&B stopped ("]
    assert server.run.values("train/loss") == losses(range(6))
    assert server.run.config["strategy"] == {"name": "lora"}


@pytest.mark.slow
def test_a_client_that_is_killed_twice_ends_the_view_with_one_line(server, tmp_path, capsys):
    logger, _ = log(tmp_path, range(2), close=False)
    for number in (1, 2):
        logger._calls.join()
        os.kill(client(), signal.SIGKILL)
        for step in (2 * number, 2 * number + 1):
            logger.log_metrics({"train/loss": 1 / (step + 1)}, step=step)
            time.sleep(0.5)
    assert logger.close().startswith("wandb sync")
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("training continues, and metrics.jsonl in the run directory holds every step.")


def test_without_a_key_a_run_is_offline_and_nothing_asks(tmp_path, monkeypatch):
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    for variable in ("WANDB_MODE", "WANDB_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    assert WandbLogger().offline
    monkeypatch.setenv("WANDB_MODE", "online")
    assert WandbLogger().offline
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not WandbLogger().offline
    monkeypatch.setenv("WANDB_MODE", "disabled")
    logger, hint = log(tmp_path, range(2))
    assert (logger._thread, hint) == (None, "")


def test_the_logger_of_an_older_run_is_taken_over():
    given = {"project": "mine", "name": "n", "id": "folder", "offline": True, "log_model": False, "anonymous": None}
    old = Namespace(class_path="lightning.pytorch.loggers.WandbLogger", init_args=Namespace(**given))
    old.dict_kwargs = {"group": "a/b", "tags": ["t"]}
    loggers._take_over(old, WandbLogger)
    assert (old.class_path, "dict_kwargs" in old) == (loggers.path_of(WandbLogger), False)
    made = WandbLogger(**old.init_args)
    assert made.facts == {"project": "mine", "entity": None, "name": "n", "group": "a/b", "job_type": None}
    assert (made.tags, made.id) == (("t",), None)


def test_every_strategy_writes_every_key():
    summary = dict.fromkeys(("strategy", "encoder", "task", "protocol", "seed", "experiment", "run"), "x")
    summary |= {"params": {"total": 2, "trainable": 1}, "data": {"origin": "here"}}
    method = {"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 8, "alpha": 16}}
    optimizer = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 1e-3}}
    common = {
        "trainer": {},
        "encoder": {"revision": None, "pooling": "cls", "layers": "last"},
        "data": {"init_args": {}},
    }
    models = ({}, {"method": method, "optimizer": optimizer}, {"teacher": "lora_sst2", "alpha": 0.5, "beta": 1.0})
    written = [
        loggers.namespaces(dict_to_namespace({**common, "model": {"init_args": model}}), summary, {})
        for model in models
    ]
    keys = [{name: sorted(part) for name, part in facts.items()} for facts in written]
    assert keys[0] == keys[1] == keys[2]
    assert list(keys[0]) == ["strategy", "model", "data", "optim", "trainer", "env"]
    assert [facts["strategy"]["r"] for facts in written] == [None, 8, None]
    assert [facts["optim"]["lr"] for facts in written] == [None, 1e-3, None]
    assert [facts["strategy"]["teacher_alpha"] for facts in written] == [None, None, 0.5]


def test_the_best_validation_is_kept_over_restarts():
    logged = []
    view = SimpleNamespace(log_metrics=lambda values, step: logged.append((step, dict(values))))

    def validate(callback, step, value):
        loop = SimpleNamespace(epoch_loop=SimpleNamespace(_batches_that_stepped=step))
        trainer = SimpleNamespace(
            state=SimpleNamespace(fn=TrainerFn.FITTING),
            sanity_checking=False,
            callback_metrics={"val/primary": value, "val/f1": value / 2, "train/loss": 9.0},
            global_step=step,
            fit_loop=loop,
            loggers=[view],
        )
        callback.on_validation_end(trainer, None)

    first = BestValues("val/primary", "max")
    for step, value in ((2, 0.5), (4, 0.7), (6, 0.7)):
        validate(first, step, value)
    second = BestValues("val/primary", "max")
    second.load_state_dict(first.state_dict())
    validate(second, 8, float("nan"))
    validate(second, 10, 0.9)
    best = {"best/primary": 0.7, "best/f1": 0.35, "best/step": 4}
    assert logged[1:4] == [(4, best), (6, best), (8, best)]
    assert logged[4] == (10, {"best/primary": 0.9, "best/f1": 0.45, "best/step": 10})


def test_artifacts_have_aliases_and_edges_and_equal_ones_are_uploaded_once(server, tmp_path):
    teacher, student = tmp_path / "teacher", tmp_path / "student"
    for folder in (teacher, student):
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.ckpt").write_bytes(folder.name.encode() * 9)
        (folder / "checkpoints" / "last.ckpt").write_bytes(b"last")
    summary = {
        "task": "sst2",
        "encoder": "tiny",
        "data": {"fingerprint": "f00d"},
        "kept": {"features": "beef-32"},
        "frozen_work": ["features of 3 rows, computed in 0.1 s, 0 MB"],
        "params": {"trainable_pct": 100},
    }
    (teacher / "summary.json").write_text(json.dumps(summary))
    for folder, came_from in ((teacher, None), (student, teacher)):
        logger, _ = log(folder, range(2), close=False, checkpoints=("best", "last"))
        wandb_artifacts.log_sources(logger, wandb_artifacts.sources(summary, came_from, 500))
        wandb_artifacts.log_checkpoints(logger, summary)
        # the file is replaced before it is uploaded, as by a run that goes on
        os.replace(folder / "checkpoints" / "last.ckpt", folder / "checkpoints" / "previous.ckpt")
        logger.close()
    ids = {folder: (folder / "wandb-id.txt").read_text() for folder in (teacher, student)}
    for name in ids.values():
        versions = [a for a in server.artifacts.values() if a.name.endswith(name)]
        known = sorted((a.name, a.type, a.aliases) for a in versions)
        assert known == [
            (f"checkpoint-{name}", "checkpoint", ["last", "latest"]),
            (f"model-{name}", "model", ["best", "latest"]),
        ]
    assert server.runs[ids[teacher]].used == ["data-sst2:v0"]
    assert server.runs[ids[student]].used == ["data-sst2:v0", f"model-{ids[teacher]}:v0"]
    uploaded = [body for path, body in server.uploads.items() if path.endswith("best.ckpt")]
    assert sorted(uploaded) == [b"student" * 9, b"teacher" * 9]
    (features,) = (a for a in server.artifacts.values() if a.type == "features")
    assert features.entries["content"]["ref"] == "transferlab://features-sst2/beef-32"
    assert server.unknown == []


def test_a_checkpoint_over_the_limit_is_named_by_its_hash(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "best.ckpt").write_bytes(b"x" * 2048)
    summary = {"params": {"trainable_pct": 1.5}}
    assert wandb_artifacts.model_of(tmp_path, summary, "best", 1).content == tmp_path / "checkpoints" / "best.ckpt"
    found = wandb_artifacts.model_of(tmp_path, summary, "best", 0.001)
    assert found.content == "best-" + hashlib.sha256(b"x" * 2048).hexdigest()
    assert found.type == "adapter"


def test_tables_have_the_same_rows_in_every_run():
    records = [
        {"id": 0, "label": "a", "prediction": "b", "scores": [0.3, 0.7]},
        {"id": 1, "label": "b", "prediction": "b", "scores": [0.1, 0.9]},
        {"id": 2, "label": "b", "prediction": "a", "scores": [0.6, 0.4]},
    ]
    header, *rows = wandb_artifacts.prediction_cells(records, 2)
    assert header == ["id", "label", "prediction", "correct", "error", "probability"]
    assert rows == [[0, "a", "b", False, None, 0.7], [1, "b", "b", True, None, 0.9]]
    confusion = wandb_artifacts.confusion_cells(records, ["a", "b"])[1:]
    assert confusion == [["a", "a", 0], ["a", "b", 1], ["b", "a", 1], ["b", "b", 1]]
    tagged = [{"id": 0, "label": ["O", "B-X"], "prediction": ["O", "O"]}]
    assert wandb_artifacts.prediction_cells(tagged, 9)[1] == [0, "O B-X", "O O", False, None, None]
    assert ["B-X", "O", 1] in wandb_artifacts.confusion_cells(tagged, ["O", "B-X"])
    number = [{"id": 0, "label": 2.0, "prediction": 2.5}]
    assert wandb_artifacts.prediction_cells(number, 9)[1] == [0, "2.0", "2.5", None, 0.5, None]


# the real command ---------------------------------------------------------------------------------------------------

LOGGER = {"class_path": "transferlab.tracking.wandb_logger.WandbLogger", "init_args": {"project": "p"}}


def rows_of(run):
    """The history of a run as ``metrics.jsonl`` has it, tables aside."""
    return [{key: value for key, value in row.items() if "/" in key and key != STEP} for row in run.history]


def truth(folder):
    return [{key: value for key, value in row.items() if "/" in key} for row in lines(folder)]


def without_tables(rows):
    return [{key: pytest.approx(value) for key, value in row.items() if not isinstance(value, dict)} for row in rows]


def test_a_run_and_its_view_hold_the_same_facts(server, experiment):  # noqa: F811
    place = experiment("FullFineTuning", options={"trainer.logger": LOGGER, "run.strategy": "full_finetuning"})
    assert transferlab(place, *FIT, "runs/x/mine") == 0
    folder, run = place / "runs" / "x" / "mine", server.run
    assert truth(folder) == without_tables(rows_of(run))
    summary = json.loads((folder / "summary.json").read_text())
    assert run.summary["best/accuracy"] == summary["after"]["val/accuracy"]
    assert run.summary["best/step"] in {8, 16}
    assert run.summary["test/accuracy"] == pytest.approx(summary["metrics"]["test/accuracy"])
    assert run.summary["params/trainable_pct"] == 100
    assert run.facts["groupName"] == "own/full_finetuning"
    assert run.facts["displayName"] == "full_finetuning-own-tiny-s0"
    assert set(run.config) >= {"strategy", "model", "data", "optim", "trainer", "env"}
    tables = {key: json.loads(body) for path, body in server.uploads.items() for key in run.summary if key in path}
    assert {"test/predictions", "test/confusion"} <= run.summary.keys(), tables
    (model,) = (artifact for artifact in server.artifacts.values() if artifact.type == "model")
    assert (model.aliases, model.run) == (["best", "latest"], run.name)
    assert (folder / "checkpoints" / "best.ckpt").read_bytes() in server.uploads.values()
    assert [used.partition("-")[0] for used in run.used] == ["data"]
    assert run.exit_code == 0
    assert server.unknown == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_run_that_goes_on_has_one_view_that_is_whole(server, experiment, number):  # noqa: F811
    place = experiment("FullFineTuning", options={"trainer.logger": LOGGER})
    assert transferlab(place, *FIT, "runs/x/mine", hook=Hook(11, number)) == (-9 if number == signal.SIGKILL else 75)
    if number == signal.SIGTERM:
        assert server.run.exit_code == 75
    assert transferlab(place, *FIT, "runs/x/mine") == 0
    folder, run = place / "runs" / "x" / "mine", server.run
    assert truth(folder) == without_tables(rows_of(run))
    assert [row["_step"] for row in run.history] == sorted({row["step"] for row in lines(folder)})
    assert run.exit_code == 0


@pytest.mark.slow
def test_offline_segments_of_a_killed_run_need_one_upload(server, experiment):  # noqa: F811
    os.environ["WANDB_MODE"] = "offline"
    place = experiment("FullFineTuning", options={"trainer.logger": LOGGER})
    assert transferlab(place, *FIT, "runs/x/mine", hook=Hook(11)) == -9
    assert transferlab(place, *FIT, "runs/x/mine") == 0
    (hint,) = (line for line in output(place).splitlines() if line.startswith("W&B ran offline; upload with: "))
    os.environ["WANDB_MODE"] = "online"
    subprocess.run([sys.executable, "-m", *hint.partition(": ")[2].split()], cwd=place, check=True)
    folder, run = place / "runs" / "x" / "mine", server.run
    assert truth(folder) == without_tables(rows_of(run))
    assert [used.partition("-")[0] for used in run.used] == ["data"]
    assert [artifact.aliases for artifact in server.artifacts.values() if artifact.type == "model"] == [
        ["best", "latest"]
    ]
    assert server.unknown == []


@pytest.mark.slow
def test_a_server_that_goes_away_costs_no_training(server, experiment):  # noqa: F811
    logger = {**LOGGER, "init_args": {"init_timeout": 2, "finish_timeout": 2}}
    place = experiment("FullFineTuning", options={"trainer.logger": logger})
    server.status = 503
    assert transferlab(place, *FIT, "runs/x/mine") == 0
    said = [line for line in output(place).splitlines() if "W&B" in line]
    assert [line[:22] for line in said] == ["W&B cannot be reached ", "W&B ran offline; uploa"]
    assert "Traceback" not in output(place)
    assert len(lines(place / "runs" / "x" / "mine")) >= 16


def test_an_encoder_is_left_as_an_artifact_and_others_start_from_it(server, tmp_path, monkeypatch, tiny_folder):
    monkeypatch.setenv("TRANSFERLAB_CACHE", str(tmp_path / "cache"))
    left, fitted = tmp_path / "pretrained", tmp_path / "fitted"
    shutil.copytree(tiny_folder, left / "encoder")
    lineage = {"experiment": "mlm", "run": "one", "strategy": "MaskedLM", "text": {"origin": "here"}}
    (left / "encoder" / "lineage.json").write_text(json.dumps(lineage))
    logger, _ = log(left, range(2), close=False)
    wandb_artifacts.log_checkpoints(logger, {"kind": "pretraining", "lineage": lineage})
    logger.close()
    known = (left / "wandb-id.txt").read_text()
    (made,) = (a for a in server.artifacts.values() if a.name == f"encoder-{known}")
    assert (made.type, made.aliases, made.metadata["experiment"]) == ("model", ["best", "latest"], "mlm")
    assert {"config.json", "model.safetensors", "tokenizer.json", "lineage.json"} <= set(made.entries)

    name = f"wandb:lab/transferlab/encoder-{known}"
    assert artifact.pinned(f"{name}:best") == f"{name}:v0"
    here, there = EncoderConfig(str(left / "encoder")), EncoderConfig(f"{name}:v0")
    locate.cache_clear()
    assert content_of(there) == content_of(here)
    assert lineage_of(there) == lineage
    states = [build_encoder(config).state_dict() for config in (here, there)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    # the runs that start from it use that version, whatever place it was read from
    (left / "summary.json").write_text("{}")
    for number, encoder in enumerate((there.name, str(left))):
        (fitted / str(number)).mkdir(parents=True)
        logger, _ = log(fitted / str(number), range(2), close=False)
        wandb_artifacts.log_sources(logger, loggers._encoder(encoder, 500))
        logger.close()
        mine = (fitted / str(number) / "wandb-id.txt").read_text()
        assert server.runs[mine].used == [f"encoder-{known}:v0"]
    assert loggers._encoder(str(tiny_folder), 500) == []
    # a large one is named by its content instead
    assert str(loggers._encoder(str(left), 0)[0].content).startswith("encoder-")
    with pytest.raises(TransferlabError, match=r"other:v3 is not in the cache and W&B did not give it .*WANDB_API_KEY"):
        artifact.folder_of("wandb:lab/transferlab/other:v3")
    assert server.unknown == []
    server.stop()
    # from the cache
    assert (
        artifact.folder_of(there.name)
        == tmp_path / "cache" / "wandb" / "lab" / "transferlab" / f"encoder-{known}" / "v0"
    )
    monkeypatch.delenv("WANDB_API_KEY")
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(TransferlabError, match=r"W&B did not give it \(no key\)"):
        artifact.folder_of("wandb:lab/transferlab/other:v3")
    with pytest.raises(TransferlabError, match="not of the form wandb:ENTITY/PROJECT/encoder-ID:VERSION"):
        artifact.folder_of("wandb:mine")
