"""A resumed run goes on with what it was started with, by content; its starts are kept; seeds under other versions are told."""

import json
import shutil
import signal

import pytest
from kills import FIT, LORA, TEACHER, Hook, output, transferlab, write_experiment

from transferlab.analysis.comparison.command import main as compare
from transferlab.record import environment

RUN = "runs/one"


@pytest.fixture(scope="module")
def original(session_environment, tmp_path_factory, tiny_folder):
    """A run of LoRA on an encoder of its own, killed at its sixth batch."""
    place = tmp_path_factory.mktemp("bound") / "place"
    shutil.copytree(tiny_folder, place / "encoder")
    write_experiment(place, "encoder", "ParameterEfficient", LORA)
    killed(place)
    return place


@pytest.fixture
def place(original, tmp_path):
    """A copy of it."""
    return shutil.copytree(original, tmp_path / "place")


def killed(place, batch=6):
    assert transferlab(place, *FIT, RUN, hook=Hook(batch, signal.SIGKILL)) == -9, output(place)
    return place / RUN


def summary(run):
    return json.loads((run / "summary.json").read_text())


def turn_labels(path, keep=None):
    head, *rows = path.read_text().splitlines()
    turned = [f"{row[:-1]}{'1' if row.endswith('0') else '0'}" for row in rows]
    path.write_text("\n".join([head, *turned[:keep]]) + "\n")


def test_changed_training_labels(place):
    run = place / RUN
    before = summary(run)
    turn_labels(place / "train.csv")
    assert transferlab(place, "fit", "--resume", RUN) == 2
    said = output(place)
    assert "error: data: since the run was started its examples changed by content: train " in said
    assert before["data"]["versions"]["train"] in said
    assert "--run.accept_changed_data true" in said
    assert summary(run) == before
    assert transferlab(place, "fit", "--resume", RUN, "--run.accept_changed_data", "true") == 0, output(place)
    after = summary(run)
    assert after["status"] == "finished"
    assert [text.split()[0] for text in after["accepted"]] == ["train"]
    # neither of the one version nor of the other
    assert after["data"]["version"].startswith(f"{before['data']['version']}+")
    assert [start["resumed"] for start in environment.starts(run)] == [False, True]
    # it was accepted once, not for ever
    turn_labels(place / "train.csv")
    assert transferlab(place, "fit", "--resume", RUN, "--trainer.max_epochs", "3") == 2
    assert environment.starts(run)[1]["command"] == ["fit", "--resume", RUN, "--run.accept_changed_data", "true"]
    # other test examples make it no run of one version again
    turn_labels(place / "train.csv")
    turn_labels(place / "test.csv")
    longer = ("--run.accept_changed_data", "true", "--trainer.max_epochs", "3")
    assert transferlab(place, "fit", "--resume", RUN, *longer) == 0, output(place)
    assert summary(run)["data"]["version"].startswith(f"{after['data']['version']}+")


def test_fewer_training_rows_than_were_seen(place):
    run = place / RUN
    before, rows = summary(run), (place / "train.csv").read_text()
    turn_labels(place / "train.csv", keep=20)
    assert transferlab(place, "fit", "--resume", RUN, "--run.accept_changed_data", "true") == 2, output(place)
    assert "which has 3 by now; start a new run." in output(place)
    assert summary(run) == before
    (place / "train.csv").write_text(rows)
    assert transferlab(place, "fit", "--resume", RUN) == 0, output(place)
    assert summary(run)["data"]["train_examples"] == 61


def test_changed_test_rows(place):
    run = place / RUN
    before = summary(run)
    turn_labels(place / "test.csv")
    assert transferlab(place, "fit", "--resume", RUN) == 2
    assert "by content: test " in output(place)
    assert transferlab(place, "fit", "--resume", RUN, "--run.accept_changed_data", "true") == 0, output(place)
    assert "+" not in summary(run)["data"]["version"]
    assert summary(run)["data"]["version"] != before["data"]["version"]


def test_nothing_counts_before_the_first_checkpoint(place):
    shutil.rmtree(place / "runs")
    run = killed(place, batch=1)
    before = summary(run)
    turn_labels(place / "train.csv")
    assert transferlab(place, "fit", "--resume", RUN) == 0, output(place)
    after = summary(run)
    assert "accepted" not in after
    assert after["data"]["versions"]["train"] != before["data"]["versions"]["train"]
    assert [start["resumed"] for start in environment.starts(run)] == [False, False]


