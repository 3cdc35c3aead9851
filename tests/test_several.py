"""Several tasks with one encoder: shares, order, gradients, checkpoints, whole runs, killed and resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from transferlab.config import shipped, trees
from transferlab.encoders import EncoderConfig
from transferlab.ground.errors import TransferlabError
from transferlab.several import options
from transferlab.several.conflicts import cosines
from transferlab.several.data import SeveralTasks
from transferlab.several.keeping import added, quadratic
from transferlab.several.mixing import Mixed, divided, shares
from transferlab.tasks.batching import BucketBatchSampler

CONFIGS = shipped.listed("configs/multitask")


def test_shares_are_sizes_to_a_power() -> None:
    assert shares([900, 100], 1.0) == pytest.approx([0.9, 0.1])
    # 30 / (30 + 10)
    assert shares([900, 100], 0.5) == pytest.approx([0.75, 0.25])
    assert shares([900, 100], 0.0) == pytest.approx([0.5, 0.5])


def test_steps_are_divided_to_the_last_one_and_no_task_is_left_out() -> None:
    assert divided(10, np.array([0.75, 0.25])) == [8, 2] or divided(10, np.array([0.75, 0.25])) == [7, 3]
    assert sum(divided(101, np.array([0.5, 0.3, 0.2]))) == 101
    assert divided(10, np.array([0.999, 0.001])) == [9, 1]
    assert divided(1, np.array([0.5, 0.5])) == [1, 1]


def mixed(seed: int = 3) -> Mixed:
    samplers = [
        BucketBatchSampler(np.full(count, 5), 4, shuffle=True, seed=number) for number, count in enumerate((10, 40))
    ]
    return Mixed(samplers, [4, 3], seed)


def drawn(sampler: Mixed, epochs: int) -> list[list[tuple[int, list[int]]]]:
    found = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        found.append(list(sampler))
    return found


def test_each_epoch_has_as_many_batches_of_each_task_and_all_examples_come_before_one_comes_again() -> None:
    epochs = drawn(mixed(), 10)
    assert all([task for task, _ in epoch].count(0) == 4 and len(epoch) == 7 for epoch in epochs)
    assert [task for task, _ in epochs[0]] != [task for task, _ in epochs[1]]
    for task, count in ((0, 10), (1, 40)):
        rows = [row for epoch in epochs for of, batch in epoch if of == task for row in batch]
        whole = len(rows) // count * count
        for start in range(0, whole, count):
            assert sorted(rows[start : start + count]) == list(range(count))


def test_the_order_resumes_at_any_place_in_a_new_process() -> None:
    epochs = drawn(mixed(), 3)
    for place in range(7):
        again = mixed()
        again.resume(1, place)
        assert list(again) == epochs[1][place:]
        again.set_epoch(2)
        assert list(again) == epochs[2]
    with pytest.raises(TransferlabError, match="has 7 by now"):
        mixed().resume(1, 8)


def test_cosines_of_gradients_by_hand() -> None:
    x = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    y = torch.nn.Parameter(torch.tensor([3.0]))
    # gradients (2, 0 | 0), (1, 1 | 0) and (-1, 0 | 1)
    losses = {"a": lambda: 2 * x[0], "b": lambda: x.sum(), "c": lambda: y.sum() - x[0]}
    found = {name: float(value) for name, value in cosines(losses, [x, y]).items()}
    assert found == pytest.approx({"a~b": 0.5**0.5, "a~c": -(0.5**0.5), "b~c": -0.5})
    assert x.grad is None


def test_two_terms_of_ewc_are_one_up_to_a_constant() -> None:
    one, other = {"w": torch.tensor([2.0, 0.0, 1.0])}, {"w": torch.tensor([1.0, 0.0, 3.0])}
    at, to = {"w": torch.tensor([1.0, 5.0, 0.0])}, {"w": torch.tensor([4.0, 7.0, 2.0])}
    fisher, anchor = added(one, at, other, to)
    # (2 * 1 + 1 * 4) / 3, that of the later task where neither matters, (0 + 6) / 4
    assert anchor["w"].tolist() == pytest.approx([2.0, 7.0, 1.5])
    points = [torch.nn.Parameter(torch.tensor(p)) for p in ([0.0, 1.0, 2.0], [3.0, -1.0, 0.5])]
    apart = [
        (quadratic({"w": p}, one, at) + quadratic({"w": p}, other, to) - quadratic({"w": p}, fisher, anchor)).item()
        for p in points
    ]
    assert apart[0] == pytest.approx(apart[1])
    assert added({}, {}, one, at) == (one, at)


def test_copies_of_a_task_are_trained_on_and_unlabelled_texts_are_refused(tiny_encoder: EncoderConfig) -> None:
    keys = {"train_examples": 8, "augment": {"methods": ["swap"], "copies": 2}}
    plain, more = (
        SeveralTasks({"demo_sentences": one}, tiny_encoder, batch_size=4) for one in ({"train_examples": 8}, keys)
    )
    few, many = (sum(len(batch.index) for batch in data.train_dataloader()) for data in (plain, more))
    assert few == 8
    assert many > 8
    with pytest.raises(TransferlabError, match=r"data.tasks.demo_sentences.unlabelled: no loss of several tasks"):
        SeveralTasks({"demo_sentences": {"unlabelled": {"split": "train"}}}, tiny_encoder)


def test_a_wrong_key_of_a_task_is_named() -> None:
    with pytest.raises(TransferlabError, match=r"data.tasks.demo_pairs.train_exampels: no such key"):
        SeveralTasks({"demo_pairs": {"train_exampels": 3}})
    with pytest.raises(TransferlabError, match=r"data.tasks.demo_pairs.augment.copys: no such key"):
        SeveralTasks({"demo_pairs": {"augment": {"copys": 3}}})
    with pytest.raises(TransferlabError, match=r"data.tasks.demo_pairs.train_examples: 'ten' is no value"):
        SeveralTasks({"demo_pairs": {"train_examples": "ten"}})
    with pytest.raises(TransferlabError, match=r"data.tasks.mine.source.text: 'a' is no value for it; write \[a\]"):
        SeveralTasks({"mine": {"source": {"files": {"train": "x.csv"}, "text": "a"}}})
    with pytest.raises(TransferlabError, match="name at least one task"):
        SeveralTasks({})
    with pytest.raises(TransferlabError, match="no task 'demo_pair'"):
        SeveralTasks({"demo_pairs": {}}, learn=("demo_pair",))
    with pytest.raises(TransferlabError, match="multitask: say which"):
        options.main([])


def own_tasks(folder: Path) -> None:
    """A task with files of its own, and one of the table with settings of its own."""
    rows = [json.dumps({"body": f"good {n}" if n % 2 else f"bad {n}", "mark": n % 2}) for n in range(60)]
    (folder / "mine.jsonl").write_text("\n".join(rows), encoding="utf-8")
    source = {"files": {"train": "mine.jsonl", "test": "mine.jsonl"}, "text": ["body"], "label": "mark"}
    kept = {"mine": {"task": "mine", "source": source, "holdout": 0.4, "max_length": 16, "max_unknown": 1.0}}
    kept["short"] = {"task": "demo_sentences", "train_examples": 12, "test_examples": 8}
    (folder / "configs" / "task").mkdir(parents=True)
    for name, keys in kept.items():
        tree = {"data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": keys}}
        (folder / "configs" / "task" / f"{name}.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")


def test_tasks_of_the_users_own_files_are_found(
    tiny_encoder: EncoderConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transferlab.several.own import filled, filled_once

    monkeypatch.chdir(tmp_path)
    own_tasks(tmp_path)
    found = filled({"mine": {"holdout": 0.5}, "short": None, "demo_pairs": {"train_examples": 9}})
    assert found["mine"]["source"]["label"] == "mark"
    assert (found["mine"]["holdout"], found["mine"]["max_length"], "task" in found["mine"]) == (0.5, 16, False)
    assert found["short"] == {"task": "demo_sentences", "train_examples": 12, "test_examples": 8}
    assert found["demo_pairs"] == {"train_examples": 9}
    data = SeveralTasks(found, tiny_encoder)
    assert data.examples == {"mine": 30, "short": 12, "demo_pairs": 9}
    assert [spec.name for spec in data.specs.values()] == ["mine", "demo_sentences", "demo_pairs"]
    # a run that is resumed keeps what it began with
    saved = {"data": {"init_args": {"tasks": found}}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved), encoding="utf-8")
    (tmp_path / "configs" / "task" / "mine.yaml").write_text("data: {init_args: {packed: true}}", encoding="utf-8")
    assert filled_once(found, tmp_path) == found
    assert filled_once({"mine": {}}, tmp_path) == {"mine": {"packed": True}}
    (tmp_path / "configs" / "task" / "mine.yaml").write_text("data: [1]", encoding="utf-8")
    with pytest.raises(TransferlabError, match=r"data.tasks.mien: no task named 'mien' .did you mean 'mine'"):
        filled({"mien": {}})
    with pytest.raises(TransferlabError, match=r"mine.yaml: data.init_args: no keys of a task"):
        filled({"mine": {}})


@pytest.mark.parametrize("size", [{"train_examples": 30}, {"per_class": 15}, {"train_fraction": 0.02}])
def test_what_is_replayed_was_trained_on(tiny_encoder: EncoderConfig, size: dict[str, Any]) -> None:
    tasks = {"demo_sentences": size, "demo_pairs": {"train_examples": 30}}
    for most, count in ((10, 10), (500, None)):
        keys = {"learn": ("demo_pairs",), "replay": {"demo_sentences": 0.4}, "memory": most, "seed": 1}
        data = SeveralTasks(tasks, tiny_encoder, batch_size=5, steps_per_epoch=40, **keys)
        trained = data.parts["demo_sentences"].part_rows("train")[1]
        batches = [b for b in data.train_dataloader() if b.task == "demo_sentences"]
        labels, again = {}, set()
        for one in batches:
            again |= set(one.batch.index.tolist())
            labels |= dict(zip(one.batch.index.tolist(), one.batch.labels.tolist(), strict=True))
        assert len(batches) == 16
        assert again <= set(trained.tolist())
        assert len(again) == (count or len(trained))
        assert abs(sum(labels.values()) - len(labels) / 2) <= 0.5


def test_options_of_a_sequence_are_checked_before_its_first_task() -> None:
    from transferlab.several import sequence_options

    for line, said in (
        (["--memory", "1"], "--memory: 1 is below 2"),
        (["--method", "ewc", "--weight", "0"], "--weight: 0 is of ewc and lwf"),
        (["--method", "replay", "--weight", "3"], "--weight: 3 is of ewc and lwf"),
    ):
        with pytest.raises(TransferlabError, match=said):
            sequence_options.main(["demo", *line])


@pytest.mark.parametrize("name", CONFIGS)
def test_every_shipped_config_has_right_keys(name: str) -> None:
    from transferlab.several.cli import SeveralCLI

    class Parsed(SeveralCLI):
        def _set_seed(self) -> None: ...
        def before_instantiate_classes(self) -> None: ...
        def instantiate_classes(self) -> None: ...
        def _run_subcommand(self, subcommand: str) -> None: ...

    assert trees.describe(CONFIGS[name])
    Parsed(["fit", "--config", str(CONFIGS[name])])


# whole runs -----------------------------------------------------------------------------------------------------------


def several_tree() -> dict[str, Any]:
    return {
        "data": {
            "class_path": "transferlab.several.data.SeveralTasks",
            "init_args": {
                "tasks": {
                    "demo_sentences": {"train_examples": 40, "test_examples": 40},
                    "demo_entities": {"train_examples": 24, "test_examples": 40},
                    "demo_topics": {"train_examples": 24, "test_examples": 40},
                },
                "batch_size": 8,
                "max_length": 32,
            },
        },
        "encoder": {"architecture": "bilstm", "lstm_size": 8},
        "model": {
            "class_path": "transferlab.several.model.MultiTask",
            "init_args": {"head": {"dropout": 0.3}},
        },
        "trainer": {
            **{"accelerator": "cpu", "precision": "32-true", "max_epochs": 2, "log_every_n_steps": 1},
            **{"logger": False, "devices": 1, "accumulate_grad_batches": 2},
        },
        "run": {"checkpoint_every_steps": 1, "experiment": "tiny"},
    }


def several(folder: Path, *more: str, kill: int | None = None) -> Any:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(several_tree()), encoding="utf-8")
    line = more if more[:1] == ("--resume",) else ("--config", str(path), *more)
    return command(folder, "multitask", *line, kill=kill)


def command(folder: Path, *line: str, kill: int | None = None) -> Any:
    environment = {k: v for k, v in os.environ.items() if k != "TRANSFERLAB_RUN_DIR"} | {
        "TRANSFERLAB_CACHE": str(folder / "cache"),
        "KILL_AT": "" if kill is None else str(kill),
    }
    script = str(Path(__file__).parent / "kill_several.py")
    return subprocess.run(
        [sys.executable, script, *line], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def best(folder: Path, name: str) -> dict[str, Any]:
    run = next((folder / "runs" / name).iterdir())
    found: dict[str, Any] = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    return found


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_weights_and_leaves_a_run_for_each_task(tmp_path: Path) -> None:
    whole, parted = tmp_path / "whole", tmp_path / "parted"
    for folder in (whole, parted):
        folder.mkdir()
    done = several(whole)
    assert done.returncode == 0, done.stderr
    for number, at in enumerate((3, 13)):
        run = next((parted / "runs" / "tiny").iterdir()) if number else None
        assert several(parted, *(() if run is None else ("--resume", str(run))), kill=at).returncode == -9
    done = several(parted, "--resume", str(next((parted / "runs" / "tiny").iterdir())))
    assert done.returncode == 0, done.stderr
    for name in ("tiny", "tiny_demo_sentences", "tiny_demo_entities", "tiny_demo_topics"):
        one, other = best(whole, name), best(parted, name)
        assert one.keys() == other.keys()
        assert all(torch.equal(one[key], other[key]) for key in one)
    lines = [(next((folder / "runs" / "tiny").iterdir()) / "metrics.jsonl").read_text() for folder in (whole, parted)]
    assert lines[0] == lines[1]
    assert '"val/cosine/demo_sentences~demo_topics"' in lines[0]
    # the validation of record of each task is that of the checkpoint that was selected
    summary = json.loads((next((whole / "runs" / "tiny").iterdir()) / "summary.json").read_text())
    for task, metric in (("demo_sentences", "accuracy"), ("demo_entities", "f1"), ("demo_topics", "f1_micro")):
        assert summary["tasks"][task]["validation"] == pytest.approx(summary["after"][f"val/{task}/{metric}"])
    leading = [summary["tasks"][task]["validation"] for task in summary["tasks"]]
    assert summary["after"]["val/primary"] == pytest.approx(sum(leading) / 3)
    command = [sys.executable, "-m", "transferlab", "compare", "runs"]
    table = subprocess.run(command, cwd=whole, capture_output=True, text=True, check=True).stdout
    assert all(task in table for task in summary["tasks"])
    tested = [sys.executable, "-m", "transferlab", "test", "--run", "tiny_demo_topics"]
    said = subprocess.run(tested, cwd=whole, capture_output=True, text=True, check=True).stdout
    assert "the same result as the record; 0 of 40 predictions changed" in said
    assert "those of the record" in said


def test_an_empty_group_of_regularisers_is_the_setting_of_before_and_resumes() -> None:
    from transferlab.record.setting import fingerprint
    from transferlab.training.resume import differences

    before: dict[str, Any] = {
        "model": {"class_path": "transferlab.strategies.FullFineTuning", "init_args": {"head": 1}}
    }
    now = {"model": {**before["model"], "init_args": {"head": 1, "steady": {}}}}
    other = {"model": {**before["model"], "init_args": {"head": 1, "steady": {"r_drop": 1.0}}}}
    assert fingerprint(before) == fingerprint(now) != fingerprint(other)
    assert differences(before, now) == []
    assert differences(before, other) == ["model.init_args.steady.r_drop"]


def test_transfer_by_hand() -> None:
    from transferlab.several import transfer

    matrix = [[0.9, 0.5, 0.5], [0.7, 0.8, 0.5], [0.8, 0.6, 0.7]]
    assert transfer.average(matrix) == pytest.approx(0.7)
    # (0.8 - 0.9 + 0.6 - 0.8) / 2
    assert transfer.backward(matrix) == pytest.approx(-0.15)
    # ((0.9 - 0.8) + (0.8 - 0.6)) / 2
    assert transfer.forgetting(matrix) == pytest.approx(0.15)
    # (0.8 - 0.75 + 0.7 - 0.8) / 2
    assert transfer.forward(matrix, [0.9, 0.75, 0.8]) == pytest.approx(-0.025)


@pytest.mark.slow
def test_a_killed_sequence_resumes_to_the_same_scores(tmp_path: Path) -> None:
    tree = several_tree()
    tasks = tree["data"]["init_args"]["tasks"]
    del tasks["demo_entities"]
    tree["run"] = {"checkpoint_every_steps": 1}
    folders = {}
    for name, kills in (("whole", []), ("parted", [7])):
        folders[name] = folder = tmp_path / name
        folder.mkdir()
        (folder / "tiny.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
        line = ["sequence", "tiny.yaml", "--method", "ewc", "--weight", "10"]
        for at in kills:
            # in the first task; the second begins from what is left of it
            assert command(folder, *line, kill=at).returncode == -9
            line = ["sequence", "--resume", "sequence_tiny_ewc"]
        done = command(folder, *line)
        assert done.returncode == 0, done.stderr
    found = []
    for folder in folders.values():
        run = next((folder / "runs" / "sequence_tiny_ewc").iterdir())
        summary = json.loads((run / "summary.json").read_text())
        assert summary["status"] == "finished"
        found.append(summary["sequence"])
    assert found[0] == found[1]
    assert found[0]["order"] == ["demo_sentences", "demo_topics"]


def test_what_resumes_a_stage_is_its_sequence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transferlab.cli import endings
    from transferlab.ground import hints

    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs" / "sequence_demo_ewc" / "one"
    stage = folder / "stages" / "2_demo_topics" / "two"
    stage.mkdir(parents=True)
    (stage / "summary.json").write_text('{"kind": "multitask"}')
    (folder / "summary.json").write_text('{"kind": "multitask"}')
    assert hints.resume(stage) == "transferlab multitask --resume " + str(stage)
    assert hints.resume_there(folder) == f"transferlab multitask --resume {folder}"
    (folder / "sequence.json").write_text("{}")
    assert hints.resume_there(stage) == f"transferlab sequence --resume {folder}"
    for run in (stage, folder):
        assert hints.resume(run) == "transferlab sequence --resume one"
    # also before the stage has begun
    assert endings.interrupted(stage) == "stopped; continue with: transferlab sequence --resume one"


def test_a_run_without_a_single_task_is_told_from_one_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from transferlab.cli.expansion import expand_arguments
    from transferlab.ground.hints import refuse_without_task
    from transferlab.strategies.teacher import restore

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRANSFERLAB_RUN_DIR", raising=False)
    kinds = {
        "text": ({"kind": "pretraining"}, "is a pretraining, .* --encoder.name runs/text/one"),
        "both": (
            {"kind": "multitask", "tasks": {"a": {"run": "runs/both_a/one"}}},
            "several tasks; .*: runs/both_a/one",
        ),
        "cut": ({"kind": "multitask"}, "several tasks; .* when it is complete"),
        "turn": ({"kind": "multitask"}, "is a sequence of tasks"),
    }
    for name, (summary, said) in kinds.items():
        run = Path("runs") / name / "one"
        (run / "checkpoints").mkdir(parents=True)
        (run / "summary.json").write_text(json.dumps(summary))
        (run / "config.yaml").write_text("{}")
        if name == "turn":
            (run / "sequence.json").write_text("{}")
        for ask in (restore, refuse_without_task, lambda run: expand_arguments(["test", "--run", str(run)])):
            with pytest.raises(TransferlabError, match=said):
                ask(run)
        right = {"text": "pretrain", "turn": "sequence"}.get(name, "multitask")
        with pytest.raises(TransferlabError, match=f"is resumed with transferlab {right} --resume one"):
            expand_arguments(["fit", "--resume", name])
    assert expand_arguments(["fit", "--resume", "both"], "multitask")[:2] == ["fit", "--config"]