def test_a_run_of_before_knows_one_version_and_one_start(place):
    run = place / RUN
    old = summary(run)
    del old["data"]["versions"]
    (run / "summary.json").write_text(json.dumps(old))
    first = json.loads((run / "environment.json").read_text())
    del first["starts"]
    first["packages"] |= {"torch": "2.0.0", "peft": None}
    (run / "environment.json").write_text(json.dumps(first))
    kept = (place / "train.csv").read_text()
    turn_labels(place / "train.csv")
    assert transferlab(place, "fit", "--resume", RUN) == 2
    assert f"by content: {old['data']['version']} -> " in output(place)
    (place / "train.csv").write_text(kept)
    assert transferlab(place, "fit", "--resume", RUN) == 0, output(place)
    (line,) = [line for line in output(place).splitlines() if line.startswith("resumed under")]
    assert line.startswith(f"resumed under torch 2.0.0 -> {environment.environment()['packages']['torch']}: ")
    known = json.loads((run / "environment.json").read_text())
    assert known["packages"] == first["packages"]
    assert [start["packages"]["torch"] == "2.0.0" for start in known["starts"]] == [True, False]


def test_replaced_base_weights(place):
    run = place / RUN
    before = summary(run)
    weights = place / "encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert transferlab(place, "fit", "--resume", RUN) == 2
    assert f"belongs to the base weights {before['base']['weights']}" in output(place)
    assert summary(run) == before
    turn_labels(place / "train.csv")
    both = ("--run.accept_changed_base", "true", "--run.accept_changed_data", "true")
    assert transferlab(place, "fit", "--resume", RUN, *both) == 0, output(place)
    assert [text.split()[0] for text in summary(run)["accepted"]] == ["the", "train"]


def test_another_teacher(tmp_path, tiny_folder):
    write_experiment(tmp_path, tiny_folder, "FullFineTuning", options={"trainer.max_epochs": 1})
    assert transferlab(tmp_path, *FIT, TEACHER) == 0, output(tmp_path)
    write_experiment(tmp_path, tiny_folder, "Distillation", {"teacher": TEACHER})
    killed(tmp_path)
    best = tmp_path / TEACHER / "checkpoints" / "best.ckpt"
    content = best.read_bytes()
    best.write_bytes(content + b"\0")
    assert transferlab(tmp_path, "fit", "--resume", RUN) == 2
    assert f"model.teacher: {TEACHER} is another one by content" in output(tmp_path)
    best.write_bytes(content)
    assert transferlab(tmp_path, "fit", "--resume", RUN) == 0, output(tmp_path)


def test_seeds_under_other_versions_are_told(tmp_path, capsys):
    def write(seed, starts, base="b1"):
        folder = tmp_path / "runs" / "lora_sst2" / f"r{seed}"
        folder.mkdir(parents=True)
        facts = {
            "task": "sst2",
            "strategy": "lora",
            "encoder": "e",
            "protocol": "holdout",
            "setting": "s",
            "seed": seed,
        }
        facts |= {"experiment": "lora_sst2", "kind": "classification", "primary": "accuracy", "status": "finished"}
        facts |= {"metrics": {"test/accuracy": 0.8 + seed / 100}, "base": {"weights": base}, "test": {"examples": 9}}
        (folder / "summary.json").write_text(json.dumps(facts))
        listed = [{"packages": {"torch": torch, "peft": "0.21"}, "resumed": resumed} for torch, resumed in starts]
        (folder / "environment.json").write_text(json.dumps({**listed[0], "starts": listed}))

    def said():
        compare([str(tmp_path / "runs")])
        return capsys.readouterr().out

    write(0, [("2.12", False)])
    # what came before a start from the beginning does not count
    write(1, [("2.11", False), ("2.12", False)])
    assert "warning" not in said()
    assert "mixed versions" not in said()
    write(2, [("2.13", False)])
    assert "the runs of lora differ in torch (2.12 with seeds 0 1; 2.13 with seed 2)." in said()
    assert "mixed versions" in said()
    shutil.rmtree(tmp_path / "runs" / "lora_sst2" / "r2")
    write(3, [("2.12", False), ("2.13", True)], base="b2")
    assert "differ in torch (2.12 with seeds 0 1; 2.12, then 2.13 with seed 3)." in said()
    assert "differ in base weights (b1 with seeds 0 1; b2 with seed 3)." in said()
